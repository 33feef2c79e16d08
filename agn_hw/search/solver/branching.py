"""The assignment problem solved to optimality: branch and bound on the set of columns in use.

Each node knows columns that are used and columns that may be; the bound prices loss, area and rows (type_bound). Where
the set is settled, a multiple-choice knapsack for each budget is left (knapsack).
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, replace

import numpy as np

from agn_hw.search.solver.knapsack import lowered, relax, rounded_up
from agn_hw.search.solver.problem import Floats, Problem, least_loss
from agn_hw.search.solver.settling import Incumbent, Picks, attempt, climb, settle
from agn_hw.search.solver.swaps import thinned
from agn_hw.search.solver.type_bound import Columns, Node, Prices, Stacked, tightened

ROOT_STEPS, NODE_STEPS = 300, 40
"""Steps of the prices at the root, for each start, and at every other node."""
LADDER = (1.0, 10.0, 100.0, 1000.0)
"""Factors on the prices of loss with which the root starts."""


@dataclass(frozen=True)
class Solution:
    """picks: int64 [budgets, rows], the column of each row; bound: no solution costs less."""

    picks: Picks
    bound: float


def solve(problem: Problem, seconds: float) -> Solution | None:
    """The best solution found in the time and a bound on all, None when there is none (or none was found)."""
    deadline = time.monotonic() + seconds
    incumbent = Incumbent()
    everything = np.arange(len(problem.multipliers))
    starts = [relax(problem.cost, problem.loss, budget) for budget in problem.budgets]
    if any(one is None for one in starts):
        return None  # even with all columns
    if problem.separable:
        bound, used = settle(problem, everything, everything, incumbent, deadline)
        incumbent.open_bound = np.inf if used is None else bound
    else:
        prices = problem.weights * np.array([one.price for one in starts if one is not None])
        _search(problem, needed(problem), prices, incumbent, deadline)
    if incumbent.picks is None:
        return None
    return Solution(incumbent.picks, min(incumbent.cost, incumbent.open_bound))


def needed(problem: Problem) -> Columns:
    """The columns that no other one replaces in every row at no more cost, loss, opening and area."""
    figures = np.concatenate([problem.cost, problem.loss, problem.opening[None], problem.area[None]])
    order = np.lexsort(figures[::-1])
    kept: list[int] = []
    for column in order:  # a column that replaces this one comes before it
        if not kept or not (figures[:, kept] <= figures[:, column, None]).all(axis=0).any():
            kept.append(int(column))
    return np.sort(np.array(kept))


def _search(problem: Problem, columns: Columns, prices: Floats, incumbent: Incumbent, deadline: float) -> None:
    """Best bound first, until nothing better than the incumbent is left."""
    stacked = _stacked(problem)
    floor = 1e-3 * (problem.cost.min(axis=1).sum() + problem.opening.min())
    start = np.maximum(prices, floor / stacked.scale)
    if climb(problem, start, incumbent, deadline):
        return
    if incumbent.picks is None and problem.cost is not problem.loss:
        _find_any(problem, incumbent, deadline)
        if incumbent.picks is None:
            return
    root = _root(stacked, columns, start, incumbent.cost)
    heap: list[tuple[float, int, Node]] = [(root.bound, 0, root)]
    while heap:
        bound, _, node = heapq.heappop(heap)
        if bound >= lowered(incumbent.cost):
            break
        if time.monotonic() > deadline:
            incumbent.open_bound = min(incumbent.open_bound, bound)
            break
        for child in _children(problem, node, incumbent, deadline):
            incumbent.nodes += 1
            child = tightened(stacked, child, incumbent.cost, NODE_STEPS)
            if child.bound < lowered(incumbent.cost):
                heapq.heappush(heap, (child.bound, incumbent.nodes, child))


def _root(stacked: Stacked, columns: Columns, start: Floats, upper: float) -> Node:
    """The node of everything; limits on area may call for prices of loss far from those without limits."""
    best = Node(columns[:0], columns, -np.inf, Prices(start, np.zeros(len(stacked.point)), 0.0))
    for factor in LADDER:
        rows = (stacked.cost + factor * start[stacked.point, None] * stacked.loss).min(axis=1)
        fresh = replace(best, bound=-np.inf, prices=Prices(factor * start, rows, 0.0))
        found = tightened(stacked, fresh, upper, ROOT_STEPS)
        best = found if found.bound > best.bound else replace(found, bound=best.bound, prices=best.prices)
    return best


def _find_any(problem: Problem, incumbent: Incumbent, deadline: float) -> None:
    """A first solution by way of the columns of least loss; if these are over budget, there is no solution."""
    found = solve(least_loss(problem), deadline - time.monotonic())
    if found is not None:
        columns = np.unique(found.picks)
        attempt(problem, columns[:0], columns, incumbent, deadline)


def _children(problem: Problem, node: Node, incumbent: Incumbent, deadline: float) -> list[Node]:
    """The two halves of a node, or nothing when it is settled."""
    taken, room = node.taken, rounded_up(problem.room) - problem.area[node.taken].sum()
    places = problem.most_types - len(taken)
    if places < 0 or room < 0:
        return []
    least = problem.weights.sum() * problem.cost.min(axis=1).sum() + problem.opening[taken].sum()
    possible = (problem.area[node.free] <= room) & (least + problem.opening[node.free] < lowered(incumbent.cost))
    free = node.free[possible] if places else node.free[:0]
    fitting = free[np.cumsum(problem.area[free]) <= room][:places]
    columns = np.concatenate([taken, free])
    if not len(columns) or problem.loss[:, columns].min(axis=1).sum() > rounded_up(problem.budgets.min()):
        return []
    if len(fitting) == len(free) and not problem.opening[free].any():
        bound, used = settle(problem, taken, columns, incumbent, deadline)
        if used is not None:
            incumbent.open_bound = min(incumbent.open_bound, bound)
        return []
    attempt(problem, taken, np.concatenate([taken, fitting]), incumbent, deadline)
    bound, used = node.bound, node.used
    if used is None or not np.isin(used, columns).all():
        bound, used = settle(problem, taken, columns, incumbent, deadline)
        if used is None:
            return []
        if len(used):
            fewer = np.array(thinned(problem, node.prices.loss, used.tolist()))
            attempt(problem, fewer[:0], fewer, incumbent, deadline)
    bound = max(bound, node.bound)
    branch = _hardest_to_miss(problem, columns, len(taken)) if problem.opening.any() else 0
    first, others = free[branch : branch + 1], np.delete(free, branch)
    return [
        Node(np.concatenate([taken, first]), others, bound, node.prices, used),
        Node(taken, others, bound, node.prices, used),
    ]


def _hardest_to_miss(problem: Problem, columns: Columns, taken: int) -> int:
    """The free column without which the least possible loss is greatest. columns: those taken, then the free ones."""
    loss = problem.loss[:, columns]
    by_loss = loss.argsort(axis=1)[:, :2]
    least = np.take_along_axis(loss, by_loss, axis=1)  # [rows, 2]
    missed = np.bincount(by_loss[:, 0], np.minimum(least[:, -1], 1e300) - least[:, 0], len(columns))
    return int(missed[taken:].argmax())


def _stacked(problem: Problem) -> Stacked:
    points, rows = len(problem.budgets), len(problem.tiles)
    loss = np.where(np.isfinite(problem.loss), problem.loss, 0.0)
    scale = np.maximum(problem.budgets, 1e-9 * loss.max())
    return Stacked(
        cost=np.concatenate([weight * problem.cost for weight in problem.weights]),
        loss=np.concatenate([loss] * points),
        point=np.repeat(np.arange(points), rows),
        budgets=np.array([rounded_up(budget) for budget in problem.budgets]),
        scale=np.where(scale > 0, scale, 1.0),
        opening=problem.opening,
        area=problem.area,
        most=problem.most_types,
        room=rounded_up(problem.room),
    )
