"""A good set of few columns: swap one for another as long as that helps, at a price on loss that follows the set.

The interchange heuristic of the p-median problem (Teitz and Bart, "Heuristic methods for estimating the generalized
vertex median of a weighted graph", 1968).
"""

from __future__ import annotations

import numpy as np

from agn_hw.search.solver.knapsack import Relaxed, relax
from agn_hw.search.solver.problem import Floats, Problem

ROUNDS = 12
"""How often the price may follow the set, or rise because the set is over budget."""


def good_set(problem: Problem, prices: Floats, start: list[int]) -> tuple[list[int] | None, Floats]:
    """Columns with a feasible solution, None if none was found, and the prices of loss, float64 [budgets], that belong
    to them. The search starts with the prices and columns given."""
    best, least, columns = None, np.inf, list(start)
    for _ in range(ROUNDS):
        columns = _swapped(problem, _priced(problem, prices), columns)
        found = [relax(problem.cost[:, columns], problem.loss[:, columns], budget) for budget in problem.budgets]
        if any(one is None for one in found):
            prices = prices * np.array([4.0 if one is None else 1.0 for one in found])
            continue
        feasible = [one for one in found if one is not None]
        value = _value(problem, columns, feasible)
        if value >= least:
            break
        best, least = list(columns), value
        prices = problem.weights * np.array([one.price for one in feasible])
    return best, prices


def thinned(problem: Problem, prices: Floats, columns: list[int]) -> list[int]:
    """The columns without those that cost least to do without, until the limits on types and area hold."""
    priced = _priced(problem, prices)
    columns = list(columns)
    while len(columns) > problem.most_types or problem.area[columns].sum() > problem.room:
        rests = [columns[:i] + columns[i + 1 :] for i in range(len(columns))]
        without = np.array([priced[:, rest].min(axis=1, initial=np.inf).sum() for rest in rests])
        columns = rests[int((without - problem.opening[columns]).argmin())]
    return columns


def neighbours(problem: Problem, prices: Floats, columns: list[int], upper: float, most: int) -> list[list[int]]:
    """Sets one swap away that may cost less than `upper`, at most `most`, the most promising first."""
    priced, rests = _priced(problem, prices), _ways_out(problem, columns)
    totals = np.array([_totals(problem, priced, rest) for rest in rests]) - prices @ problem.budgets
    order = np.argsort(totals, axis=None)[:most]
    ways, entering = np.unravel_index(order[totals.ravel()[order] < upper], totals.shape)
    return [[*rests[way], int(column)] for way, column in zip(ways, entering, strict=True) if column not in rests[way]]


def _value(problem: Problem, columns: list[int], found: list[Relaxed]) -> float:
    return float(problem.opening[columns].sum() + problem.weights @ [one.bound for one in found])


def _swapped(problem: Problem, priced: Floats, columns: list[int]) -> list[int]:
    """The columns after all swaps and additions that lower the priced cost. priced: float64 [rows, columns]."""
    columns, value = list(columns), np.inf
    while True:
        best: list[int] | None = None
        for rest in _ways_out(problem, columns):
            totals = _totals(problem, priced, rest)
            column = int(totals.argmin())
            if totals[column] < value - 1e-12 * abs(value) if np.isfinite(value) else totals[column] < value:
                best, value = [*rest, column], float(totals[column])
        if best is None:
            return columns
        columns = best


def _ways_out(problem: Problem, columns: list[int]) -> list[list[int]]:
    """The columns without one of them, and all of them if one more is allowed."""
    ways = [columns[:i] + columns[i + 1 :] for i in range(len(columns))]
    return [*ways, columns] if len(columns) < problem.most_types else ways


def _totals(problem: Problem, priced: Floats, rest: list[int]) -> Floats:
    """Priced cost of these columns and one more, for every one: float64 [columns], inf where there is no room."""
    base = priced[:, rest].min(axis=1, initial=np.inf)
    totals: Floats = np.minimum(base[:, None], priced).sum(axis=0) + problem.opening + problem.opening[rest].sum()
    totals[problem.area + problem.area[rest].sum() > problem.room] = np.inf
    return totals


def _priced(problem: Problem, prices: Floats) -> Floats:
    """Cost and priced loss, float64 [budgets * rows, columns]; where not allowed, more than any solution."""
    allowed = np.isfinite(problem.loss)
    loss = np.where(allowed, problem.loss, 0.0)
    priced = problem.weights[:, None, None] * np.where(allowed, problem.cost, 0.0) + prices[:, None, None] * loss
    missing = 10 * (priced.max() * priced.shape[0] * priced.shape[1] + problem.opening.sum() + 1e-300)
    return np.where(allowed, priced, missing).reshape(-1, len(problem.multipliers))
