"""Characterisation tables over input transition and output load (NLDM: non-linear delay model)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Table:
    """A characterisation table over input transition (ns) and output load (fF), bilinear, extrapolating."""

    slews: np.ndarray  # (S,)
    loads: np.ndarray  # (L,)
    values: np.ndarray  # (S, L)

    @cached_property
    def _lists(self) -> tuple[list[float], list[float], list[list[float]]]:
        return self.slews.tolist(), self.loads.tolist(), self.values.tolist()

    def at(self, slew: float, load: float) -> float:
        """Interpolated value; beyond the grid the border cell's plane goes on."""
        slews, loads, rows = self._lists
        i, above, u = _locate(slews, slew)
        j, right, v = _locate(loads, load)
        low, high = rows[i], rows[above]
        one = low[j] + u * (high[j] - low[j])
        other = low[right] + u * (high[right] - low[right])
        return one + v * (other - one)

    def on(self, slews: np.ndarray, loads: np.ndarray) -> np.ndarray:
        """Values on another grid, shape (len(slews), len(loads))."""
        if np.array_equal(slews, self.slews) and np.array_equal(loads, self.loads):
            return self.values
        if self.values.size == 1:
            return np.full((len(slews), len(loads)), self.values[0, 0])
        return np.array([[self.at(s, c) for c in loads.tolist()] for s in slews.tolist()])


def _locate(axis: list[float], x: float) -> tuple[int, int, float]:
    """Points before and after x, or the border's two, and where x stands between them (0 to 1 inside)."""
    if len(axis) == 1:
        return 0, 0, 0.0
    i = min(max(bisect_left(axis, x) - 1, 0), len(axis) - 2)
    return i, i + 1, (x - axis[i]) / (axis[i + 1] - axis[i])


def merge(tables: list[Table], how: Any) -> Table:
    """One table from several, on the finest of their grids: `how` is np.max, np.mean or np.sum."""
    slews = max((table.slews for table in tables), key=len)
    loads = max((table.loads for table in tables), key=len)
    return Table(slews, loads, how([table.on(slews, loads) for table in tables], axis=0))
