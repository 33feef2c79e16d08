"""Choosing among noisy trials: smoothing, the criterion, the cheapest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agn_hw.search.assignment import Candidate
from agn_hw.search.behaviour import Drop
from agn_hw.search.selection import Trial, cheapest_within, optimal_front, smoothed


def trial(name: str, energy: float, points: float, error: float = 0.0, faded: float | None = None) -> Trial:
    fade = points if faded is None else faded
    return Trial({"layer": name}, energy, 0.9, Drop(points, error), Drop(fade, error))


def test_within_asks_both_losses_and_the_standard_error():
    assert trial("a", 0.1, 0.7, 0.3).within(1.0)
    assert not trial("a", 0.1, 0.7, 0.31).within(1.0)
    assert not trial("a", 0.1, 0.1, 0.0, faded=1.1).within(1.0)


def test_cheapest():
    trials = [trial("a", 0.1, 3.0), trial("b", 0.2, 0.9), trial("c", 0.3, 0.1)]
    assert cheapest_within(trials, 1.0).names == {"layer": "b"}
    assert cheapest_within(trials[:1], 1.0) is None


def test_a_lucky_trial_is_pulled_to_its_neighbours():
    predicted = {"a": 0.1, "b": 0.2, "c": 0.3}
    lucky = [trial("a", 0.3, 1.2), trial("b", 0.2, 0.4), trial("c", 0.1, 1.4)]
    result = smoothed(lucky, lambda names: predicted[names["layer"]])
    assert [t.lost.points for t in result] == pytest.approx([0.8, 0.8, 1.4])
    assert smoothed([], lambda names: 0.0) == []


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-3, 3)), min_size=1, max_size=20))
def test_smoothing_is_monotone_keeps_the_mean_and_leaves_monotone_losses(points):
    trials = [trial(str(i), 1.0 - i / 100, loss) for i, (_, loss) in enumerate(points)]
    predicted = {str(i): value for i, (value, _) in enumerate(points)}
    result = [t.lost.points for t in smoothed(trials, lambda names: predicted[names["layer"]])]
    assert np.all(np.diff(result) >= -1e-9)
    assert np.mean(result) == pytest.approx(np.mean([loss for _, loss in points]), abs=1e-9)
    again = [trial(str(i), 1.0 - i / 100, loss) for i, loss in enumerate(sorted(loss for _, loss in points))]
    same = smoothed(again, lambda names: float(names["layer"]))
    assert [t.lost.points for t in same] == pytest.approx([t.lost.points for t in again])


def test_front_runs_from_dear_to_cheap_and_ends_at_the_cheapest():
    found = [("x", "big", 4.0, 0.0), ("x", "mid", 2.0, 0.01), ("x", "small", 1.0, 0.5), ("y", "big", 4.0, 0.0),
             ("y", "small", 1.0, 0.02)]
    assignments = optimal_front([Candidate(*row) for row in found])
    energies = [assignment.energy_fj for assignment in assignments]
    assert energies == sorted(energies, reverse=True)
    assert energies[0] == 8.0 and energies[-1] == 2.0
    assert assignments[-1].choice == {"x": "small", "y": "small"}
