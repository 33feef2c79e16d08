"""Optimal assignments against trying every one."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.search.solver.assignment import AssignmentError, Candidate, assign, front, undominated

GROUPS = st.lists(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 60)), min_size=1, max_size=5), min_size=1, max_size=5
)


def candidates(groups: list[list[tuple[float, float]]]) -> list[Candidate]:
    return [
        Candidate(f"layer{i}", f"m{j}", energy, loss)
        for i, group in enumerate(groups)
        for j, (energy, loss) in enumerate(group)
    ]


def cheapest(groups: list[list[tuple[float, float]]], budget: float) -> float | None:
    """Least energy of all combinations within the budget, None where there is none."""
    every = [tuple(map(sum, zip(*pick, strict=True))) for pick in product(*groups)]
    return min((energy for energy, loss in every if loss <= budget), default=None)


@settings(max_examples=150, deadline=None)
@given(GROUPS, st.integers(0, 200), st.sampled_from([1.0, 1e-4, 1e7]), st.sampled_from([1.0, 1e6]))
def test_optimal(groups, whole, loss_unit, energy_unit):
    """Losses are whole numbers of a unit and the budget lies between two, so that rounding decides nothing."""
    groups = [[(energy * energy_unit, loss * loss_unit) for energy, loss in group] for group in groups]
    budget = (whole + 0.5) * loss_unit
    expected = cheapest(groups, budget)
    if expected is None:
        with pytest.raises(AssignmentError, match="the least possible is"):
            assign(candidates(groups), budget)
        return
    found = assign(candidates(groups), budget)
    assert found.energy_fj == pytest.approx(expected, rel=1e-6)
    assert found.loss <= budget and found.gap <= 1e-6
    assert list(found.choice) == [f"layer{i}" for i in range(len(groups))]
    picked = [groups[i][int(name[1:])] for i, name in enumerate(found.choice.values())]
    assert sum(energy for energy, _ in picked) == pytest.approx(found.energy_fj)
    assert sum(loss for _, loss in picked) == pytest.approx(found.loss)


@settings(max_examples=100, deadline=None)
@given(GROUPS, st.integers(0, 200))
def test_undominated_loses_no_optimum(groups, budget):
    kept = undominated(candidates(groups))
    layers: dict[str, list[tuple[float, float]]] = {}
    for candidate in kept:
        layers.setdefault(candidate.layer, []).append((candidate.energy_fj, candidate.loss))
    assert cheapest(list(layers.values()), budget) == cheapest(groups, budget)
    for group in layers.values():
        assert len({loss for _, loss in group}) == len(group) == len({energy for energy, _ in group})


def test_no_loss_allowed():
    groups = [[(1, 5), (7, 0)], [(2, 3), (9, 0)]]
    assert assign(candidates(groups), 0).choice == {"layer0": "m1", "layer1": "m1"}


def test_impossible_budget_says_what_is_possible():
    with pytest.raises(AssignmentError, match=r"at most 0\.01\n.*least possible is 0\.3"):
        assign(candidates([[(1, 0.5), (2, 0.1)], [(3, 0.2)]]), 0.01)


def test_energies_far_apart():
    """A small layer's choice is optimised beside a large layer's."""
    groups = [[(1e9, 0.001), (9e8, 0.3)], [(50, 0.001), (40, 0.01), (10, 0.2)]]
    found = assign(candidates(groups), 0.15)
    assert found.choice["layer0"] == "m0"
    assert found.energy_fj == pytest.approx(cheapest(groups, 0.15), rel=1e-9)


def test_front_runs_from_dear_to_cheap_without_repeats():
    rng = np.random.default_rng(1)
    groups = [[(float(e), float(1 - e + 0.1 * v)) for e, v in rng.random((6, 2))] for _ in range(3)]
    budgets = np.linspace(0, 3, 31)
    found = front(candidates(groups), budgets[::-1])
    energies = [one.energy_fj for one in found]
    expected = [cheapest(groups, budget) for budget in budgets]
    assert energies == pytest.approx(sorted({value for value in expected if value is not None}, reverse=True))
    assert all(one.choice != other.choice for one, other in pairwise(found))
    assert front(candidates(groups), np.array([-1.0])) == []
