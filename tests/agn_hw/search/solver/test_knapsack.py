"""The multiple-choice knapsack against trying every choice, and its bounds."""

import math
import time
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.search.solver import knapsack
from agn_hw.search.solver.knapsack import best, relax

BYTES = 300
"""What a sum that is looked at may take."""
CELL = st.none() | st.tuples(st.integers(0, 40), st.integers(0, 40))


@st.composite
def arrays(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Cost and loss, whole numbers, inf where None was drawn; every row has something."""
    columns = draw(st.integers(1, 5))
    row = st.lists(CELL, min_size=columns, max_size=columns).filter(any)
    rows = draw(st.lists(row, min_size=1, max_size=5))
    cells = [[(math.inf, math.inf) if cell is None else cell for cell in row] for row in rows]
    both = np.array(cells, dtype=float)
    return both[..., 0], both[..., 1]


def least(cost: np.ndarray, loss: np.ndarray, budget: float) -> float:
    rows = np.arange(len(cost))
    every = [np.array(pick) for pick in product(range(cost.shape[1]), repeat=len(cost))]
    return min((cost[rows, pick].sum() for pick in every if loss[rows, pick].sum() <= budget), default=math.inf)


@settings(max_examples=300, deadline=None)
@given(arrays(), st.integers(0, 150), st.none() | st.integers(0, 150))
def test_best(both, budget, upper):
    cost, loss = both
    expected = least(cost, loss, budget)
    limit = math.inf if upper is None else upper
    picks, bound = best(cost, loss, budget, limit, time.monotonic() + 60)
    if expected >= limit:
        assert picks is None and limit <= bound * (1 + 1e-9) <= max(expected, limit) * (1 + 2e-9)
        return
    rows = np.arange(len(cost))
    assert bound == expected == cost[rows, picks].sum() and loss[rows, picks].sum() <= budget


@settings(max_examples=200, deadline=None)
@given(arrays(), st.integers(0, 150))
def test_relaxed_bound_and_choice_are_on_both_sides(both, budget):
    cost, loss = both
    expected, found = least(cost, loss, budget), relax(cost, loss, budget)
    if found is None:
        assert expected == math.inf
        return
    rows = np.arange(len(cost))
    assert found.bound <= expected * (1 + 1e-9) and expected <= found.cost == cost[rows, found.picks].sum()
    assert loss[rows, found.picks].sum() <= budget


def test_without_time_or_room_the_bound_still_holds(monkeypatch):
    rng = np.random.default_rng(4)
    cost, loss = rng.random((2, 12, 10))
    exact, bound = best(cost, loss, 3.0, math.inf, time.monotonic() + 60)
    value = cost[np.arange(12), exact].sum()
    assert bound == value
    for states, seconds in ((1, 60.0), (10**6, -1.0)):
        monkeypatch.setattr(knapsack, "MOST_STATES", states)
        picks, bound = best(cost, loss, 3.0, math.inf, time.monotonic() + seconds)
        assert bound <= value <= cost[np.arange(12), picks].sum()
        assert loss[np.arange(12), picks].sum() <= 3.0


def test_a_budget_met_exactly_is_met_in_any_order_of_summing():
    loss = np.array([[0.1, 0.7], [0.2, 0.9], [0.3, 0.8]])
    picks, _ = best(1 - loss, loss[::-1], 0.1 + 0.2 + 0.3, math.inf, time.monotonic() + 60)
    assert list(picks) == [0, 0, 0]
    assert best(1 - loss, loss, 0.59, math.inf, time.monotonic() + 60)[0] is None


@pytest.mark.parametrize("rows", [1, 53])
def test_hundreds_of_columns(rows):
    rng = np.random.default_rng(rows)
    cost = rng.random((rows, 400))
    loss = 10 ** (-4 * cost + 0.3 * rng.standard_normal((rows, 400)))
    picks, bound = best(cost, loss, 0.01 * rows, math.inf, time.monotonic() + 60)
    assert bound == cost[np.arange(rows), picks].sum() >= relax(cost, loss, 0.01 * rows).bound


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_loss_nearly_linear_in_cost_ends_with_a_gap_that_holds_and_little_memory(noise):
    """Almost no choice is dominated: every row has hundreds of times the sums of the one before it."""
    rng = np.random.default_rng(0)
    cost = rng.random((12, 300))
    loss = 1 - cost + noise * rng.random(cost.shape)
    tracemalloc.start()
    picks, bound = best(cost, loss, 4.0, math.inf, time.monotonic() + 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rows = np.arange(12)
    value, start = cost[rows, picks].sum(), relax(cost, loss, 4.0)
    assert loss[rows, picks].sum() <= 4.0 * (1 + 1e-12)
    assert start.bound <= bound <= value <= start.cost and value - bound < 1e-3 * value
    assert bound <= 8.0 + 12 * noise  # cost is 1 - loss: what any choice within budget costs at least, and some reach
    assert peak < BYTES * knapsack.MOST_CELLS


@settings(max_examples=100, deadline=None)
@given(arrays(), st.integers(0, 150), st.integers(1, 4), st.integers(1, 7))
def test_in_small_blocks_or_with_few_sums_the_bound_still_holds(both, budget, states, block):
    cost, loss = both
    expected, rows = least(cost, loss, budget), np.arange(len(cost))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knapsack, "MOST_CELLS", block)
        picks, bound = best(cost, loss, budget, math.inf, time.monotonic() + 60)
        assert bound == expected == (math.inf if picks is None else cost[rows, picks].sum())
        patch.setattr(knapsack, "MOST_STATES", states)
        patch.setattr(knapsack, "FEW_STATES", states)
        picks, bound = best(cost, loss, budget, math.inf, time.monotonic() + 60)
        assert bound <= expected * (1 + 1e-9)
        if picks is not None:
            assert expected <= cost[rows, picks].sum() and loss[rows, picks].sum() <= budget
