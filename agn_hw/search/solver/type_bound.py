"""Bounds on assignments from few multiplier types: the p-median problem with a budget, relaxed.

With a price on loss (and on area) and with the rule "each row has one column" priced at u[row], every column can be
judged alone: its worth is its opening cost plus what it saves below u in the rows. The few most negative worths make
the bound (Cornuejols, Fisher, Nemhauser, "Location of bank accounts to optimize float", 1977); prices climb by
subgradient steps (Held, Wolfe, Crowder, "Validation of subgradient optimization", 1974). What a column's worth lacks to
the chosen ones says which columns no better solution uses, and which it must use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agn_hw.search.solver.knapsack import lowered
from agn_hw.search.solver.problem import Floats

Columns = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stacked:
    """The rows of all budgets under one another. cost, loss: float64 [rows, columns], loss 0 where not allowed;
    point: int64 [rows], which budget a row belongs to; budgets, scale: float64 [budgets], the scale being a loss that
    matters; opening, area: float64 [columns]; most: columns in use; room: their area."""

    cost: Floats
    loss: Floats
    point: NDArray[np.int64]
    budgets: Floats
    scale: Floats
    opening: Floats
    area: Floats
    most: int
    room: float

    def of(self, columns: Columns) -> Stacked:
        """The problem of these columns alone."""
        return replace(self, cost=self.cost[:, columns], loss=self.loss[:, columns], opening=self.opening[columns],
                       area=self.area[columns])  # fmt: skip


@dataclass(frozen=True)
class Prices:
    """loss: float64 [budgets], cost a unit of loss; row: float64 [rows]; area: cost a unit of area."""

    loss: Floats
    row: Floats
    area: float


@dataclass(frozen=True)
class Node:
    """What is left to decide: columns that must be used, columns that may be; a bound on all of it, and its prices.

    used: the columns of the best solution without limits on types and area, where it is known.
    """

    taken: Columns
    free: Columns
    bound: float
    prices: Prices
    used: Columns | None = None


@dataclass(frozen=True)
class _Judged:
    """The bound at some prices. worth: float64 [columns]; chosen: the columns that make the bound, bool [columns];
    used: where rows would have them, bool [rows, columns]. entering: the worth that a further column would replace;
    leaving: the worth that would come in for one of them."""

    bound: float
    worth: Floats
    chosen: Mask
    used: Mask
    entering: float
    leaving: float


PATIENCE, LEAST_PACE, MOMENTUM = 8, 0.01, 0.5
"""Steps without a better bound before the pace is halved; the pace at which to stop; what is kept of the last step."""


def tightened(problem: Stacked, node: Node, upper: float, steps: int) -> Node:
    """The node with a better bound and fewer free columns, by at most `steps` steps of the prices.

    Only what could cost less than `upper` is kept. A free column that comes first has the most negative worth.
    """
    columns = np.concatenate([node.taken, node.free])
    taken = np.arange(len(columns)) < len(node.taken)
    prices = best = node.prices
    way = Prices(np.zeros_like(prices.loss), np.zeros_like(prices.row), 0.0)
    top, pace, stale = node.bound, 1.0, 0
    own = problem.of(columns)
    for _ in range(steps):
        judged = _judge(own, taken, prices)
        if judged.bound > top:
            top, best, stale = judged.bound, prices, 0
        else:
            stale += 1
        if top >= lowered(upper) or pace < LEAST_PACE:
            break
        if stale >= PATIENCE:
            prices, pace, stale = best, pace / 2, 0
            way = Prices(np.zeros_like(prices.loss), np.zeros_like(prices.row), 0.0)
            continue
        out, sure = _decided(judged, taken, upper)
        prices, way = _moved(own, judged, prices, way, pace, upper)
        if out.any():
            own, columns = own.of(np.flatnonzero(~out)), columns[~out]
        taken = (taken | sure)[~out]
        if taken.sum() > problem.most:
            top = np.inf
            break
    order = np.argsort(_judge(own, taken, best).worth, kind="stable")
    return Node(columns[taken], columns[order][~taken[order]], top, best, node.used)


def _judge(problem: Stacked, taken: Mask, prices: Prices) -> _Judged:
    """The bound if the columns taken must be used."""
    saved = problem.cost + prices.loss[problem.point, None] * problem.loss - prices.row[:, None]
    worth = problem.opening + prices.area * problem.area + np.minimum(saved, 0.0).sum(axis=0)
    places = problem.most - int(taken.sum())
    free = np.flatnonzero(~taken)
    order = free[np.argsort(worth[free])]
    count = max(0, min(places, int((worth[order] < 0).sum())))
    chosen = taken.copy()
    chosen[order[:count]] = True
    entering = 0.0 if count < places else float(worth[order[count - 1]]) if places > 0 else -np.inf
    leaving = min(0.0, float(worth[order[count]])) if count < len(order) else 0.0
    fixed = prices.row.sum() - prices.loss @ problem.budgets - (prices.area * problem.room if prices.area else 0.0)
    return _Judged(fixed + worth[chosen].sum(), worth, chosen, chosen & (saved < 0), entering, leaving)


def _decided(judged: _Judged, taken: Mask, upper: float) -> tuple[Mask, Mask]:
    """Columns that nothing cheaper than `upper` uses, and columns that it must use."""
    with_it = judged.bound + judged.worth - judged.entering
    without = judged.bound - judged.worth + judged.leaving
    out = ~judged.chosen & (with_it >= lowered(upper))
    return out, judged.chosen & ~taken & (without >= lowered(upper))


def _moved(
    problem: Stacked, judged: _Judged, prices: Prices, before: Prices, pace: float, upper: float
) -> tuple[Prices, Prices]:
    """The prices after one step, and its way: up where a limit is violated, down where it is not used up."""
    unit = np.sqrt(len(prices.row)) / problem.scale
    area_unit = np.sqrt(len(prices.row)) / problem.room if 0 < problem.room < np.inf else 1.0
    loss = np.where(judged.used, problem.loss, 0.0).sum(axis=1)
    over = np.bincount(problem.point, loss, len(problem.budgets)) - problem.budgets
    over_area = problem.area[judged.chosen].sum() - problem.room if np.isfinite(problem.room) else 0.0
    way = Prices(
        over * unit + MOMENTUM * before.loss,
        1.0 - judged.used.sum(axis=1) + MOMENTUM * before.row,
        over_area * area_unit + MOMENTUM * before.area,
    )
    norm = float((way.loss**2).sum() + (way.row**2).sum() + way.area**2)
    aim = upper if np.isfinite(upper) else judged.bound + 0.05 * abs(judged.bound) + 1e-300
    length = pace * (aim - judged.bound) / norm if norm > 0 else 0.0
    moved = Prices(
        np.maximum(prices.loss + length * way.loss * unit, 0.0),
        prices.row + length * way.row,
        max(prices.area + length * way.area * area_unit, 0.0),
    )
    return moved, way
