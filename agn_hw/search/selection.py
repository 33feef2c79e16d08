"""From predicted to real: assignments over a range of budgets, tried on validation images, the cheapest good one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import fx

from agn_hw.search.assignment import Assignment, Candidate, front
from agn_hw.search.behaviour import Answers, Drop, answers, build, drop
from agn_hw.search.candidates import Options
from agn_hw.zoo.data import Split

BUDGETS = 36
COARSE = 3
"""How many budgets the front is solved for, and every which of its assignments is tried at first."""


@dataclass(frozen=True)
class Trial:
    """One assignment (multiplier by layer) on the validation split. `energy` is relative to the reference.

    lost: accuracy lost; faded: probability of the true class lost, which moves before answers flip and is less noisy.
    Both in points against the float network.
    """

    names: dict[str, str]
    energy: float
    accuracy: float
    lost: Drop
    faded: Drop

    def within(self, max_drop: float) -> bool:
        """Whether both losses are within `max_drop` points, one standard error on the safe side."""
        return self.lost.within(max_drop) and self.faded.within(max_drop)


class Trials:
    """Tries assignments on one split; each at most once."""

    def __init__(
        self,
        model: fx.GraphModule,
        options: Options,
        calibration: torch.Tensor,
        split: Split,
        baseline: Answers,
    ) -> None:
        self.model, self.options, self.calibration = model, options, calibration
        self.split, self.baseline = split, baseline
        self._done: dict[tuple[str, ...], Trial] = {}

    def run(self, names: dict[str, str], step: Callable[[], None] = lambda: None) -> Trial:
        """The trial of one assignment; `step` is called when it is done."""
        key = tuple(names[layer] for layer in self.options.operands)
        if key not in self._done:
            found = answers(self.network(names), self.split)
            lost, faded = drop(self.baseline.hits, found.hits), drop(self.baseline.truth, found.truth)
            energy = sum(self.options.energy(layer, name) for layer, name in names.items())
            relative = energy / self.options.reference_energy()
            self._done[key] = Trial(names, relative, found.accuracy, lost, faded)
        step()
        return self._done[key]

    def network(self, names: dict[str, str]) -> fx.GraphModule:
        """The compensated network of one assignment."""
        return build(self.model, self.options.choice(names), self.calibration, self.options.exact)

    def sweep(self, candidates: list[Candidate], max_drop: float, step: Callable[[], None]) -> list[Trial]:
        """Trials along the optimal front of these candidates, cheapest first; `step` is called after each.

        Every COARSE-th assignment is tried, then those between the cheapest good one and the next two that were
        tried and are cheaper: the measured loss is not quite monotonic.
        """
        assignments = optimal_front(candidates)  # dear to cheap
        coarse = list(range(0, len(assignments), COARSE))
        tried = {i: self.run(assignments[i].choice, step) for i in coarse}
        passing = [i for i in coarse if tried[i].within(max_drop)]
        if passing:
            for i in range(passing[-1] + 1, min(passing[-1] + 2 * COARSE, len(assignments))):
                tried[i] = self.run(assignments[i].choice, step)
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


def smoothed(trials: list[Trial], predicted: Callable[[dict[str, str]], float]) -> list[Trial]:
    """The same trials with losses that never fall while the predicted loss rises, in that order.

    The cheapest of many noisy trials is also the luckiest; its neighbours say what to expect of it. Isotonic
    regression, the least-squares monotone fit (Barlow et al., "Statistical inference under order restrictions", 1972).
    """
    if not trials:
        return []
    ordered = sorted(trials, key=lambda trial: (predicted(trial.names), -trial.energy))
    lost = isotonic_regression([trial.lost.points for trial in ordered]).x
    faded = isotonic_regression([trial.faded.points for trial in ordered]).x
    return [
        replace(trial, lost=replace(trial.lost, points=float(a)), faded=replace(trial.faded, points=float(b)))
        for trial, a, b in zip(ordered, lost, faded, strict=True)
    ]


def cheapest_within(trials: list[Trial], max_drop: float) -> Trial | None:
    """The trial of least energy that is within `max_drop` points, None if there is none."""
    good = [trial for trial in trials if trial.within(max_drop)]
    return min(good, key=lambda trial: trial.energy) if good else None
