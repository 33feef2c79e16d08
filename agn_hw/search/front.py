"""The front of optimal assignments: least energy (or area) for each budget of loss, solved when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from agn_hw.search.candidates import Options
from agn_hw.search.pairs.losses import Losses, Step
from agn_hw.search.selection import Names
from agn_hw.search.solver import assignment
from agn_hw.search.solver.assignment import Assignment, AssignmentError, Hardware, Limits, Objective

BUDGETS = 96
"""Budgets of loss that a front is made of, in equal ratios."""
ROUNDS = 10
"""How often an assignment is solved again because it needs losses that were only predicted."""
LEAST = 1e-6
"""Nats: the smallest budget."""


class Front(Sequence[Names]):
    """Optimal assignments over a range of budgets of loss, from little to much, each solved when it is asked for.

    among: multipliers to choose from, by layer. Pairs that fewer than two others beat in energy and noise are measured
    at once; with limits that tie layers together others may be worth taking, and are measured when they are.
    Raises AssignmentError where the limits leave nothing.
    """

    def __init__(
        self,
        options: Options,
        losses: Losses,
        among: Iterable[str],
        limits: Limits,
        objective: Objective = "energy",
        step: Step = lambda done, total: None,
    ) -> None:
        self.options, self.losses, self.limits, self.objective = options, losses, limits, objective
        self.among = list(among)
        self.hardware = Hardware(
            {name: options.area(name) for name in self.among}, {name: options.delay(name) for name in self.among}
        )
        screened = {layer: options.screened(layer, self.among) for layer in options.operands}
        wanted = [(layer, name) for layer, names in screened.items() for name in names]
        losses.measure(wanted, step)
        free = limits == Limits() and objective == "energy"
        self.pairs: dict[str, list[str]] = screened if free else dict.fromkeys(screened, self.among)
        self.solved: dict[int, Assignment] = {}
        self.budgets = np.geomspace(*self._range(), BUDGETS)

    def _range(self) -> tuple[float, float]:
        """From about the least loss that is possible to that of the cheapest assignment without a budget."""
        most = max(self._solve(1e9).loss, 100 * LEAST) * 1.001
        low, high = LEAST, most
        while high > 1.3 * low:  # bisection on what is feasible, in logarithms
            middle = low if low == LEAST else (low * high) ** 0.5
            try:
                self._solve(middle)
                high = middle
            except AssignmentError:
                low = max(middle, LEAST * 1.0001)
        return high, most

    def _solve(self, budget: float) -> Assignment:
        """The optimum for a budget, every loss in it measured.

        What is taken because its predicted loss is small is measured, and the whole solved again, ROUNDS times at most;
        after that the choice stays as it is, with its measured loss.
        """
        for _ in range(ROUNDS):
            found = assignment.assign(
                self.options.candidates(self.pairs, self.losses.of),
                budget,
                limits=self.limits,
                hardware=self.hardware,
                objective=self.objective,
            )
            if self.losses.known(found.choice):
                return found
            self.losses.measure(found.choice.items())
        return replace(found, loss=self.losses.total(found.choice))

    def __len__(self) -> int:
        return len(self.budgets)

    @overload
    def __getitem__(self, index: int) -> Names: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Names]: ...

    def __getitem__(self, index: int | slice) -> Names | Sequence[Names]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.at(index).choice

    def at(self, index: int) -> Assignment:
        """The assignment of one budget with its predicted loss and the solver's gap."""
        index = range(len(self))[index]
        if index not in self.solved:
            self.solved[index] = self._solve(float(self.budgets[index]))
        return self.solved[index]
