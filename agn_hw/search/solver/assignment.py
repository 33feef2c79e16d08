"""One multiplier a layer: least energy within a budget of predicted loss, solved to optimality.

    minimise   sum energy[l, m] * pick[l, m]
    subject to sum loss[l, m] * pick[l, m] <= budget,  sum over m of pick[l, m] = 1,  pick binary

and within the limits of the hardware: few distinct multipliers, the arrays' area, delay, exclusions, tile groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agn_hw.search.solver.branching import Solution, solve
from agn_hw.search.solver.infeasible import impossible
from agn_hw.search.solver.problem import (
    NO_HARDWARE,
    NO_LIMITS,
    ROUNDING,
    AssignmentError,
    Candidate,
    Floats,
    Hardware,
    Limits,
    Objective,
    Problem,
    build,
)
from agn_hw.search.solver.settling import total

__all__ = ["Assignment", "AssignmentError", "Candidate", "Hardware", "Limits", "Objective", "assign", "front",
           "operating_points", "undominated"]  # fmt: skip

SECONDS = 20.0
"""Time for one solution, if the caller gives none."""


@dataclass(frozen=True)
class Assignment:
    """The choice by layer, its energy an image (fJ) and predicted loss (nats).

    gap: how far the optimum could at most be below this one's objective, relative to it; 0 is proven optimal.
    area_um2: of the arrays, one for each multiplier in use; None where it is not known.
    """

    choice: dict[str, str]
    energy_fj: float
    loss: float
    gap: float
    area_um2: float | None = None

    @property
    def types(self) -> int:
        """How many distinct multipliers are in use."""
        return len(set(self.choice.values()))


def assign(
    candidates: Sequence[Candidate],
    budget: float,
    *,
    limits: Limits = NO_LIMITS,
    hardware: Hardware = NO_HARDWARE,
    objective: Objective = "energy",
    seconds: float = SECONDS,
) -> Assignment:
    """The choice of least energy whose summed loss is at most `budget` and that keeps the limits.

    With objective "area" it is the least area of the arrays, and among those the least energy. After `seconds` the best
    choice found is returned with its gap. Raises AssignmentError when there is none, saying which limit is in the way.
    """
    return _solved(candidates, [budget], [1.0], limits, hardware, objective, seconds)[0]


def operating_points(
    candidates: Sequence[Candidate],
    budgets: Sequence[float],
    *,
    limits: Limits = NO_LIMITS,
    weights: Sequence[float] | None = None,
    hardware: Hardware = NO_HARDWARE,
    seconds: float = SECONDS,
) -> list[Assignment]:
    """One assignment for each budget, all from one set of multipliers that keeps the limits: least weighted energy.

    weights: one a budget, how much of the time it is used (equal without). An accelerator that may switch between
    accuracies holds the multipliers of all of them: Trommer, Waschneck, Kumar, "QoS-Nets", 2024.
    Raises AssignmentError.
    """
    shares = [1.0] * len(budgets) if weights is None else list(weights)
    if len(shares) != len(budgets) or not shares or min(shares) <= 0:
        came = f"there are {len(budgets)} budgets and weights {shares}"
        raise AssignmentError("a positive weight for each operating point", came, "give as many weights as budgets")
    return _solved(candidates, budgets, shares, limits, hardware, "energy", seconds)


def front(
    candidates: Sequence[Candidate],
    budgets: Iterable[float] | Floats,
    *,
    limits: Limits = NO_LIMITS,
    hardware: Hardware = NO_HARDWARE,
    objective: Objective = "energy",
    seconds: float = SECONDS,
) -> list[Assignment]:
    """The distinct optimal assignments over a range of budgets, cheapest last; infeasible budgets are left out.

    seconds: for each of them. Raises AssignmentError when the limits leave a layer without multipliers.
    """
    found: list[Assignment] = []
    build(candidates, np.zeros(1), np.ones(1), limits, hardware, objective)  # raises what no budget can mend
    for budget in sorted(budgets):
        try:
            one = _solved(candidates, [float(budget)], [1.0], limits, hardware, objective, seconds)[0]
        except AssignmentError:
            continue
        if not found or _paid(one, objective) < _paid(found[-1], objective):
            found.append(one)
    return found


def _paid(one: Assignment, objective: Objective) -> tuple[float, ...]:
    """What is minimised, in the order of importance."""
    return (one.energy_fj,) if objective == "energy" else (one.area_um2 or 0.0, one.energy_fj)


def _solved(
    candidates: Sequence[Candidate],
    budgets: Sequence[float],
    weights: Sequence[float],
    limits: Limits,
    hardware: Hardware,
    objective: Objective,
    seconds: float,
) -> list[Assignment]:
    """One assignment a budget. Raises AssignmentError."""
    points = np.array(budgets, dtype=float), np.array(weights, dtype=float)
    problem = build(candidates, *points, limits, hardware, objective)
    solution = solve(problem, seconds)
    if solution is None:
        raise impossible(problem, limits, min(budgets), lambda other: _least(other, seconds))
    gap = _gap(problem, solution)
    if objective == "area":
        # among those of the least area, the least energy
        area = total(problem, solution.picks) * (1 + ROUNDING)
        first, problem = problem, build(candidates, *points, replace(limits, area_um2=area), hardware)
        column = {name: i for i, name in enumerate(problem.multipliers)}
        same = np.array([[column[first.multipliers[m]] for m in picks] for picks in solution.picks])
        solution = solve(problem, seconds) or Solution(same, 0.0)
        gap = max(gap, _gap(problem, solution))
    layers = list(dict.fromkeys(candidate.layer for candidate in candidates))
    return [_assignment(problem, picks, gap, layers, hardware) for picks in solution.picks]


def _least(problem: Problem, seconds: float) -> float | None:
    solution = solve(problem, seconds)
    return None if solution is None else total(problem, solution.picks)


def _gap(problem: Problem, solution: Solution) -> float:
    cost = total(problem, solution.picks)
    gap = (cost - solution.bound) / cost if cost > 0 else 0.0
    return gap if gap > ROUNDING else 0.0


def _assignment(
    problem: Problem, picks: NDArray[np.int64], gap: float, layers: list[str], hardware: Hardware
) -> Assignment:
    rows = np.arange(len(picks))
    chosen = {layer: problem.multipliers[m] for tile, m in zip(problem.tiles, picks, strict=True) for layer in tile}
    used = set(chosen.values())
    area = sum(hardware.area_um2.get(name, np.nan) for name in used)
    energy, loss = float(problem.cost[rows, picks].sum()), float(problem.loss[rows, picks].sum())
    choice = {layer: chosen[layer] for layer in layers}
    return Assignment(choice, energy, loss, gap, area if np.isfinite(area) else None)


def undominated(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without those that another of the same layer beats in energy and loss: no optimum without limits needs them."""
    kept = []
    for layer in dict.fromkeys(candidate.layer for candidate in candidates):
        least = np.inf
        own = [candidate for candidate in candidates if candidate.layer == layer]
        for candidate in sorted(own, key=lambda c: (c.energy_fj, c.loss, c.multiplier)):
            if candidate.loss < least:
                least = candidate.loss
                kept.append(candidate)
    return kept
