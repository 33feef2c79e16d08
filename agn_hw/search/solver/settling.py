"""Sets of columns settled: the best solution within a set by a knapsack for each budget, and the best so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agn_hw.search.solver.knapsack import best, lowered, relax, rounded_up
from agn_hw.search.solver.problem import Floats, Problem
from agn_hw.search.solver.swaps import good_set, neighbours, thinned
from agn_hw.search.solver.type_bound import Columns

Picks = NDArray[np.int64]
NEIGHBOURS = 30
"""How many sets one swap away from a good one are settled."""


@dataclass
class Incumbent:
    """The best solution so far. open_bound: least bound of what was left unproven."""

    cost: float = np.inf
    picks: Picks | None = None
    open_bound: float = np.inf
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=set)
    nodes: int = 0


def total(problem: Problem, picks: Picks) -> float:
    """What a solution costs."""
    cost: Floats = problem.cost[np.arange(len(problem.tiles)), picks].sum(axis=1)
    return float(problem.opening[np.unique(picks)].sum() + problem.weights @ cost)


def attempt(problem: Problem, taken: Columns, columns: Columns, incumbent: Incumbent, deadline: float) -> None:
    """Settles a set that keeps the limits, once."""
    key = tuple(sorted(taken.tolist())), tuple(sorted(columns.tolist()))
    if key not in incumbent.seen:
        incumbent.seen.add(key)
        settle(problem, taken, columns, incumbent, deadline)


def settle(
    problem: Problem, taken: Columns, columns: Columns, incumbent: Incumbent, deadline: float
) -> tuple[float, Columns | None]:
    """The best solution within these columns, whatever types and area it needs, kept if it keeps the limits.

    Returns a bound on the solutions within these columns, and the columns of the best one if there may be better ones
    than the incumbent that keep the limits, else None.
    """
    cost, loss = problem.cost[:, columns], problem.loss[:, columns]
    relaxed = [relax(cost, loss, budget) for budget in problem.budgets]
    if any(one is None for one in relaxed):
        return np.inf, None
    bounds = problem.weights * np.array([one.bound for one in relaxed if one is not None])
    opening = problem.opening[taken].sum()
    picks = []
    for point, budget in enumerate(problem.budgets):
        others = opening + bounds.sum() - bounds[point]
        if others + bounds[point] >= lowered(incumbent.cost):
            return np.inf, None
        found, bound = best(cost, loss, budget, (incumbent.cost - others) / problem.weights[point], deadline)
        bounds[point] = problem.weights[point] * bound
        if found is None:
            continue
        picks.append(columns[found])
    bound = opening + bounds.sum()
    if len(picks) == len(problem.budgets):
        solution = np.array(picks)
        used = np.unique(solution)
        if len(used) <= problem.most_types and problem.area[used].sum() <= rounded_up(problem.room):
            value = total(problem, solution)
            if value < incumbent.cost:
                incumbent.cost, incumbent.picks = value, solution
        elif bound < lowered(incumbent.cost):
            return bound, used
    return (bound, columns[:0]) if bound < lowered(incumbent.cost) else (np.inf, None)


def climb(problem: Problem, start: Floats, incumbent: Incumbent, deadline: float) -> bool:
    """A good incumbent: swaps at prices that follow, then swaps that are solved in full. Whether it is proven best."""
    everything = np.arange(len(problem.multipliers))
    if problem.opening.any() and problem.most_types > 1:
        pair = _cheapest_pair(problem)
        attempt(problem, pair[:0], pair, incumbent, deadline)
    _, used = settle(problem, everything[:0], everything, incumbent, deadline)
    if used is None:
        return True  # the limits are not in the way
    for first in ([], thinned(problem, start, used.tolist())):
        chosen, prices = good_set(problem, start, first)
        while chosen is not None:
            before = incumbent.cost
            attempt(problem, everything[:0], np.array(chosen), incumbent, deadline)
            for other in neighbours(problem, prices, chosen, incumbent.cost, NEIGHBOURS):
                attempt(problem, everything[:0], np.array(other), incumbent, deadline)
            picks = incumbent.picks if incumbent.cost < before else None
            chosen = None if picks is None else np.unique(picks).tolist()
    return False


def _cheapest_pair(problem: Problem) -> Columns:
    """The two columns of least opening that can meet the budgets, where there are such; some two otherwise."""
    every = [np.minimum(problem.loss[:, [i]], problem.loss).sum(axis=0) for i in range(len(problem.multipliers))]
    opening = problem.opening[:, None] + problem.opening
    opening[np.array(every) > problem.budgets.min()] = np.inf
    return np.unique(np.unravel_index(opening.argmin(), opening.shape))
