"""Retraining in the loop: how far below the untrained choice the energy can go, and what is done when it fails.

From the cheapest assignment that holds without retraining the search goes on to cheaper ones, each retrained with its
tables and judged on validation images: farther while it holds, half way back (tightened, and solved again) where the
target is missed. If nothing holds untrained, it starts at the safest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn

from agn_hw.conversion.approximate import approximate
from agn_hw.nn.compensation import reestimate
from agn_hw.recipe import Recipe
from agn_hw.search.selection import Names, Trial, Trials
from agn_hw.train import fit
from agn_hw.zoo.data import Splits

ROUNDS = 4
"""Assignments retrained, at most."""
STRIDE = 16
"""The first step towards cheaper proposals is one in so many of all."""
EPOCHS, FEWEST_STEPS = 0.5, 100
"""A retraining: half an epoch, but at least so many batches."""
RATE = 3e-4
DISTILL = 0.9


def recipe(splits: Splits, augment: Any, seed: int) -> Recipe:
    """Half an epoch at a rate that every gradient bears, taught by the float network (reports/networks)."""
    batch = min(100, len(splits.train))
    epochs = max(EPOCHS, FEWEST_STEPS * batch / len(splits.train))
    return Recipe(epochs, batch, RATE, augment=augment, schedule="cosine", distill=DISTILL, seed=seed)


class Retraining:
    """Retrains assignments of one study, each at most once."""

    def __init__(self, trials: Trials, splits: Splits, teacher: nn.Module, recipe: Recipe) -> None:
        self.trials, self.splits, self.teacher, self.recipe = trials, splits, teacher, recipe
        self._done: dict[tuple[str, ...], tuple[Trial, dict[str, Any]]] = {}

    def known(self, names: Names) -> bool:
        """Whether an assignment was retrained before."""
        return self.trials.key(names) in self._done

    def run(self, names: Names) -> Trial:
        """The trial of an assignment after retraining."""
        key = self.trials.key(names)
        if key not in self._done:
            network = self._start(names)
            fit(network, self.splits, self.recipe, teacher=self.teacher, validate=False)
            trial = self.trials.judge(network, names, self.trials.divergence(names))
            self._done[key] = trial, copy.deepcopy(network.state_dict())
        return self._done[key][0]

    def network(self, names: Names) -> fx.GraphModule:
        """The retrained network of an assignment."""
        self.run(names)
        network = approximate(self.trials.model, self.trials.options.choice(names))
        network.load_state_dict(self._done[self.trials.key(names)][1])
        return network.eval()

    def _start(self, names: Names) -> fx.GraphModule:
        trials = self.trials
        network = approximate(trials.model, trials.options.choice(names))
        with torch.no_grad():
            reestimate(network, [trials.calibration], trials.options.exact)
        return network


def descend(
    retraining: Retraining,
    proposals: Sequence[Names],
    untrained: int,
    max_drop: float,
    cost: Callable[[Trial], Any],
    step: Callable[[], None] = lambda: None,
) -> Trial | None:
    """The retrained trial of least cost found that is within `max_drop` points, None if none is.

    untrained: the number of the cheapest proposal that holds without retraining, -1 if none does. Each is judged by its
    own loss: retrained networks are too few to smooth. step() is called after each retraining.
    """
    held: list[Trial] = []
    good, bad, stride = untrained, len(proposals), max(1, len(proposals) // STRIDE)
    rounds = ROUNDS
    while bad - good > 1 and rounds:
        index = max(min(good + stride, (good + bad) // 2 if bad < len(proposals) else bad - 1), good + 1)
        rounds -= not retraining.known(proposals[index])  # several budgets may have one answer
        trial = retraining.run(proposals[index])
        step()
        if trial.within(max_drop):
            good = index
            held.append(trial)
        else:
            bad = index
    return min(held, key=cost, default=None)
