"""From proposals to a choice: assignments tried on validation images, the cheapest that keeps the accuracy.

A trial is noisy, and the cheapest of many that look good is also the luckiest. So no trial is judged alone: all that
were ever made, whoever proposed them, are put in order of the KL divergence that the whole assignment has on
calibration images - a smooth measure that no label enters - and their losses are smoothed along it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from scipy.optimize import isotonic_regression
from torch import fx

from agn_hw.search.behaviour import Answers, Drop, answers, build, drop
from agn_hw.search.candidates import Options
from agn_hw.search.pairs.sensitivity import kl_divergence
from agn_hw.search.threads import side_by_side
from agn_hw.zoo.data import Split

Names = dict[str, str]
"""An assignment: multiplier by layer."""

NEARBY = 2
"""Proposals tried on both sides of the crossing that bisection finds, for smoothing."""
DOUBT = 2.0
"""Standard errors that smoothing may take off a measured loss, at most."""


@dataclass(frozen=True)
class Trial:
    """One assignment (multiplier by layer) on the validation split. `energy` is relative to the reference.

    divergence: KL of the whole network's outputs from the exact network's on calibration images, nats. lost: accuracy
    lost; faded: probability of the true class lost, which moves before answers flip and is less noisy. Both in points
    against the float network.
    """

    names: Names
    energy: float
    divergence: float
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
        with torch.no_grad():
            self._exact = model(calibration)
        self._divergences: dict[tuple[str, ...], float] = {}
        self._done: dict[tuple[str, ...], Trial] = {}
        self._last: tuple[tuple[str, ...], fx.GraphModule] | None = None

    def key(self, names: Names) -> tuple[str, ...]:
        """Multipliers in the order of the layers."""
        return tuple(names[layer] for layer in self.options.operands)

    @property
    def done(self) -> list[Trial]:
        """All trials made so far."""
        return list(self._done.values())

    def network(self, names: Names) -> fx.GraphModule:
        """The compensated network of one assignment; the last one is kept."""
        key = self.key(names)
        if self._last is None or self._last[0] != key:
            self._last = None  # before the next one is made
            self._last = key, self._built(names)
        return self._last[1]

    def _built(self, names: Names) -> fx.GraphModule:
        return build(self.model, self.options.choice(names), self.calibration, self.options.exact)

    @torch.no_grad()
    def divergence(self, names: Names) -> float:
        """KL of the compensated network's class probabilities from the exact ones on the calibration images, nats."""
        key = self.key(names)
        if key not in self._divergences:
            self._divergences[key] = kl_divergence(self._exact, self.network(names)(self.calibration))
        return self._divergences[key]

    def run(self, names: Names) -> Trial:
        """The trial of one assignment."""
        key = self.key(names)
        if key not in self._done:
            self._done[key] = self.judge(self.network(names), names, self.divergence(names))
        return self._done[key]

    def run_all(self, many: Sequence[Names]) -> None:
        """The trials of several assignments, side by side: one takes torch's threads less than half of its time."""
        new = {self.key(names): names for names in many if self.key(names) not in self._done}

        @torch.no_grad()
        def trial(names: Names) -> Trial:
            network = self._built(names)
            divergence = kl_divergence(self._exact, network(self.calibration))
            return self.judge(network, names, divergence)

        self._done |= zip(new, side_by_side(trial, list(new.values())), strict=True)

    def judge(self, network: fx.GraphModule, names: Names, divergence: float) -> Trial:
        """A network with this assignment, whatever its weights, on the split."""
        found = answers(network, self.split)
        lost, faded = drop(self.baseline.hits, found.hits), drop(self.baseline.truth, found.truth)
        return Trial(names, self.options.relative_energy(names), divergence, found.accuracy, lost, faded)

    def smoothed(self) -> dict[tuple[str, ...], Trial]:
        """All trials with their losses smoothed, by assignment."""
        return {self.key(trial.names): trial for trial in smoothed(self.done)}

    def holds(self, names: Names, max_drop: float) -> bool:
        """Whether an assignment, tried now if it was not yet, is within `max_drop` points by the smoothed losses."""
        self.run(names)
        return self.smoothed()[self.key(names)].within(max_drop)


def search(
    trials: Trials,
    proposals: Sequence[Names],
    max_drop: float,
    tried: dict[int, Names],
    step: Callable[[], None] = lambda: None,
) -> None:
    """Tries proposals, of falling cost and rising loss, around the cheapest that holds, until nothing new is asked for.

    Bisection on their order, then NEARBY different ones on both sides, because loss is not quite monotonic in it. Every
    trial smooths all others, so that what held may no longer: it is bisected again, and where nothing holds, safer ones
    are tried up to the safest. `tried` (by number) is added to; `step` is called after each trial.
    """

    def holds(index: int) -> bool:
        tried[index] = proposals[index]
        held = trials.holds(proposals[index], max_drop)
        step()
        return held

    while len(proposals):
        known = len(tried)
        good, bad = -1, len(proposals)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if holds(middle) else (good, middle)
        nearby = [*_others(trials, proposals, good, -1), *_others(trials, proposals, bad, 1)]
        trials.run_all([proposals[index] for index in nearby])
        for index in nearby:
            holds(index)
        if len(tried) > known:
            continue
        safest = min(tried)
        if safest == 0 or any(trials.holds(names, max_drop) for names in tried.values()):
            break
        holds(safest // 2)


def _others(trials: Trials, proposals: Sequence[Names], start: int, way: int) -> list[int]:
    """The next NEARBY proposals from `start` on that differ from it and from each other, start itself if it exists."""
    found: list[int] = []
    seen: set[tuple[str, ...]] = set()
    for index in range(start, min(max(start + 6 * NEARBY * way, -1), len(proposals)), way):
        if 0 <= index < len(proposals) and trials.key(proposals[index]) not in seen:
            seen.add(trials.key(proposals[index]))
            found.append(index)
    return found[: NEARBY + 1]


def smoothed(trials: Sequence[Trial]) -> list[Trial]:
    """The same trials with losses that never fall while the divergence rises, in that order.

    Isotonic regression, the least-squares monotone fit (Barlow et al., "Statistical inference under order
    restrictions", 1972). A trial far off its neighbours is no chance: no loss is taken for more than DOUBT standard
    errors less than was measured.
    """
    if not trials:
        return []
    ordered = sorted(trials, key=lambda trial: (trial.divergence, -trial.energy))
    lost = isotonic_regression([trial.lost.points for trial in ordered]).x
    faded = isotonic_regression([trial.faded.points for trial in ordered]).x
    return [
        replace(trial, lost=_believed(trial.lost, float(a)), faded=_believed(trial.faded, float(b)))
        for trial, a, b in zip(ordered, lost, faded, strict=True)
    ]


def _believed(measured: Drop, smooth: float) -> Drop:
    return replace(measured, points=max(smooth, measured.points - DOUBT * measured.error))


def cheapest_within(
    trials: Sequence[Trial], max_drop: float, cost: Callable[[Trial], Any] = lambda trial: trial.energy
) -> Trial | None:
    """The trial of least cost that is within `max_drop` points, None if there is none."""
    good = [trial for trial in trials if trial.within(max_drop)]
    return min(good, key=cost) if good else None
