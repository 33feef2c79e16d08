"""Losses: measured once, predicted by a monotone curve through what was measured."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agn_hw.search.pairs.losses import Losses, curve

POSITIVE = st.floats(1e-9, 1e3)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=12), st.lists(POSITIVE, min_size=2, max_size=8))
def test_the_curve_never_falls_and_passes_through_monotone_points(points, places):
    predicted = curve(*zip(*points, strict=True))
    values = [predicted(place) for place in sorted(places)]
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(values))
    noise = sorted({n for n, _ in points})
    straight = curve(noise, noise)
    assert [straight(n) for n in noise] == pytest.approx(noise)


def test_beyond_what_was_measured_loss_is_proportional_to_noise():
    predicted = curve([1e-3, 1e-2], [2e-3, 1e-1])
    assert predicted(1e-1) == pytest.approx(1.0)
    assert predicted(1e-4) == pytest.approx(2e-4)
    assert predicted(10**-2.5) == pytest.approx((2e-3 * 1e-1) ** 0.5)
    assert predicted(0.0) < 1e-10


def test_no_points():
    with pytest.raises(ValueError, match="was measured"):
        curve([], [])


def test_each_pair_is_measured_once():
    asked = []

    def measure(pairs, step):
        asked.extend(pairs)
        step(len(pairs), len(pairs))
        return [{"a": 0.5, "b": 0.1}[name] for _, name in pairs]

    told = []
    losses = Losses(measure, {"x": {"a": 4.0, "b": 1.0, "c": 2.0}, "y": {"a": 1.0, "b": 2.0, "c": 3.0}})
    losses.measure([("x", "a"), ("x", "a")], lambda *progress: told.append(progress))
    losses.measure([("x", "a")])
    assert asked == [("x", "a")] and told == [(1, 1)] and losses.of("x", "a") == 0.5
    assert losses.of("x", "b") == pytest.approx(0.125)  # proportional, until it is measured
    losses.measure([("x", "b"), ("y", "a")])
    assert losses.of("x", "b") == 0.1 and losses.measured["y"] == {"a": 0.5}
    assert 0.1 < losses.of("x", "c") < 0.5
    assert not losses.known({"x": "c"}) and losses.known({"x": "a", "y": "a"})
    assert losses.total({"x": "b", "y": "a"}) == pytest.approx(0.6)
