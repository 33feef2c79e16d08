"""Energy for given operands: consistent with the catalog, with counted toggles, with its own stated errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lut_gen.energy import glitches, power, transitions
from lut_gen.energy.data_order import INDEPENDENT, activation_stationary, weight_stationary
from lut_gen.energy.operand_energy import BATCH, LIBRARY, UNIT, Estimate, OperandEnergy
from lut_gen.errors import AgnError
from lut_gen.library import liberty_reader
from lut_gen.netlist import Netlist, all_operands
from tests.lut_gen.oracles import changes_while_settling, netlists, vector_matrix

TECHNOLOGY = liberty_reader.load()
CELLS = TECHNOLOGY.cells


@settings(derandomize=True, deadline=None, max_examples=30)
@given(netlists(CELLS))
def test_uniform_operands_cost_what_the_catalog_says(netlist):
    energy = OperandEnergy.of(netlist, TECHNOLOGY)
    a, b = all_operands(len(netlist.a), len(netlist.b))
    expected = power.energy_fj(netlist, TECHNOLOGY, netlist.evaluate(CELLS, a, b), len(a))
    uniform = np.ones(energy.signals.shape)
    assert energy.zero_delay(uniform) == pytest.approx(expected, abs=1e-9)
    assert energy.zero_delay(uniform, weight_stationary(1)) == pytest.approx(expected, abs=1e-9)
    rows = energy.zero_delay_of_marginals(uniform[:, :1].T, uniform[:1])
    assert rows == pytest.approx([expected], abs=1e-9)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(netlists(CELLS), st.integers(0, 2**32 - 1))
def test_a_recorded_sequence_costs_its_toggles(netlist, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 2 ** len(nets), 90) for nets in (netlist.a, netlist.b))
    toggles = np.abs(np.diff(vector_matrix(netlist, CELLS, a, b), axis=0)).sum(axis=0)
    expected = float(toggles @ power.toggle_energies(netlist, TECHNOLOGY)) / 89
    energy = OperandEnergy.of(netlist, TECHNOLOGY)
    assert energy.recorded(a, b) == pytest.approx(expected, abs=1e-9)
    simulated = energy.simulated(transitions.of_sequence(a, b))
    assert simulated.zero_delay_fj == pytest.approx(expected, abs=1e-9)
    assert simulated.energy_fj >= expected - 1e-9 and simulated.transitions == 89


@pytest.fixture(scope="module")
def small(catalog) -> OperandEnergy:
    return OperandEnergy.of(catalog["exact_3x2"].netlist, TECHNOLOGY)


def mean_with_glitches(energy: OperandEnergy, delays: np.ndarray) -> float:
    """Over all steps from any operand pair to any other, one event at a time."""
    total = 0.0
    pairs = list(np.ndindex(energy.signals.shape))
    for before in pairs:
        for after in pairs:
            total += energy.toggle_fj @ changes_while_settling(energy.netlist, CELLS, delays, before, after)
    return total / len(pairs) ** 2


def test_sampled_glitches_lie_around_the_mean_over_all_steps(small):
    for name, delays in (
        (UNIT, glitches.unit_delays(small.netlist)),
        (LIBRARY, glitches.library_delays(small.netlist, TECHNOLOGY)),
    ):
        truth = mean_with_glitches(small, delays)
        found = small.with_glitches(np.ones((8, 4)), delays=name, relative_error=0.001)
        assert abs(found.energy_fj - truth) < 4 * found.standard_error_fj < 0.005 * truth
        assert found.zero_delay_fj < truth - 4 * found.standard_error_fj


def test_standard_errors_are_honest(catalog):
    energy = OperandEnergy.of(catalog["exact_4x4"].netlist, TECHNOLOGY)
    joint = np.outer(np.arange(16, 0, -1), np.ones(16))
    drawn = [energy.with_glitches(joint, weight_stationary(8), UNIT, seed=seed) for seed in range(40)]
    assert {found.transitions for found in drawn} == {BATCH}
    spread = np.std([found.energy_fj for found in drawn], ddof=1)
    assert spread == pytest.approx(np.mean([found.standard_error_fj for found in drawn]), rel=0.4)
    whole = [energy.simulated(transitions.drawn(joint, INDEPENDENT, 1000, np.random.default_rng(s))) for s in range(40)]
    spread = np.std([found.energy_fj for found in whole], ddof=1)
    assert spread == pytest.approx(np.mean([found.standard_error_fj for found in whole]), rel=0.4)


def test_sampling_goes_on_until_the_error_is_small_enough(catalog):
    energy = OperandEnergy.of(catalog["exact_4x4"].netlist, TECHNOLOGY)
    joint = np.ones((16, 16))
    rough, fine = (energy.with_glitches(joint, delays=UNIT, relative_error=error) for error in (0.1, 0.001))
    assert rough.transitions == BATCH < fine.transitions
    assert fine.standard_error_fj <= 0.001 * fine.energy_fj
    assert abs(fine.energy_fj - rough.energy_fj) < 4 * rough.standard_error_fj
    stopped = energy.with_glitches(joint, delays=UNIT, relative_error=0.0, most=2 * BATCH)
    assert stopped.transitions == 2 * BATCH
    assert stopped == energy.with_glitches(joint, delays=UNIT, relative_error=0.0, most=2 * BATCH)


@pytest.mark.parametrize("order", [INDEPENDENT, weight_stationary(), activation_stationary(3)])
def test_long_recordings_tend_to_the_exact_energy(order, catalog):
    energy = OperandEnergy.of(catalog["kulkarni_4x4"].netlist, TECHNOLOGY)
    joint = np.random.default_rng(1).integers(0, 50, (16, 16))
    sampled = energy.simulated(transitions.drawn(joint, order, 50_000, np.random.default_rng(2)), UNIT)
    exact = energy.zero_delay(joint, order)
    assert abs(sampled.zero_delay_fj - exact) < 4 * sampled.standard_error_fj
    assert sampled.zero_delay_fj == pytest.approx(exact, rel=0.02)


def test_still_operands_cost_nothing(small):
    joint = np.zeros((8, 4))
    joint[2, 3] = 1
    assert small.zero_delay(joint) == 0.0
    still = small.with_glitches(joint)
    assert (still.energy_fj, still.standard_error_fj, still.glitch_factor) == (0.0, 0.0, 1.0)


def test_one_group_of_steps_tells_no_error(small):
    found = small.simulated(transitions.of_sequence([0, 1, 2], [3, 3, 1]))
    assert found.standard_error_fj == math.inf and found.energy_fj > 0


def test_glitch_factor():
    assert Estimate(30.0, 0.1, 64, 20.0).glitch_factor == 1.5


def test_a_netlist_of_wires_has_no_glitches():
    energy = OperandEnergy.of(Netlist((2,), (3,), (2, 3), ()), TECHNOLOGY)
    found = energy.with_glitches(np.ones((2, 2)), delays=UNIT)
    assert found.energy_fj == found.zero_delay_fj == energy.zero_delay(np.ones((2, 2))) > 0


@pytest.mark.parametrize(
    ("a", "b", "came"),
    [
        ([0, -1, 2], [0, 1, 2], "-1 came"),
        ([0.5, 1.0, 2.0], [0, 1, 2], "float64 came"),
        ([0, 8, 2], [0, 1, 2], "8 came"),
        ([0, 1, 2], [0, 1, 4], "4 came"),
        ([1], [1], "shapes"),
    ],
)
def test_operands_that_are_no_patterns_of_the_ports(small, a, b, came):
    with pytest.raises(AgnError, match=came):
        small.recorded(np.array(a), np.array(b))
    with pytest.raises(AgnError, match=came):
        small.simulated(transitions.of_sequence(np.array(a), np.array(b)))


def test_odd_requests(small, catalog):
    with pytest.raises(AgnError, match="'lib' came"):
        small.with_glitches(np.ones((8, 4)), delays="lib")
    with pytest.raises(AgnError, match="'w' came"):
        OperandEnergy.of_multiplier(catalog["exact_3x2"], TECHNOLOGY, weight_port="w")
    with pytest.raises(AgnError, match="two dimensions"):
        transitions.of_product(np.arange(4), np.arange(4), INDEPENDENT, 3, np.random.default_rng(0))
    none = transitions.of_sequence(np.arange(3), np.arange(3))[:0]
    with pytest.raises(AgnError, match="none came"):
        small.simulated(none)
    as_lists = small.with_glitches(np.ones((8, 4)).tolist(), relative_error=0.5)
    assert as_lists == small.with_glitches(np.ones((8, 4)), relative_error=0.5)
