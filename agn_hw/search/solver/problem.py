"""From candidates and limits to the arrays that the solver works on, and back.

Layers of one tile group become one row: their energies and losses add up, and only multipliers that all of
them may have are left. What a layer may not have is infinite in both arrays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lut_gen.errors import AgnError

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""Relative differences that sums of float64 may have."""


class AssignmentError(AgnError):
    """No assignment meets the budget and the limits."""


@dataclass(frozen=True)
class Candidate:
    """One multiplier for one layer: total energy of the layer an image, fJ, and predicted loss, nats."""

    layer: str
    multiplier: str
    energy_fj: float
    loss: float


@dataclass(frozen=True)
class Limits:
    """What an assignment must keep to, besides its budget of loss. None: no such limit.

    types: most distinct multipliers. area_um2: most area of the arrays; there is one array for each multiplier in use.
    delay_ns: slower multipliers are out. excluded: by layer, the multipliers that it may not have. groups: by layer,
    its tile group; layers of one group share one multiplier, layers without a group stand alone.
    """

    types: int | None = None
    area_um2: float | None = None
    delay_ns: float | None = None
    excluded: Mapping[str, Collection[str]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.types is not None and (type(self.types) is not int or self.types < 1):
            raise AgnError("a number of types from 1 on", f"types={self.types!r} came", "give a whole number, or None")
        texts = [layer for layer, barred in self.excluded.items() if isinstance(barred, str)]
        if texts:
            came, mend = f"'{self.excluded[texts[0]]}' came", f"write {{'{texts[0]}': ['{self.excluded[texts[0]]}']}}"
            raise AgnError(f"a list of multipliers that {texts[0]} may not have", came, mend)


@dataclass(frozen=True)
class Hardware:
    """By multiplier: area of an array made of it, um2, and its delay, ns. What is missing or not finite is not known,
    and a multiplier is out where a figure of it that a limit or the objective asks for is not known."""

    area_um2: Mapping[str, float] = field(default_factory=dict)
    delay_ns: Mapping[str, float] = field(default_factory=dict)


Objective = Literal["energy", "area"]
NO_LIMITS = Limits()
NO_HARDWARE = Hardware()


@dataclass(frozen=True)
class Problem:
    """Rows are tile groups, columns multipliers. Minimise, over one column a row for each of the budgets,

        sum over columns in use of opening + sum over budgets of weight * sum over rows of cost

    with the rows' summed loss within each budget, at most `types` columns in use by all budgets together, and their
    summed area within `room`. tiles: the layers of each row. cost, loss: float64 [rows, columns], inf where not
    allowed; opening, area: float64 [columns]; budgets, weights: float64 [budgets].
    """

    tiles: tuple[tuple[str, ...], ...]
    multipliers: tuple[str, ...]
    cost: Floats
    loss: Floats
    budgets: Floats
    weights: Floats
    opening: Floats
    area: Floats
    types: int | None = None
    room: float = np.inf

    @property
    def most_types(self) -> int:
        """The limit on columns in use that holds in any case."""
        most = min(len(self.multipliers), len(self.tiles) * len(self.budgets))
        return most if self.types is None else min(self.types, most)

    @property
    def separable(self) -> bool:
        """Whether rows share nothing but the budgets of loss."""
        columns = min(len(self.multipliers), len(self.tiles) * len(self.budgets))
        return self.most_types >= columns and not self.opening.any() and self.area.sum() <= self.room


def build(
    candidates: Sequence[Candidate],
    budgets: Floats,
    weights: Floats,
    limits: Limits,
    hardware: Hardware,
    objective: Objective = "energy",
) -> Problem:
    """The problem of least energy, or of least area whatever the energy.

    Raises AssignmentError when a layer or a group has no multiplier left.
    """
    layers = list(dict.fromkeys(candidate.layer for candidate in candidates))
    multipliers = list(dict.fromkeys(candidate.multiplier for candidate in candidates))
    _check_names(layers, limits)
    energy, loss = _by_layer(candidates, layers, multipliers, limits)
    area, counts = _figures(hardware.area_um2, multipliers), limits.area_um2 is not None or objective == "area"
    room = np.inf if limits.area_um2 is None else limits.area_um2
    if counts:
        energy[:, ~(area <= room)] = np.inf  # not known: nan, and so out
    if limits.delay_ns is not None:
        energy[:, ~(_figures(hardware.delay_ns, multipliers) <= limits.delay_ns)] = np.inf
    loss[np.isinf(energy)] = np.inf
    tiles = _tiles(layers, limits)
    rows = [[layers.index(layer) for layer in tile] for tile in tiles]
    energy, loss = (np.array([values[row].sum(axis=0) for row in rows]) for values in (energy, loss))
    for tile, possible in zip(tiles, np.isfinite(loss), strict=True):
        if not possible.any():
            raise _nothing_left(tile, limits, objective)
    kept = np.flatnonzero(np.isfinite(loss).any(axis=0))
    energy, loss, nothing = energy[:, kept], loss[:, kept], np.zeros(len(kept))
    area = area[kept] if counts else nothing
    # a budget beyond any choice's loss is none: keeps them finite
    budgets = np.minimum(budgets, np.where(np.isfinite(loss), loss, 0.0).max(axis=1).sum())
    least_area = objective == "area"
    cost = np.where(np.isfinite(loss), 0.0, np.inf) if least_area else energy
    return Problem(tiles, tuple(multipliers[i] for i in kept), cost, loss, budgets, weights,
                   area if least_area else nothing, area, limits.types, room)  # fmt: skip


def least_loss(problem: Problem) -> Problem:
    """The same rows, columns and limits, but the summed loss itself is to be least."""
    most = np.where(np.isfinite(problem.loss), problem.loss, 0.0).max(axis=1).sum(keepdims=True)
    none = np.zeros(len(problem.multipliers))
    return replace(problem, cost=problem.loss, budgets=most, weights=np.ones(1), opening=none)


def _by_layer(
    candidates: Sequence[Candidate], layers: list[str], multipliers: list[str], limits: Limits
) -> tuple[Floats, Floats]:
    """Energy and loss, float64 [layers, multipliers], both inf where there is no finite candidate or it is excluded."""
    row, column = {name: i for i, name in enumerate(layers)}, {name: i for i, name in enumerate(multipliers)}
    energy, loss = np.full((2, len(layers), len(multipliers)), np.inf)
    for one in candidates:
        allowed = one.multiplier not in limits.excluded.get(one.layer, ())
        if allowed and np.isfinite(one.energy_fj) and np.isfinite(one.loss):
            energy[row[one.layer], column[one.multiplier]] = one.energy_fj
            loss[row[one.layer], column[one.multiplier]] = one.loss
    return energy, loss


def _tiles(layers: list[str], limits: Limits) -> tuple[tuple[str, ...], ...]:
    """The layers of each row: a group each, or a layer that stands alone."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for layer in layers:
        groups.setdefault((layer in limits.groups, limits.groups.get(layer, layer)), []).append(layer)
    return tuple(tuple(group) for group in groups.values())


def _figures(known: Mapping[str, float], multipliers: list[str]) -> Floats:
    """float64 [multipliers], nan where no finite figure is known."""
    figures = np.array([known.get(name, np.nan) for name in multipliers], dtype=float)
    return np.where(np.isfinite(figures), figures, np.nan)


def _check_names(layers: list[str], limits: Limits) -> None:
    """Raises AssignmentError for limits that cannot be meant."""
    if not layers:
        raise AssignmentError("candidates for at least one layer", "there are none", "give some for every layer")
    unknown = sorted({*limits.excluded, *limits.groups} - set(layers))
    if unknown:
        known = f"name any of {', '.join(layers)}"
        raise AssignmentError("limits on the network's layers", f"there is no layer {unknown[0]}", known)


def _nothing_left(tile: tuple[str, ...], limits: Limits, objective: Objective) -> AssignmentError:
    """Which limits leave nothing for these layers."""
    asked = {
        "area": limits.area_um2 is not None,
        "delay": limits.delay_ns is not None,
        "exclusions": any(limits.excluded.get(layer) for layer in tile),
        "group": len(tile) > 1,
    }
    reasons = [name for name, holds in asked.items() if holds]
    layers = tile[0] if len(tile) == 1 else f"layers {', '.join(tile)} together"
    mend = f"loosen the limits on {', '.join(reasons)}" if reasons else "add multipliers with finite loss"
    if objective == "area":
        mend += ", or give the areas of those whose area is not known"
    return AssignmentError(f"a multiplier for {layers}", "the limits leave none", mend)
