"""Energy: against counted toggles, exactly on all ordered pairs and statistically on a long sequence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lut_gen.energy import power
from lut_gen.library import liberty_reader
from lut_gen.library.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF
from lut_gen.netlist import Gate, Netlist, all_operands
from tests.lut_gen.oracles import netlists, vector_matrix

TECHNOLOGY = liberty_reader.load()
CELLS = TECHNOLOGY.cells


def toggle_cost(netlist: Netlist, net: int) -> float:
    """What one toggle of a net costs, fJ, gathered pin by pin."""
    load = OUTPUT_LOAD_FF * netlist.y.count(net)
    internal = 0.0
    for gate in netlist.gates:
        for pin, driven_by in gate.inputs.items():
            if driven_by == net:
                load += CELLS[gate.cell].input_ff[pin]
                internal += CELLS[gate.cell].input_energy_fj[pin]
    for gate in netlist.gates:
        for pin, drives in gate.outputs.items():
            if drives == net:
                internal += CELLS[gate.cell].energy_fj[pin].at(INPUT_SLEW_NS, load)
    return load * TECHNOLOGY.voltage**2 / 2 + internal


@settings(derandomize=True, deadline=None, max_examples=30)
@given(netlists(CELLS, most_gates=8, bits=2))
def test_energy_is_the_mean_over_all_ordered_pairs_of_vectors(netlist):
    a, b = all_operands(len(netlist.a), len(netlist.b))
    nets = vector_matrix(netlist, CELLS, a, b)
    expected = 0.0
    for before in nets:
        for after in nets:
            toggled = np.flatnonzero(before != after)
            expected += sum(toggle_cost(netlist, int(net)) for net in toggled)
    words = netlist.evaluate(CELLS, a, b)
    assert power.energy_fj(netlist, TECHNOLOGY, words, len(a)) == pytest.approx(expected / len(nets) ** 2, abs=1e-9)


def two_bit_multiplier() -> Netlist:
    """The exact 2x2 multiplier of two half adders."""
    partial = [(2, 4), (3, 4), (2, 5), (3, 5)]
    gates = [Gate("and2_0", {"A": x, "B": y}, {"X": 6 + i}) for i, (x, y) in enumerate(partial)]
    gates.append(Gate("ha_1", {"A": 7, "B": 8}, {"COUT": 10, "SUM": 11}))
    gates.append(Gate("ha_1", {"A": 9, "B": 10}, {"COUT": 12, "SUM": 13}))
    return Netlist((2, 3), (4, 5), (6, 11, 13, 12), tuple(gates))


def test_energy_agrees_with_toggles_counted_on_a_long_random_sequence():
    netlist = two_bit_multiplier()
    assert netlist.table(CELLS, False).tolist() == np.outer(range(4), range(4)).tolist()
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, (2, 20_000))
    toggles = np.abs(np.diff(vector_matrix(netlist, CELLS, a, b), axis=0)).sum(axis=0)
    counted = sum(count * toggle_cost(netlist, net) for net, count in enumerate(toggles)) / (len(a) - 1)
    operands = all_operands(2, 2)
    uniform = power.energy_fj(netlist, TECHNOLOGY, netlist.evaluate(CELLS, *operands), 16)
    assert uniform == pytest.approx(counted, rel=0.02)  # 20,000 steps: about 0.5 % standard deviation
    drawn = power.energy_fj(netlist, TECHNOLOGY, netlist.evaluate(CELLS, a, b), len(a))
    assert drawn == pytest.approx(counted, rel=0.02)


@pytest.mark.parametrize("vectors", [1, 63, 64, 65, 100, 128])
def test_probabilities_ignore_what_lies_past_the_last_vector(vectors):
    bits = np.random.default_rng(vectors).integers(0, 2, (5, vectors))
    words = np.full((5, -(-vectors // 64)), 2**64 - 1, dtype=np.uint64)  # rubbish ones past the end
    for net in range(5):
        for v in np.flatnonzero(bits[net] == 0):
            words[net, v // 64] &= ~np.uint64(1 << int(v % 64))
    assert power.probabilities(words, vectors).tolist() == (bits.sum(axis=1) / vectors).tolist()


def test_constants_and_what_hangs_on_them_cost_nothing():
    gates = (Gate("and2_0", {"A": 0, "B": 1}, {"X": 4}), Gate("inv_1", {"A": 4}, {"Y": 5}))
    netlist = Netlist((2,), (3,), (0, 1, 4, 5), gates)
    words = netlist.evaluate(CELLS, *all_operands(1, 1))
    assert power.energy_fj(netlist, TECHNOLOGY, words, 4) == 0.0
    assert power.net_loads(netlist, CELLS)[:2].tolist() == [0.0, 0.0]
    assert power.toggle_energies(netlist, TECHNOLOGY)[:2].tolist() == [0.0, 0.0]
    assert netlist.table(CELLS, False).tolist() == [[10, 10], [10, 10]]


def test_area_and_leakage_are_sums_over_cells():
    netlist = two_bit_multiplier()
    assert power.area_um2(netlist, CELLS) == pytest.approx(4 * CELLS["and2_0"].area_um2 + 2 * CELLS["ha_1"].area_um2)
    leakage = 4 * CELLS["and2_0"].leakage_nw + 2 * CELLS["ha_1"].leakage_nw
    assert power.leakage_nw(netlist, CELLS) == pytest.approx(leakage)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(netlists(CELLS), st.integers(0, 2**32 - 1))
def test_a_still_sequence_costs_nothing_and_any_other_something_finite(netlist, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2 ** len(netlist.a)), rng.integers(0, 2 ** len(netlist.b))
    still = netlist.evaluate(CELLS, np.full(70, a), np.full(70, b))
    assert power.energy_fj(netlist, TECHNOLOGY, still, 70) == 0.0
    moving = netlist.evaluate(CELLS, *all_operands(len(netlist.a), len(netlist.b)))
    vectors = 2 ** (len(netlist.a) + len(netlist.b))
    assert 0.0 <= power.energy_fj(netlist, TECHNOLOGY, moving, vectors) < 1e5
