"""A whole study on a small network: every strategy, limits, retraining, comparison, all on real tables."""

import numpy as np
import pytest
import torch

import agn_hw
from agn_hw.accelerator.system import LEVELS
from agn_hw.recipe import Recipe
from agn_hw.search import strategies
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.comparison import compare, targets
from agn_hw.search.front import Front
from agn_hw.search.retraining import Retraining
from agn_hw.search.solver.assignment import AssignmentError, Limits, operating_points
from agn_hw.search.strategies import STRATEGIES, Target
from agn_hw.search.study import Study
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError, CatalogError
from tests.agn_hw.networks import small_resnet
from tests.agn_hw.search.doctored import Doctored
from tests.agn_hw.search.study_case import FEW, Quiet, few, splits, study


@pytest.fixture(scope="module")
def known(catalog) -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "EVALUATIONS", 40)
        patch.setattr(strategies, "NOISE_EPOCHS", 0.5)
        found = study(catalog)
        for name in STRATEGIES:
            found.propose(Target(strategy=name))  # made once; later calls take these
        return found


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_finds_what_holds(name, known):
    solution = known.solve(Target(8.0, name))
    assert solution.best is not None and solution.best.energy < 0.6
    assert set(solution.best.names) == set(known.options.operands)
    assert solution.best.within(8.0)
    assert solution.tried and all(set(names.values()) <= set(FEW) for names in solution.tried.values())
    if name == "exact-narrow":
        assert set(solution.best.names.values()) <= known.options.narrow()
    if name == "uniform":
        assert len(set(solution.best.names.values())) == 1


def test_the_front_is_optimal_for_its_losses(known):
    """Any other assignment of measured pairs costs more or loses more than the budget."""
    front = known.propose(Target()).proposals
    assert isinstance(front, Front) and len(front) == 96
    rng = np.random.default_rng(0)
    for index in (0, 40, 70, 95):
        found = front.at(index)
        assert found.gap <= 1e-6 and found.loss <= front.budgets[index] * (1 + 1e-9)
        assert known.losses.known(found.choice)
        for _ in range(200):
            other = {layer: rng.choice(list(own)) for layer, own in known.losses.measured.items()}
            if known.losses.total(other) <= front.budgets[index]:
                assert known.options.total_energy(other) >= found.energy_fj * (1 - 1e-9)
    energies = [front.at(index).energy_fj for index in range(0, 96, 10)]
    assert energies == sorted(energies, reverse=True)


def test_limits_hold(known):
    for types in (1, 2):
        found = known.solve(Target(3.0, limits=Limits(types=types)))
        assert all(len(set(names.values())) <= types for names in found.tried.values())
        assert found.best is not None
    layer = next(iter(known.options.operands))
    free = known.solve(Target(3.0)).best.names[layer]
    other = known.solve(Target(3.0, limits=Limits(excluded={layer: [free]})))
    assert all(names[layer] != free for names in other.tried.values())
    fast = known.solve(Target(3.0, limits=Limits(delay_ns=1.0)))
    used = {name for names in fast.tried.values() for name in names.values()}
    assert used and all(known.options.delay(name) <= 1.0 for name in used)


@pytest.mark.parametrize("threads", (1, 2, 3))
def test_trials_side_by_side_are_trials_one_by_one(catalog, known, threads):
    multipliers = ("exact_8x8", "kulkarni_4x4", "exact_2x2", "drum_8_k4", "exact_8x8")
    many = [known.options.everywhere(name) for name in multipliers]
    others = study(catalog).trials
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        others.run_all(many)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(others.done) == 4
    assert [others.run(names) for names in many] == [known.trials.run(names) for names in many]


def test_the_order_of_targets_does_not_matter(catalog):
    asked = [Target(2.0), Target(6.0), Target(4.0, "uniform"), Target(4.0, "exact-narrow")]
    found = []
    for order in (asked, asked[::-1]):
        solutions = study(catalog).solve_all(order)
        found.append({(one.target.strategy, one.target.max_drop): one.best and one.best.energy for one in solutions})
    assert found[0] == found[1]


def test_a_strategy_includes_what_others_found(known):
    """Of what kept its limits: fewer types are no more than more types, and exact narrow ones are circuits too."""
    targets = [Target(4.0, "exact-narrow"), Target(4.0), *(Target(4.0, limits=Limits(types=n)) for n in (2, 1))]
    narrow, free, two, one = known.solve_all(targets)
    assert free.best.energy <= min(narrow.best.energy, two.best.energy) and two.best.energy <= one.best.energy
    assert len(set(two.best.names.values())) <= 2 and len(set(one.best.names.values())) == 1


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Limits(types=2), True),
        (Limits(types=1), False),
        (Limits(area_um2=1e9), True),
        (Limits(area_um2=1.0), False),
        (Limits(delay_ns=1e9), True),
        (Limits(delay_ns=0.1), False),
        (Limits(excluded={"fc": ["exact_3x3"]}), True),
        (Limits(excluded={"fc": ["exact_8x8"]}), False),
        (Limits(groups={"stem.conv": "a", "stage1.conv1": "a"}), True),
        (Limits(groups={"fc": "a", "stage1.conv1": "a"}), False),
    ],
)
def test_keeping_limits(limits, kept, known):
    names = {**known.options.everywhere("exact_3x3"), "fc": "exact_8x8"}
    assert known.options.keeps(names, limits) == kept


def test_senseless_targets(known):
    for limits, said in (
        ({"types": 0}, "types from 1 on"),
        ({"types": 1.5}, "types from 1 on"),
        ({"excluded": {"fc": "exact_4x4"}}, r"\['exact_4x4'\]"),
    ):
        with pytest.raises(AgnError, match=said):
            Limits(**limits)
    for limits, said in (
        (Limits(excluded={"zz": ["exact_4x4"]}), "stem.conv"),
        (Limits(groups={"zz": "a"}), "stem.conv"),
        (Limits(excluded={"fc": ["exact_4x5"]}), "exact_4x4"),
    ):
        for strategy in ("kl", "uniform"):
            with pytest.raises(AgnError, match=said):
                known.solve(Target(1.0, strategy, limits=limits))
    for wrong in ({"max_drop": -1.0}, {"max_drop": float("nan")}, {"max_drop": "1"}, {"objective": "delay"}):
        with pytest.raises(AgnError):
            Target(**wrong)


def test_least_area(known):
    found = known.solve(Target(3.0, objective="area"))
    other = known.solve(Target(3.0))
    assert known.options.area_of(found.best.names) <= known.options.area_of(other.best.names)
    with pytest.raises(AssignmentError):
        known.solve(Target(3.0, limits=Limits(area_um2=1.0)))


def test_strategies_without_limits_say_so(known):
    for name in ("agn", "evolution"):
        with pytest.raises(AgnError, match="knows none"):
            known.solve(Target(1.0, name, limits=Limits(types=2)))
    with pytest.raises(AgnError, match="exact-narrow"):
        known.solve(Target(1.0, "guess"))


def test_comparison_and_retraining(known):
    recipe = Recipe(1.0, 64, 3e-4, distill=0.9, schedule="cosine")
    retraining = Retraining(known.trials, splits(), known.network, recipe)
    rows = compare(known, ["kl", "uniform"], [2.0, 4.0], [None, 1], retraining)
    assert len(list(targets(["kl", "uniform"], [2.0, 4.0], [None, 1]))) == 6 and len(rows) == 6 + 4
    for after in (row for row in rows if row.retrained):
        same = (after.strategy, after.max_drop, after.types)
        before = next(row for row in rows if (row.strategy, row.max_drop, row.types) == same)
        assert not before.retrained
        assert after.energy_relative <= before.energy_relative * 1.05  # its own operands are counted anew
        assert before.drop_low <= before.drop_points <= before.drop_high
    loose = {(row.strategy, row.types, row.max_drop): row.energy_relative for row in rows if not row.retrained}
    assert loose["kl", None, 4.0] <= loose["kl", None, 2.0] <= 1
    assert loose["kl", None, 2.0] <= loose["uniform", None, 2.0] * 1.1


def test_a_retrained_network_is_the_one_that_was_judged(known):
    recipe = Recipe(1.0, 64, 1e-2, distill=0.9, schedule="cosine")
    retraining = Retraining(known.trials, splits(), known.network, recipe)
    names = known.options.everywhere("exact_3x3")
    trial = retraining.run(names)
    again = known.trials.judge(retraining.network(names), names, trial.divergence)
    assert again == trial
    assert trial.faded != known.trials.run(names).faded
    spent = known.final_energies(retraining.network(names), names)
    assert spent == pytest.approx(
        {layer: known.options.energies[layer]["exact_3x3"] for layer in names}, rel=0.2
    )
    assert known.final_energies(known.trials.network(names), names) == pytest.approx(
        {layer: known.options.energies[layer]["exact_3x3"] for layer in names}, rel=0.05
    )


def test_operating_points_share_their_multipliers(known):
    """As the README shows it."""
    candidates = known.options.candidates(known.losses.measured, known.losses.of)
    precise, thrifty = operating_points(candidates, [0.005, 0.2], limits=agn_hw.Limits(types=3))
    assert precise.loss <= 0.005 and thrifty.loss <= 0.2 and thrifty.energy_fj < precise.energy_fj
    assert len({*precise.choice.values(), *thrifty.choice.values()}) <= 3
    assert known.trials.network(thrifty.choice)(known.trials.calibration[:2]).shape == (2, 5)


def test_population_errors_are_relative(known):
    errors = known.population_errors()
    for layer, own in errors.items():
        assert own[REFERENCE] < 1e-6 < own["exact_4x4"] < own["exact_2x2"] < 3, layer


def test_catalogs_that_do_not_do(catalog):
    rest = few(catalog)
    without = Catalog(rest.path, rest.header, rest.table[rest.table["name"] != REFERENCE])
    with pytest.raises(CatalogError, match="exact_8x8"):
        Study.of(known, splits(), without)
    foreign = Catalog(rest.path, {**rest.header, "technology": {"file": "my.lib", "sha256": "0" * 64}}, rest.table)
    with pytest.raises(CatalogError, match=r"(?s)my\.lib.*--liberty"):
        Study.of(known, splits(), foreign)


def test_energies_of_elements_and_arrays_decide(catalog):
    """Made-up costs: the multiplier that is dearest alone is cheapest as an element, and another one in the array."""
    cheap_element = {"registers": 0.01, "clock": 0.01, "accumulator": 0.01, "idle": 0.01, "multiplier": 0.01}
    hardware = Doctored({"exact_8x8": cheap_element, "exact_5x5": {"delay_lines": 0.01, "accumulators": -4.0}})
    solved = {}
    for level in LEVELS:
        made = Study.of(small_resnet(), splits(), few(catalog), stages=Quiet(), hardware=hardware, level=level)
        assert made.options.level == level
        assert made.options.reference_energy() == pytest.approx(
            sum(own.macs * made.options.energies[layer][REFERENCE] for layer, own in made.options.operands.items())
        )
        solved[level] = made.solve(Target(8.0)).best
        spent = {layer: made.options.multiplications[layer]["exact_2x2"] for layer in made.options.operands}
        assert 0 < made.options.of_multiplications(spent) < 0.2  # whatever the level
    assert "exact_8x8" not in solved["multiplier"].names.values()
    assert set(solved["element"].names.values()) == {"exact_8x8"} and solved["element"].energy == 1
    assert set(solved["array"].names.values()) == {"exact_5x5"}
    own = made.options.energies["fc"]
    assert own["exact_5x5"] == pytest.approx(5 + 0.01 - 4) and own["exact_8x8"] == pytest.approx(2.05)
    assert own["exact_2x2"] == pytest.approx(7)


def test_levels_need_hardware(catalog):
    for wrong in ("element", "array"):
        with pytest.raises(AgnError, match="hardware=Hardware"):
            Study.of(small_resnet(), splits(), few(catalog), stages=Quiet(), level=wrong)
