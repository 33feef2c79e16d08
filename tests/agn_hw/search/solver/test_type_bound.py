"""The bound for few types against trying every set, and what it decides about single columns."""

from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.search.solver.type_bound import Node, Prices, Stacked, tightened

BUDGET = 30.5


@st.composite
def problems(draw: st.DrawFn) -> Stacked:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    numbers = st.lists(st.integers(0, 20), min_size=columns, max_size=columns)
    cost = np.array([draw(numbers) for _ in range(rows)], dtype=float)
    loss = np.array([draw(numbers) for _ in range(rows)], dtype=float)
    return Stacked(cost, loss, np.zeros(rows, dtype=np.int64), np.array([BUDGET]), np.array([BUDGET]),
                   opening=np.array(draw(numbers), dtype=float), area=np.array(draw(numbers), dtype=float),
                   most=draw(st.integers(1, 3)), room=draw(st.sampled_from([np.inf, 15.0, 30.0])))  # fmt: skip


def costs(problem: Stacked) -> dict[frozenset[int], float]:
    """Least cost of the solutions that use just these columns, for every set that keeps the limits."""
    rows = range(len(problem.cost))
    found: dict[frozenset[int], float] = {}
    for size in range(1, problem.most + 1):
        for names in combinations(range(problem.cost.shape[1]), size):
            if problem.area[list(names)].sum() > problem.room:
                continue
            for picks in product(names, repeat=len(rows)):
                if sum(problem.loss[i, m] for i, m in zip(rows, picks, strict=True)) <= BUDGET:
                    used = frozenset(picks)
                    cost = sum(problem.cost[i, m] for i, m in zip(rows, picks, strict=True))
                    cost += problem.opening[list(used)].sum()
                    found[used] = min(found.get(used, np.inf), cost)
    return found


@settings(max_examples=250, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.1, 1.0]), st.integers(1, 100), st.integers(0, 30))
def test_bound_and_decisions_hold(problem, price, steps, above):
    known = costs(problem)
    least = min(known.values(), default=np.inf)
    upper = least + above if known else 1000.0
    rows = (problem.cost + price * problem.loss).min(axis=1)
    columns = np.arange(problem.cost.shape[1])
    start = Node(columns[:0], columns, -np.inf, Prices(np.array([price]), rows, 0.0))
    found = tightened(problem, start, upper, steps)
    better = [used for used, cost in known.items() if cost < upper * (1 - 1e-9)]
    if better:
        assert found.bound <= least * (1 + 1e-9)
    left = {*found.taken.tolist(), *found.free.tolist()}
    assert len(left) == len(found.taken) + len(found.free)
    for used in better:
        assert used <= left and set(found.taken.tolist()) <= used


def test_with_steps_the_bound_nears_the_optimum():
    """Twelve rows, the best two columns of ten, no budget to speak of."""
    rng = np.random.default_rng(0)
    cost, nothing = rng.random((12, 10)), np.zeros(10)
    problem = Stacked(cost, 0 * cost, np.zeros(12, dtype=np.int64), np.ones(1), np.ones(1), nothing, nothing, 2, np.inf)
    best = min(cost[:, list(pair)].min(axis=1).sum() for pair in combinations(range(10), 2))
    columns = np.arange(10)
    bounds = []
    for steps in (1, 300):
        start = Node(columns[:0], columns, -np.inf, Prices(np.zeros(1), cost.min(axis=1), 0.0))
        bounds.append(tightened(problem, start, best * 1.001, steps).bound)
    assert bounds[0] < 0.5 * best < 0.95 * best < bounds[1] <= best * 1.001
