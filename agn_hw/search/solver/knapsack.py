"""The multiple-choice knapsack: one column a row, least cost, summed loss within a budget. Solved exactly.

Lagrange's multiplier of the budget gives a bound, a feasible choice, and for every cell its excess: how much the bound
rises if the cell is chosen. A dynamic program over undominated (cost, loss) pairs then only needs cells and partial
sums whose excess fits between bound and best known cost (after Pisinger, "A minimal algorithm for the multiple-choice
knapsack problem", 1995).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agn_hw.search.solver.problem import ROUNDING, Floats

Picks = NDArray[np.int64]
MOST_STATES = 400_000
"""Partial sums that are kept before the proof is given up."""
FIRST_SLACK, WIDER = 256, 4
"""Excess is searched up to the gap over FIRST_SLACK, then WIDER at a time: the optimum is mostly near the bound."""


@dataclass(frozen=True)
class Relaxed:
    """price: cost a unit of loss (the multiplier); bound: no choice costs less; picks: a feasible choice of `cost`."""

    price: float
    bound: float
    picks: Picks
    cost: float


def relax(cost: Floats, loss: Floats, budget: float) -> Relaxed | None:
    """The best Lagrangian bound. cost, loss: float64 [rows, columns], inf where not allowed. None: no choice fits.

    The bound is a concave piecewise linear function of the price. Two choices, one that fits and one that does not,
    meet at a price where a better one of either kind is found, until there is none.
    """
    rows = np.arange(len(cost))
    budget = rounded_up(budget)
    over = cost.argmin(axis=1)
    least = cost[rows, over]
    over = np.where(cost <= least[:, None], loss, np.inf).argmin(axis=1)
    over_cost, over_loss = least.sum(), loss[rows, over].sum()
    if over_loss <= budget:
        return Relaxed(0.0, over_cost, over, over_cost)
    least = loss.min(axis=1)
    if least.sum() > budget:
        return None
    under = np.where(loss <= least[:, None], cost, np.inf).argmin(axis=1)
    under_cost, under_loss = cost[rows, under].sum(), loss[rows, under].sum()
    while True:
        price = (under_cost - over_cost) / (over_loss - under_loss)
        picks = (cost + price * loss).argmin(axis=1)
        found_cost, found_loss = cost[rows, picks].sum(), loss[rows, picks].sum()
        value = found_cost + price * found_loss
        if value >= (under_cost + price * under_loss) * (1 - ROUNDING):
            return Relaxed(price, value - price * budget, under, under_cost)
        if found_loss <= budget:
            under, under_cost, under_loss = picks, found_cost, found_loss
        else:
            over_cost, over_loss = found_cost, found_loss


def best(cost: Floats, loss: Floats, budget: float, upper: float, deadline: float) -> tuple[Picks | None, float]:
    """The cheapest choice that costs less than `upper`, None where there is none; and a bound on all choices.

    The bound is the choice's cost, or `upper`, unless time ran out (at `deadline`, of time.monotonic) or there were too
    many partial sums.
    """
    start = relax(cost, loss, budget)
    if start is None or start.bound >= lowered(upper):
        return None, np.inf if start is None else start.bound
    picks = None
    if start.cost < upper:
        picks, upper = start.picks, start.cost
    if start.bound >= lowered(upper):
        return picks, upper
    reduced = cost + start.price * loss
    excess = reduced - reduced.min(axis=1, keepdims=True)
    rows = np.arange(len(cost))
    seen, slack = start.bound, (upper - start.bound) / FIRST_SLACK  # all choices that cost less than `seen` were seen
    while seen < lowered(upper):
        slack = min(slack, upper - start.bound)
        found, proven = _undominated_sums(cost, loss, excess, rounded_up(budget), slack, deadline)
        if found is not None and cost[rows, found].sum() < lowered(upper):
            picks, upper = found, float(cost[rows, found].sum())
        if not proven:
            return picks, seen
        seen, slack = start.bound + slack, slack * WIDER
    return picks, upper


def _undominated_sums(
    cost: Floats, loss: Floats, excess: Floats, budget: float, slack: float, deadline: float
) -> tuple[Picks | None, bool]:
    """The cheapest choice within budget of all whose summed excess is below slack; whether that is proven."""
    options = [np.flatnonzero(row < slack) for row in excess]
    order = sorted(range(len(cost)), key=lambda row: len(options[row]))
    rest = np.append(np.cumsum(loss.min(axis=1)[order][::-1])[::-1][1:], 0.0)  # least loss of the rows still to come
    costs, losses, excesses = np.zeros(1), np.zeros(1), np.zeros(1)
    trail: list[tuple[Picks, Picks]] = []
    proven = True
    for row, to_come in zip(order, rest, strict=True):
        columns = options[row]
        sums = [(old[:, None] + new[row, columns]).ravel()
                for old, new in ((costs, cost), (losses, loss), (excesses, excess))]  # fmt: skip
        kept = np.flatnonzero((sums[2] < slack) & (sums[1] + to_come <= budget))
        kept = kept[np.lexsort((sums[0][kept], sums[1][kept]))]
        cheapest = np.minimum.accumulate(sums[0][kept])
        kept = kept[np.append(True, cheapest[1:] < cheapest[:-1])[: len(kept)]]
        if len(kept) > MOST_STATES or time.monotonic() > deadline:
            proven = False
            kept = kept[np.argsort(sums[2][kept])[:1000]]
            kept = kept[np.argsort(sums[1][kept])]
        if not len(kept):
            return None, proven
        costs, losses, excesses = (values[kept] for values in sums)
        trail.append((kept // len(columns), columns[kept % len(columns)]))
    state = int(costs.argmin())
    picks = np.zeros(len(cost), dtype=np.int64)
    for row, (parents, columns) in zip(reversed(order), reversed(trail), strict=True):
        picks[row], state = columns[state], parents[state]
    return picks, proven


def rounded_up(limit: float) -> float:
    """A limit that a choice which meets it exactly still meets when it is summed in another order."""
    return limit + ROUNDING * abs(limit)


def lowered(upper: float) -> float:
    """What a bound must reach for nothing better than `upper` to be left, but for rounding."""
    return upper - ROUNDING * abs(upper) if np.isfinite(upper) else upper
