"""The loss of every pair of layer and multiplier: measured where it was asked for, predicted from its noise elsewhere.

A few pairs of a layer are measured; loss grows with noise, so isotonic regression through them (of logarithms, with
straight lines between) predicts the others. Beyond the measured ones loss is taken as proportional to noise, which is
what the second-order expansion of the KL divergence says of small errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from scipy.optimize import isotonic_regression

_LEAST = 1e-12
"""Nats, and noise: what counts as nothing in logarithms."""


Pair = tuple[str, str]
"""Layer and multiplier."""
Step = Callable[[int, int], None]
"""Told of progress: steps done, steps in all."""


class Measure(Protocol):
    """Losses of many pairs, nats, in their order; step(done, total) is told of progress."""

    def __call__(self, pairs: Sequence[Pair], step: Step) -> list[float]: ...


class Losses:
    """Losses by layer, then multiplier; `noise` (same form) ranks the pairs, `measure` says how large they are.

    `measured` holds what was measured so far.
    """

    def __init__(self, measure: Measure, noise: dict[str, dict[str, float]]) -> None:
        self._measure, self.noise = measure, noise
        self.measured: dict[str, dict[str, float]] = {layer: {} for layer in noise}
        self._curves: dict[str, Callable[[float], float]] = {}

    def measure(self, pairs: Iterable[Pair], step: Step = lambda done, total: None) -> None:
        """Measures those of these pairs that were not measured yet."""
        missing = [(layer, name) for layer, name in dict.fromkeys(pairs) if name not in self.measured[layer]]
        if missing:
            for (layer, name), loss in zip(missing, self._measure(missing, step), strict=True):
                self.measured[layer][name] = loss
            self._curves.clear()

    def of(self, layer: str, multiplier: str) -> float:
        """The measured loss, or the predicted one."""
        if multiplier in self.measured[layer]:
            return self.measured[layer][multiplier]
        if layer not in self._curves:
            noise, measured = self.noise[layer], self.measured[layer]
            self._curves[layer] = curve([noise[name] for name in measured], measured.values())
        return self._curves[layer](self.noise[layer][multiplier])

    def total(self, names: dict[str, str]) -> float:
        """Summed over the layers of an assignment."""
        return sum(self.of(layer, name) for layer, name in names.items())

    def known(self, names: dict[str, str]) -> bool:
        """Whether every pair of an assignment was measured."""
        return all(name in self.measured[layer] for layer, name in names.items())


def curve(noise: Iterable[float], losses: Iterable[float]) -> Callable[[float], float]:
    """The monotone line through these points, as a function of noise. Raises ValueError for no points."""
    points = sorted(zip(noise, losses, strict=True))
    if not points:
        raise ValueError("no loss of this layer was measured")
    x, y = np.log(np.maximum(np.array(points).T, _LEAST))
    y = isotonic_regression(y).x

    def predicted(value: float) -> float:
        at = np.log(max(value, _LEAST))
        beyond = min(at - x[0], 0.0) + max(at - x[-1], 0.0)
        return float(np.exp(np.interp(at, x, y) + beyond))

    return predicted
