"""Choosing among noisy trials: smoothing, the criterion, bisection over proposals, the cheapest."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agn_hw.search.behaviour import Drop
from agn_hw.search.selection import NEARBY, Trial, cheapest_within, search, smoothed


def trial(divergence: float, energy: float, points: float, error: float = 0.0, faded: float | None = None) -> Trial:
    fade = points if faded is None else faded
    return Trial({"layer": f"m{energy}"}, energy, divergence, 0.9, Drop(points, error), Drop(fade, error))


def test_within_asks_both_losses_and_the_standard_error():
    assert trial(1, 0.1, 0.7, 0.3).within(1.0)
    assert not trial(1, 0.1, 0.7, 0.31).within(1.0)
    assert not trial(1, 0.1, 0.1, 0.0, faded=1.1).within(1.0)


def test_cheapest():
    trials = [trial(3, 0.1, 3.0), trial(2, 0.2, 0.9), trial(1, 0.3, 0.1)]
    assert cheapest_within(trials, 1.0).energy == 0.2
    assert cheapest_within(trials[:1], 1.0) is None
    assert cheapest_within(trials, 5.0, cost=lambda t: -t.energy).energy == 0.3


def test_a_lucky_trial_is_pulled_to_its_neighbours():
    lucky = [trial(0.1, 0.3, 1.2, 0.3), trial(0.2, 0.2, 0.4, 0.3), trial(0.3, 0.1, 1.4, 0.3)]
    assert [t.lost.points for t in smoothed(lucky)] == pytest.approx([0.8, 0.8, 1.4])
    assert smoothed([]) == []


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-3, 3)), min_size=1, max_size=20))
def test_smoothing_is_monotone_keeps_the_mean_and_leaves_monotone_losses(points):
    trials = [trial(divergence, 1.0 - i / 100, loss, 9.0) for i, (divergence, loss) in enumerate(points)]
    result = smoothed(trials)
    assert [t.divergence for t in result] == sorted(divergence for divergence, _ in points)
    losses = [t.lost.points for t in result]
    assert np.all(np.diff(losses) >= -1e-9)
    assert np.mean(losses) == pytest.approx(np.mean([loss for _, loss in points]), abs=1e-9)
    again = [trial(i, 1.0 - i / 100, loss) for i, loss in enumerate(sorted(loss for _, loss in points))]
    assert [t.lost.points for t in smoothed(again)] == pytest.approx([t.lost.points for t in again])


class Known:
    """Stands in for Trials: what holds is known, perhaps only by what was tried; counts what is asked."""

    def __init__(self, holding: Any) -> None:
        self.holding, self.asked = holding, []

    def key(self, names: dict[str, int]) -> tuple[int]:
        return (names["layer"],)

    def run_all(self, many: list[dict[str, int]]) -> None:
        self.asked += [one["layer"] for one in many if one["layer"] not in self.asked]

    def holds(self, names: dict[str, int], max_drop: float) -> bool:
        if names["layer"] not in self.asked:
            self.asked.append(names["layer"])
        return self.holding(names["layer"])


def tried(known: Known, count: int) -> dict[int, Any]:
    found: dict[int, Any] = {}
    search(known, [{"layer": number} for number in range(count)], 1.0, found)
    assert sorted(known.asked) == sorted(found)
    assert all(found[number] == {"layer": number} for number in found)
    return found


@given(st.integers(1, 100), st.integers(0, 100))
def test_bisection_finds_the_crossing_in_few_trials(count, crossing):
    found = tried(Known(lambda number: number < crossing), count)
    last = min(crossing, count) - 1
    assert last in found or last < 0
    assert last + 1 in found or last + 1 >= count
    assert len(found) <= np.ceil(np.log2(count + 1)) + 2 * NEARBY + 2
    assert len({number for number in found if number > last}) >= min(NEARBY, count - 1 - last)


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 20))
def test_what_later_trials_undo_is_looked_for_again(count, crossing, after):
    """What holds depends on how much was tried: with more trials, less does. Something safe is found all the same."""
    known = Known(lambda number: number < (crossing if len(known.asked) < after else 1))
    found = tried(known, count)
    assert 0 in found or len(known.asked) < after  # the only one that still holds


def test_nothing_holds_only_when_the_safest_was_tried():
    assert 0 in tried(Known(lambda number: False), 96)


def test_duplicates_are_no_neighbours():
    known = Known(lambda number: number < 5)
    found: dict[int, Any] = {}
    search(known, [{"layer": number // 4} for number in range(40)], 1.0, found)
    assert {3, 4, 5, 6} <= {names["layer"] for names in found.values()}


def test_no_proposals_no_trials():
    assert tried(Known(bool), 0) == {}


def test_far_off_its_neighbours_is_no_chance():
    good = [trial(0.1 + i / 100, 0.5, 0.0, error=0.25) for i in range(30)]
    bad = trial(0.0, 0.05, 6.0, error=0.25)
    found = next(t for t in smoothed([bad, *good]) if t.energy == 0.05)
    assert found.lost.points == pytest.approx(5.5) and not found.within(1.0)
