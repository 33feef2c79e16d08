"""Transitions: sampled steps have the frequencies that histogram and data order say, product steps are real ones."""

import math
from collections import Counter

import numpy as np
import pytest

from lut_gen.energy import transitions
from lut_gen.energy.data_order import INDEPENDENT, OUTPUT_STATIONARY, activation_stationary, weight_stationary
from lut_gen.errors import AgnError

JOINT = np.array([[4, 0, 1], [2, 3, 0]])
ORDERS = (INDEPENDENT, weight_stationary(), weight_stationary(4), activation_stationary(), activation_stationary(2))


def steps_of(found: transitions.Transitions) -> list[tuple[int, int, int, int]]:
    columns = (found.a_before, found.b_before, found.a_after, found.b_after)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def share(order, a0: int, b0: int, a1: int, b1: int) -> float:
    """Probability of one step."""
    p = JOINT / JOINT.sum()
    kept = 0.0
    if order.held == "b" and b0 == b1:
        kept = p[a1, b1] / p[:, b1].sum()
    if order.held == "a" and a0 == a1:
        kept = p[a1, b1] / p[a1, :].sum()
    return p[a0, b0] * (order.stay * kept + (1 - order.stay) * p[a1, b1])


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{order.held}-{order.run}")
def test_drawn_steps_have_the_shares_of_histogram_and_order(order):
    count = 200_000
    found = Counter(steps_of(transitions.drawn(JOINT, order, count, np.random.default_rng(2))))
    total = 0.0
    for a0, b0, a1, b1 in np.ndindex(2, 3, 2, 3):
        expected = share(order, a0, b0, a1, b1)
        total += expected
        if expected == 0:
            assert found[a0, b0, a1, b1] == 0
        deviation = math.sqrt(expected * (1 - expected) / count)
        assert abs(found[a0, b0, a1, b1] / count - expected) <= 4.5 * deviation
    assert total == pytest.approx(1)


def test_the_seed_decides():
    draws = [steps_of(transitions.drawn(JOINT, INDEPENDENT, 50, np.random.default_rng(seed))) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_lone_pair_is_always_drawn():
    joint = np.zeros((4, 4))
    joint[3, 2] = 1e-300
    for order in ORDERS:
        assert set(steps_of(transitions.drawn(joint, order, 500, np.random.default_rng(0)))) == {(3, 2, 3, 2)}


@pytest.mark.parametrize("point", [0.0, float(np.nextafter(1, 0))])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{order.held}-{order.run}")
def test_the_ends_of_the_generators_range_draw_no_pair_that_never_occurs(order, point):
    class Stuck:
        def random(self, count: int) -> np.ndarray:
            return np.full(count, point)

    joint = np.array([[0, 3, 0], [1, 0, 0], [0, 2, 0]])
    for step in steps_of(transitions.drawn(joint, order, 3, Stuck())):
        assert joint[step[:2]] > 0 and joint[step[2:]] > 0


def test_steps_of_a_sequence():
    found = transitions.of_sequence([1, 2, 3], [5, 6, 7])
    assert steps_of(found) == [(1, 5, 2, 6), (2, 6, 3, 7)] and len(found) == 2
    assert steps_of(found[1:]) == [(2, 6, 3, 7)]


@pytest.mark.parametrize(("a", "b"), [([1], [1]), ([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]])])
def test_what_is_no_sequence_is_refused(a, b):
    with pytest.raises(AgnError, match="two operand sequences"):
        transitions.of_sequence(a, b)


@pytest.mark.parametrize("order", [weight_stationary(), activation_stationary(), OUTPUT_STATIONARY])
def test_product_steps_are_those_of_the_data_flow(order):
    a, b = np.arange(6).reshape(3, 2) + 10, np.arange(8).reshape(4, 2) + 50  # every entry is its own
    expected = set()
    for m, n, k in np.ndindex(3, 4, 2):
        m1, n1, k1 = m + (order.held == "b"), n + (order.held == "a"), k + (order.held is None)
        if m1 < 3 and n1 < 4 and k1 < 2:
            expected.add((a[m, k], b[n, k], a[m1, k1], b[n1, k1]))
    found = Counter(steps_of(transitions.of_product(a, b, order, 4000, np.random.default_rng(3))))
    assert set(found) == expected
    mean = 4000 / len(expected)
    assert all(abs(times - mean) < 5 * math.sqrt(mean) for times in found.values())


def test_product_too_small_for_a_step_is_refused():
    one_row = np.ones((1, 3), dtype=int)
    with pytest.raises(AgnError, match="matrices"):
        transitions.of_product(one_row, one_row, weight_stationary(), 5, np.random.default_rng(0))
    with pytest.raises(AgnError, match="matrices"):
        transitions.of_product(np.ones((4, 3), int), np.ones((4, 2), int), INDEPENDENT, 5, np.random.default_rng(0))
