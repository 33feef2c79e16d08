"""Glitches: bit-parallel waveforms against one event at a time, and against Icarus' toggle counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lut_gen import timing
from lut_gen.energy import glitches, transitions
from lut_gen.library import liberty_reader
from lut_gen.library.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF
from lut_gen.netlist import Gate, Netlist
from tests.lut_gen import icarus
from tests.lut_gen.oracles import changes_while_settling, net_values, netlists

TECHNOLOGY = liberty_reader.load()
CELLS = TECHNOLOGY.cells


def sequence(netlist: Netlist, length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2 ** len(netlist.a), length), rng.integers(0, 2 ** len(netlist.b), length)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(netlists(CELLS, most_gates=20), st.integers(0, 2**32 - 1), st.sampled_from([2, 64, 65, 66, 130]), st.booleans())
def test_bit_parallel_equals_one_event_at_a_time(netlist, seed, length, unit):
    a, b = sequence(netlist, length, seed)
    delays = glitches.unit_delays(netlist)
    if not unit:
        delays = np.random.default_rng(seed).integers(1, 8, netlist.nets)
    steps = transitions.of_sequence(a, b)
    found = glitches.changes(netlist, CELLS, delays, steps)
    assert found.all.shape == found.settled.shape == (netlist.nets, -(-len(steps) // 64))
    every, settled = np.zeros((2, *found.all.shape), dtype=int)
    for t in range(len(steps)):
        before, after = (int(a[t]), int(b[t])), (int(a[t + 1]), int(b[t + 1]))
        every[:, t // 64] += changes_while_settling(netlist, CELLS, delays, before, after)
        settled[:, t // 64] += np.array(net_values(netlist, CELLS, *before)) != net_values(netlist, CELLS, *after)
    assert found.all.tolist() == every.tolist()
    assert found.settled.tolist() == settled.tolist()


CATALOG = ("exact_3x3", "exact_8x8", "kulkarni_8x8", "baugh_wooley_4x4", "drum_8_k4", "mitchell_8", "truncated_5x5_d3")


@icarus.needs_icarus
@pytest.mark.parametrize("name", CATALOG)
def test_catalog_multipliers_toggle_as_in_icarus(name, catalog, tmp_path):
    netlist = catalog[name].netlist
    a, b = sequence(netlist, 150, 3)
    steps = transitions.of_sequence(a, b)
    unit = glitches.changes(netlist, CELLS, glitches.unit_delays(netlist), steps)
    assert unit.settled.sum(axis=1).tolist() == icarus.toggles(netlist, CELLS, a, b, tmp_path)
    assert unit.all.sum(axis=1).tolist() == icarus.toggles(netlist, CELLS, a, b, tmp_path, delay=1)
    delays = 1000 * glitches.library_delays(netlist, TECHNOLOGY)
    delays += np.random.default_rng(4).integers(0, 1000, netlist.nets)  # no two changes at a time: Verilog leaves their
    library = glitches.changes(netlist, CELLS, delays, steps)  # order open, and a pending change may be put off
    assert library.settled.tolist() == unit.settled.tolist()
    assert library.all.sum(axis=1).tolist() == icarus.toggles_with(netlist, CELLS, delays, a, b, tmp_path)


@icarus.needs_icarus
@settings(derandomize=True, deadline=None, max_examples=12)
@given(netlists(CELLS, most_gates=30, bits=4), st.integers(0, 2**32 - 1))
def test_random_netlists_toggle_as_in_icarus(tmp_path_factory, netlist, seed):
    a, b = sequence(netlist, 100, seed)
    folder = tmp_path_factory.mktemp("icarus")
    found = glitches.changes(netlist, CELLS, glitches.unit_delays(netlist), transitions.of_sequence(a, b))
    assert found.settled.sum(axis=1).tolist() == icarus.toggles(netlist, CELLS, a, b, folder)
    assert found.all.sum(axis=1).tolist() == icarus.toggles(netlist, CELLS, a, b, folder, delay=1)


def chain() -> Netlist:
    """An inverter (net 4), an exclusive-nor of its two sides (5): a pulse at every step, and an inverter behind (6)."""
    gates = (
        Gate("inv_1", {"A": 2}, {"Y": 4}),
        Gate("xnor2_1", {"A": 2, "B": 4}, {"Y": 5}),
        Gate("inv_1", {"A": 5}, {"Y": 6}),
    )
    return Netlist((2,), (3,), (6,), gates)


def test_a_pulse_as_long_as_the_delay_passes_and_a_shorter_one_does_not():
    steps = transitions.of_sequence(np.array([0, 1, 0]), np.zeros(3, dtype=int))
    for width, pulses in ((1, [0, 0]), (2, [4, 0]), (3, [4, 4])):  # delays: 2 at net 5, 3 at net 6
        found = glitches.changes(chain(), CELLS, np.array([1, 1, 1, 1, width, 2, 3]), steps)
        assert found.all.sum(axis=1).tolist() == [0, 0, 2, 0, 2, *pulses]
        assert found.settled.sum(axis=1).tolist() == [0, 0, 2, 0, 2, 0, 0]


def test_library_delays_are_the_means_of_the_arcs():
    cell = CELLS["inv_1"]
    netlist = Netlist((2,), (3,), (4,), (Gate("inv_1", {"A": 2}, {"Y": 4}),))
    arc = cell.arcs[0]
    mean = (arc.delay_rise.at(INPUT_SLEW_NS, OUTPUT_LOAD_FF) + arc.delay_fall.at(INPUT_SLEW_NS, OUTPUT_LOAD_FF)) / 2
    assert glitches.library_delays(netlist, TECHNOLOGY).tolist() == [1, 1, 1, 1, round(mean / glitches.STEP_NS)]


@pytest.mark.parametrize("name", ["exact_3x2", "exact_8x8", "mitchell_8"])
def test_mean_delays_add_up_to_no_more_than_the_critical_path(name, catalog):
    netlist = catalog[name].netlist
    delays = glitches.library_delays(netlist, TECHNOLOGY)
    arrival = np.zeros(netlist.nets)
    for gate in netlist.gates:
        for net in gate.outputs.values():
            arrival[net] = max(arrival[source] for source in gate.inputs.values()) + delays[net]
    latest = arrival[list(netlist.y)].max() * glitches.STEP_NS
    assert 0.6 * timing.delay_ns(netlist, TECHNOLOGY) < latest < 1.01 * timing.delay_ns(netlist, TECHNOLOGY)


def test_no_more_than_constants_and_wires():
    gates = (Gate("and2_0", {"A": 0, "B": 1}, {"X": 4}), Gate("inv_1", {"A": 4}, {"Y": 5}))
    netlist = Netlist((2,), (3,), (0, 1, 4, 5, 2), gates)
    assert glitches.library_delays(netlist, TECHNOLOGY)[:5].tolist() == [1] * 5
    steps = transitions.of_sequence([0, 1, 1], [1, 1, 0])
    found = glitches.changes(netlist, CELLS, glitches.unit_delays(netlist), steps)
    assert found.all.tolist() == [[0], [0], [1], [1], [0], [0]]
