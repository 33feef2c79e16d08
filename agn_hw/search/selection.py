"""From predicted to real: assignments over a range of budgets, tried on validation images, the cheapest good one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from agn_hw.search.assignment import Assignment, Candidate, front
from agn_hw.search.behaviour import Drop, build, correct, drop
from agn_hw.search.candidates import Options
from agn_hw.search.compensation import Moments
from agn_hw.zoo.data import Split

BUDGETS = 36
COARSE = 3
"""Every third assignment of the front is tried, then the untried ones beside the best."""


@dataclass(frozen=True)
class Trial:
    """One assignment (multiplier by layer) on the validation split. `energy` is relative to the reference."""

    names: dict[str, str]
    energy: float
    accuracy: float
    drop: Drop


class Trials:
    """Tries assignments on one split; each at most once."""

    def __init__(
        self,
        model: fx.GraphModule,
        options: Options,
        calibration: torch.Tensor,
        exact: dict[str, Moments],
        split: Split,
        baseline: torch.Tensor,
    ) -> None:
        self.model, self.options, self.calibration, self.exact = model, options, calibration, exact
        self.split, self.baseline = split, baseline
        self._done: dict[tuple[str, ...], Trial] = {}

    def run(self, names: dict[str, str]) -> Trial:
        """The trial of one assignment."""
        key = tuple(names[layer] for layer in self.options.operands)
        if key not in self._done:
            hits = correct(self.network(names), self.split)
            energy = sum(self.options.energy(layer, name) for layer, name in names.items())
            relative = energy / self.options.reference_energy()
            self._done[key] = Trial(names, relative, float(hits.double().mean()), drop(self.baseline, hits))
        return self._done[key]

    def network(self, names: dict[str, str]) -> fx.GraphModule:
        """The compensated network of one assignment."""
        return build(self.model, self.options.choice(names), self.calibration, self.exact)

    def sweep(self, candidates: list[Candidate], max_drop: float, step: Callable[[], None]) -> list[Trial]:
        """Trials along the optimal front of these candidates, cheapest first; `step` is called after each."""
        assignments = optimal_front(candidates)
        tried = {}

        def attempt(i: int) -> None:
            tried[i] = self.run(assignments[i].choice)
            step()

        for i in range(0, len(assignments), COARSE):
            attempt(i)
        passing = [i for i, trial in tried.items() if trial.drop.within(max_drop)]
        if passing:
            best = max(passing)  # the front runs from dear to cheap
            for i in range(best + 1, min(best + COARSE, len(assignments))):
                attempt(i)
        return sorted(tried.values(), key=lambda trial: trial.energy)


def optimal_front(candidates: list[Candidate]) -> list[Assignment]:
    """Optimal assignments from the least possible loss to the least energy, dear to cheap."""
    by_layer: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_layer.setdefault(candidate.layer, []).append(candidate)
    least = sum(min(c.loss for c in group) for group in by_layer.values())
    cheapest = sum(min(group, key=lambda c: (c.energy_fj, c.loss)).loss for group in by_layer.values())
    low = max(least * 1.001, 1e-6)
    return front(candidates, np.geomspace(low, max(cheapest, low * 10), BUDGETS))


def cheapest_within(trials: list[Trial], max_drop: float) -> Trial | None:
    """The trial of least energy whose loss is within `max_drop` points, one standard error on the safe side."""
    good = [trial for trial in trials if trial.drop.within(max_drop)]
    return min(good, key=lambda trial: trial.energy) if good else None
