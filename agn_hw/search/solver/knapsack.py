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
Sums = tuple[Floats, Floats, Floats, Picks]
"""Partial sums of a row and those before it, by rising loss: cost, loss, excess, and which sum of the rows before was
extended by which of the row's cells, counted as one (sum * cells + cell); float64 and int64 [sums]."""
MOST_STATES, FEW_STATES = 400_000, 200
"""Partial sums that are kept before the proof is given up, and of how many the search then goes on."""
MOST_CELLS = 500_000
"""Sums that are looked at together, of which each takes some 300 bytes; then the clock is looked at."""
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
    """The cheapest choice within budget of all whose summed excess is below slack; whether that is proven.

    When time runs out or the sums become too many, a few of them go on, so that there may still be a choice.
    """
    options = [np.flatnonzero(row < slack) for row in excess]
    order = sorted(range(len(cost)), key=lambda row: len(options[row]))
    rest = np.append(np.cumsum(loss.min(axis=1)[order][::-1])[::-1][1:], 0.0)  # least loss of the rows still to come
    sums: Sums = np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64)
    trail: list[NDArray[np.int32]] = []  # by row, [2, sums]: the sum that was extended, and the column
    proven = True
    for row, to_come in zip(order, rest, strict=True):
        columns = options[row]
        cells = cost[row, columns], loss[row, columns], excess[row, columns]
        further = _extended(sums, cells, budget - to_come, slack, deadline, MOST_STATES) if proven else None
        if further is None:
            proven, few = False, _spread(sums[2])
            sums = sums[0][few], sums[1][few], sums[2][few], sums[3][few]
            trail[-1:] = [steps[:, few] for steps in trail[-1:]]
            further = _extended(sums, cells, budget - to_come, slack, np.inf, np.inf)
        if further is None or not len(further[0]):
            return None, proven
        sums = further
        trail.append(np.array([sums[3] // len(columns), columns[sums[3] % len(columns)]], dtype=np.int32))
    state = int(sums[0].argmin())
    picks = np.zeros(len(cost), dtype=np.int64)
    for row, (parents, chosen) in zip(reversed(order), reversed(trail), strict=True):
        picks[row], state = chosen[state], parents[state]
    return picks, proven


def _extended(
    sums: Sums, cells: tuple[Floats, Floats, Floats], room: float, slack: float, deadline: float, most: float
) -> Sums | None:
    """The sums with one of a row's cells (cost, loss, excess) each: undominated, loss at most `room`, excess below
    slack. None when there are more than `most`, or when time is up."""
    width = len(cells[0])
    found: list[Sums] = []
    block = max(1, MOST_CELLS // max(1, width))
    for first in range(0, len(sums[0]), block):
        if time.monotonic() > deadline:
            return None
        cost, loss, excess = ((old[first : first + block, None] + new).ravel()
                              for old, new in zip(sums[:3], cells, strict=True))  # fmt: skip
        kept = np.flatnonzero((excess < slack) & (loss <= room))
        found.append((cost[kept], loss[kept], excess[kept], first * width + kept))
        if sum(len(part[0]) for part in found) > MOST_CELLS:
            found = [_undominated(found)]
            if len(found[0][0]) > most:
                return None
    merged = _undominated(found)
    return merged if len(merged[0]) <= most else None


def _undominated(parts: list[Sums]) -> Sums:
    """Those that no other sum beats in cost and loss, by rising loss."""
    cost, loss, excess, cell = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.lexsort((cost, loss))
    cheapest = np.minimum.accumulate(cost[order])
    order = order[np.append(True, cheapest[1:] < cheapest[:-1])[: len(order)]]
    return cost[order], loss[order], excess[order], cell[order]


def _spread(excess: Floats) -> Picks:
    """At most FEW_STATES places, rising: of as many stretches of equal length, those of least excess."""
    stretches = np.array_split(np.arange(len(excess)), min(FEW_STATES, len(excess)))
    return np.array([stretch[excess[stretch].argmin()] for stretch in stretches])


def rounded_up(limit: float) -> float:
    """A limit that a choice which meets it exactly still meets when it is summed in another order."""
    return limit + ROUNDING * abs(limit)


def lowered(upper: float) -> float:
    """What a bound must reach for nothing better than `upper` to be left, but for rounding."""
    return upper - ROUNDING * abs(upper) if np.isfinite(upper) else upper
