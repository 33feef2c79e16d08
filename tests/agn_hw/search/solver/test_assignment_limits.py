"""Assignments within limits of the hardware against trying every one."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.search.solver.assignment import (
    Assignment,
    AssignmentError,
    Candidate,
    Hardware,
    Limits,
    assign,
    front,
    operating_points,
)
from agn_hw.search.solver.problem import build
from agn_hw.search.solver.settling import total
from benchmarks import plain_milp
from benchmarks.assignment import instance

LAYERS = [f"layer{i}" for i in range(4)]
MULTIPLIERS = [f"m{i}" for i in range(5)]
WHOLE = st.integers(0, 30)


@st.composite
def instances(draw: st.DrawFn) -> tuple[list[Candidate], Limits, Hardware]:
    """Whole numbers throughout, so that all sums are exact; half of the pairs may be missing."""
    layers = LAYERS[: draw(st.integers(1, 4))]
    multipliers = MULTIPLIERS[: draw(st.integers(1, 5))]
    pairs = [(layer, name) for layer in layers for name in multipliers]
    present = draw(st.lists(st.sampled_from([True, True, False]), min_size=len(pairs), max_size=len(pairs)))
    kept = [pair for pair, there in zip(pairs, present, strict=True) if there or pair[1] == "m0"]
    candidates = [Candidate(*pair, draw(WHOLE), draw(WHOLE)) for pair in kept]
    areas, delays = ({name: draw(WHOLE) for name in multipliers} for _ in range(2))
    limits = Limits(
        types=draw(st.none() | st.integers(1, 4)),
        area_um2=draw(st.none() | st.integers(0, 80)),
        delay_ns=draw(st.none() | st.integers(0, 40)),
        excluded=draw(st.dictionaries(st.sampled_from(layers), st.sets(st.sampled_from(multipliers)), max_size=2)),
        groups=draw(st.dictionaries(st.sampled_from(layers), st.sampled_from(["left", "right"]), max_size=4)),
    )
    return candidates, limits, Hardware(areas, delays)


def every(candidates: list[Candidate], limits: Limits, hardware: Hardware) -> list[tuple[float, float, set[str]]]:
    """Energy, loss and multipliers of all choices that keep the limits on single layers, groups, types and area."""
    layers = list(dict.fromkeys(one.layer for one in candidates))
    own = [[one for one in candidates if one.layer == layer and one.multiplier not in limits.excluded.get(layer, ())
            and (limits.delay_ns is None or hardware.delay_ns[one.multiplier] <= limits.delay_ns)]
           for layer in layers]  # fmt: skip
    found = []
    for picks in product(*own):
        by_group = {(limits.groups[one.layer], one.multiplier) for one in picks if one.layer in limits.groups}
        together = len(by_group) == len({group for group, _ in by_group})
        used = {one.multiplier for one in picks}
        few = limits.types is None or len(used) <= limits.types
        small = limits.area_um2 is None or area(used, hardware) <= limits.area_um2
        if together and few and small:
            found.append((sum(one.energy_fj for one in picks), sum(one.loss for one in picks), used))
    return found


def area(names: set[str], hardware: Hardware) -> float:
    return sum(hardware.area_um2[name] for name in names)


def check(found: Assignment, candidates: list[Candidate], limits: Limits, hardware: Hardware, budget: float) -> None:
    """That an assignment keeps all limits and that its figures are its own."""
    known = {(one.layer, one.multiplier): one for one in candidates}
    picks = [known[pair] for pair in found.choice.items()]
    assert list(found.choice) == list(dict.fromkeys(one.layer for one in candidates))
    assert found.energy_fj == sum(one.energy_fj for one in picks)
    assert found.loss == sum(one.loss for one in picks) <= budget
    used = set(found.choice.values())
    assert found.types == len(used) and (limits.types is None or len(used) <= limits.types)
    assert found.area_um2 == area(used, hardware)
    assert limits.area_um2 is None or found.area_um2 <= limits.area_um2
    assert limits.delay_ns is None or max(hardware.delay_ns[name] for name in used) <= limits.delay_ns
    assert not any(name in limits.excluded.get(layer, ()) for layer, name in found.choice.items())
    for group in set(limits.groups.values()):
        assert len({found.choice[layer] for layer, own in limits.groups.items() if own == group}) == 1
    assert found.gap == 0


@settings(max_examples=400, deadline=None)
@given(instances(), st.integers(0, 80), st.sampled_from(["energy", "area"]))
def test_optimal_within_all_limits(instance, whole, objective):
    candidates, limits, hardware = instance
    budget = whole + 0.5
    good = [(e, area(used, hardware)) for e, loss, used in every(*instance) if loss <= budget]
    if not good:
        with pytest.raises(AssignmentError):
            assign(candidates, budget, limits=limits, hardware=hardware, objective=objective)
        return
    found = assign(candidates, budget, limits=limits, hardware=hardware, objective=objective)
    check(found, candidates, limits, hardware, budget)
    if objective == "energy":
        assert found.energy_fj == min(energy for energy, _ in good)
    else:
        assert (found.area_um2, found.energy_fj) == min((size, energy) for energy, size in good)


@settings(max_examples=200, deadline=None)
@given(instances(), st.lists(st.tuples(st.integers(0, 80), st.integers(1, 9)), min_size=1, max_size=3))
def test_operating_points_share_the_best_set(instance, points):
    candidates, limits, hardware = instance
    budgets, weights = [whole + 0.5 for whole, _ in points], [weight for _, weight in points]
    free = every(candidates, replace(limits, types=None, area_um2=None), hardware)
    most = len(MULTIPLIERS) if limits.types is None else limits.types
    room = np.inf if limits.area_um2 is None else limits.area_um2
    sets = [set(names) for size in range(1, most + 1) for names in combinations(MULTIPLIERS, size)]
    least = None
    for names in (one for one in sets if one <= set(hardware.area_um2) and area(one, hardware) <= room):
        within = [[e for e, loss, used in free if loss <= budget and used <= names] for budget in budgets]
        if all(within):
            value = sum(weight * min(energies) for weight, energies in zip(weights, within, strict=True))
            least = value if least is None else min(least, value)
    if least is None:
        with pytest.raises(AssignmentError):
            operating_points(candidates, budgets, limits=limits, weights=weights, hardware=hardware)
        return
    found = operating_points(candidates, budgets, limits=limits, weights=weights, hardware=hardware)
    for one, budget in zip(found, budgets, strict=True):
        check(one, candidates, limits, hardware, budget)
    together = {name for one in found for name in one.choice.values()}
    assert limits.types is None or len(together) <= limits.types
    assert limits.area_um2 is None or area(together, hardware) <= limits.area_um2
    assert sum(weight * one.energy_fj for weight, one in zip(weights, found, strict=True)) == least


@settings(max_examples=60, deadline=None)
@given(instances(), st.sets(st.integers(0, 80), min_size=1, max_size=8))
def test_front_is_the_pareto_front_at_its_budgets(instance, wholes):
    candidates, limits, hardware = instance
    budgets = sorted(whole + 0.5 for whole in wholes)
    expected = []
    for budget in budgets:
        energy = min((e for e, loss, _ in every(*instance) if loss <= budget), default=None)
        if energy is not None and (not expected or energy < expected[-1]):
            expected.append(energy)
    try:
        found = front(candidates, np.array(budgets[::-1]), limits=limits, hardware=hardware)
    except AssignmentError:
        assert not every(*instance)
        return
    assert [one.energy_fj for one in found] == expected


@pytest.mark.parametrize(("limits", "points"), [
    (Limits(types=2), 1), (Limits(types=5), 1), (Limits(area_um2=900.0), 1), (Limits(types=4), 3),
    (Limits(types=3, groups={f"layer{i}": "stem" if i < 3 else "rest" for i in range(5)}), 1),
])  # fmt: skip
def test_larger_instances_against_a_general_solver(limits, points):
    """HiGHS on the plain program agrees within its tolerances."""
    candidates, hardware, budgets = instance(9, 30, seed=1)
    chosen, weights = budgets[1 : 1 + points] if points == 1 else budgets, [3.0, 2.0, 1.0][:points]
    problem = build(candidates, np.array(chosen), np.array(weights), limits, hardware)
    expected = plain_milp.solve(problem, seconds=60)
    found = operating_points(candidates, chosen, limits=limits, weights=weights, hardware=hardware)
    energy = sum(weight * one.energy_fj for weight, one in zip(weights, found, strict=True))
    assert energy == pytest.approx(total(problem, expected.picks), rel=1e-6)
    assert all(one.gap == 0 and one.loss <= budget for one, budget in zip(found, chosen, strict=True))


def test_out_of_time_the_gap_is_reported():
    candidates, hardware, budgets = instance(10, 60, seed=2)
    limits = Limits(types=3)
    exact = assign(candidates, budgets[0], limits=limits, hardware=hardware)
    hasty = assign(candidates, budgets[0], limits=limits, hardware=hardware, seconds=0.0)
    assert exact.gap == 0 < hasty.gap < 1
    assert hasty.energy_fj * (1 - hasty.gap) <= exact.energy_fj <= hasty.energy_fj
    assert hasty.loss <= budgets[0] and hasty.types <= 3


def test_out_of_time_with_least_area():
    candidates, hardware, budgets = instance(10, 60, seed=1)
    exact, hasty = (assign(candidates, budgets[0], hardware=hardware, objective="area", seconds=s) for s in (60.0, 0.0))
    assert exact.gap == 0 < hasty.gap and exact.area_um2 <= hasty.area_um2 and hasty.loss <= budgets[0]
    energies = {(one.layer, one.multiplier): one.energy_fj for one in candidates}
    assert hasty.energy_fj == pytest.approx(sum(energies[pair] for pair in hasty.choice.items()))


def errors(limits: Limits, budget: float = 10.0, hardware: Hardware | None = None) -> str:
    """What is said when two layers with multipliers small (lossy) and big (good) cannot keep the limits."""
    found = [Candidate(layer, *rest) for layer in ("a", "b") for rest in (("small", 1.0, 5.0), ("big", 9.0, 1.0))]
    found += [Candidate("a", "only_a", 2.0, 2.0)]
    known = hardware or Hardware({"small": 10.0, "big": 50.0, "only_a": 5.0}, {"small": 1.0, "big": 3.0, "only_a": 1.0})
    with pytest.raises(AssignmentError) as caught:
        assign(found, budget, limits=limits, hardware=known)
    return str(caught.value)


def test_errors_name_the_limit_in_the_way():
    assert "loss of at most 1\n  but the least possible is 2" in errors(Limits(), budget=1.0)
    assert "loosen the limits on delay" in errors(Limits(delay_ns=2.0), budget=3.0)
    assert "a multiplier for a\n  but the limits leave none\n  to mend: loosen the limits on delay" in errors(
        Limits(delay_ns=0.5)
    )
    assert "exclusions" in errors(Limits(excluded={"b": {"small", "big"}}))
    assert "no layer c" in errors(Limits(excluded={"c": {"small"}}))
    assert "no layer c" in errors(Limits(groups={"c": "x"}))
    only = Limits(excluded={"a": {"small", "big"}}, types=1)
    assert "no 1 multiplier type can do every layer" in errors(only)
    one = Limits(types=1, excluded={"a": {"big"}, "b": {"only_a"}})
    assert "the least possible with 1 multiplier type is 10" in errors(one, budget=7.0)
    small = Limits(area_um2=12.0, excluded={"a": {"small"}, "b": {"big"}})
    assert "at most 12 um2\n  but the smallest that do have 15 um2" in errors(small, budget=7.0)
    assert "loosen the limits on area" in errors(Limits(area_um2=49.0), budget=2.5)
    assert "layers a, b together" in errors(Limits(groups={"a": "x", "b": "x"}, excluded={"a": {"small", "big"}}))
    assert "limits on area" in errors(Limits(area_um2=3.0))
    assert "limits on delay" in errors(Limits(delay_ns=5.0), hardware=Hardware(delay_ns={"small": float("nan")}))


def test_operating_points_want_a_weight_each():
    with pytest.raises(AssignmentError, match="2 budgets and weights"):
        operating_points([Candidate("a", "m", 1.0, 1.0)], [1.0, 2.0], weights=[1.0])


def test_area_is_that_of_the_types_in_use_and_unknown_without_figures():
    found = [Candidate(layer, "m", 1.0, 0.0) for layer in "ab"]
    assert assign(found, 1.0, hardware=Hardware({"m": 7.0})).area_um2 == 7.0
    assert assign(found, 1.0).area_um2 is None


UNKNOWN = {"missing": {}, "nan": {"unknown": np.nan}, "infinite": {"unknown": np.inf}}


@pytest.mark.parametrize("figures", UNKNOWN.values(), ids=UNKNOWN)
def test_multipliers_without_the_figure_that_counts_are_out(figures):
    found = [Candidate(layer, *rest) for layer in "ab" for rest in (("known", 9.0, 1.0), ("unknown", 1.0, 0.0))]
    area, delay = Hardware(area_um2={"known": 3.0, **figures}), Hardware(delay_ns={"known": 3.0, **figures})
    both = {"a": "known", "b": "known"}
    assert assign(found, 9.0, hardware=area, objective="area").choice == both
    assert assign(found, 9.0, hardware=area, objective="area").area_um2 == 3.0
    for most in (4.0, np.inf):
        assert assign(found, 9.0, hardware=area, limits=Limits(area_um2=most)).choice == both
        assert assign(found, 9.0, hardware=delay, limits=Limits(delay_ns=most)).choice == both
    free = assign(found, 9.0, hardware=area)
    assert set(free.choice.values()) == {"unknown"} and free.area_um2 is None
    with pytest.raises(AssignmentError, match="give the areas"):
        assign(found, 1.0, hardware=Hardware(figures), objective="area")
