"""Static timing: chains whose delay can be worked out by hand."""

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from lut_gen.library.boolean import Function
from lut_gen.library.cell import Arc, Cell
from lut_gen.library.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF, Technology
from lut_gen.library.nldm import Table
from lut_gen.netlist import Gate, Netlist
from lut_gen.timing import Step, critical_path, delay_ns, edge_loads

PIN_FF = 3.0


def plane(constant: float, per_slew: float, per_load: float) -> Table:
    """The table constant + per_slew * slew + per_load * load; interpolation has to give it exactly."""
    slews, loads = np.array([0.0, 0.5, 2.0]), np.array([0.0, 4.0, 10.0])
    return Table(slews, loads, constant + per_slew * slews[:, None] + per_load * loads[None, :])


def hand_made(sense: str) -> Technology:
    """An inverter, whatever its arc claims: rising 0.1 + 0.2 slew + 0.01 load, falling much faster; and `late`, where
    it is the other way round."""
    delays = plane(0.1, 0.2, 0.01), plane(0.01, 0.1, 0.001)
    arc = Arc("A", "Y", sense, *delays, plane(0.05, 0.0, 0.02), plane(0.02, 0.0, 0.004))
    turned = Arc("A", "Y", sense, arc.delay_fall, arc.delay_rise, arc.slew_fall, arc.slew_rise)
    cells = {
        name: Cell(name, 1.0, 0.0, {"A": PIN_FF}, {"Y": Function("!A")}, (kind,), {}, {"A": 0.0}, False)
        for name, kind in (("inv", arc), ("late", turned))
    }
    return Technology("hand", 1.0, cells, "", Path())


def chain(length: int) -> Netlist:
    gates = tuple(Gate("inv", {"A": 2 if i == 0 else 3 + i}, {"Y": 4 + i}) for i in range(length))
    return Netlist((2,), (3,), (3 + length,), gates)


def rise(slew: float, load: float) -> tuple[float, float]:
    return 0.1 + 0.2 * slew + 0.01 * load, 0.05 + 0.02 * load


def fall(slew: float, load: float) -> tuple[float, float]:
    return 0.01 + 0.1 * slew + 0.001 * load, 0.02 + 0.004 * load


def test_two_inverters_negative_unate():
    fall1, fall_slew = fall(INPUT_SLEW_NS, PIN_FF)
    rise1, rise_slew = rise(INPUT_SLEW_NS, PIN_FF)
    rise2, _ = rise(fall_slew, OUTPUT_LOAD_FF)  # a falling input makes the output rise
    fall2, _ = fall(rise_slew, OUTPUT_LOAD_FF)
    assert delay_ns(chain(2), hand_made("negative_unate")) == pytest.approx(max(fall1 + rise2, rise1 + fall2))
    assert fall1 + rise2 == pytest.approx(0.1744) and rise1 + fall2 == pytest.approx(0.166)


def test_one_inverter():
    assert delay_ns(chain(1), hand_made("negative_unate")) == pytest.approx(0.1 + 0.2 * 0.05 + 0.01 * 5.0)


def test_positive_unate_keeps_the_edge():
    rise1, rise_slew = rise(INPUT_SLEW_NS, PIN_FF)
    rise2, _ = rise(rise_slew, OUTPUT_LOAD_FF)
    assert delay_ns(chain(2), hand_made("positive_unate")) == pytest.approx(rise1 + rise2)


def test_non_unate_takes_the_worst_of_both_edges():
    rise1, rise_slew = rise(INPUT_SLEW_NS, PIN_FF)
    rise2, _ = rise(rise_slew, OUTPUT_LOAD_FF)
    assert delay_ns(chain(2), hand_made("non_unate")) == pytest.approx(rise1 + rise2)
    unate = delay_ns(chain(2), hand_made("negative_unate"))
    assert delay_ns(chain(2), hand_made("non_unate")) > unate


def test_non_unate_takes_the_other_edge_where_that_is_worse():
    gates = (Gate("late", {"A": 2}, {"Y": 4}), Gate("inv", {"A": 4}, {"Y": 5}))
    netlist = Netlist((2,), (3,), (5,), gates)
    fall1, slew = rise(INPUT_SLEW_NS, PIN_FF)  # `late` falls as slowly as the inverter rises
    worst = fall1 + rise(slew, OUTPUT_LOAD_FF)[0]
    assert delay_ns(netlist, hand_made("non_unate")) == pytest.approx(worst)
    assert delay_ns(netlist, hand_made("positive_unate")) < worst


def test_fanout_loads_the_net():
    gates = (Gate("inv", {"A": 2}, {"Y": 4}), Gate("inv", {"A": 4}, {"Y": 5}), Gate("inv", {"A": 4}, {"Y": 6}))
    branched = Netlist((2,), (3,), (5,), gates)
    rise1, slew = rise(INPUT_SLEW_NS, 2 * PIN_FF)
    assert delay_ns(branched, hand_made("positive_unate")) == pytest.approx(rise1 + rise(slew, OUTPUT_LOAD_FF)[0])


def test_the_latest_product_bit_counts():
    gates = chain(3).gates
    assert delay_ns(Netlist((2,), (3,), (4, 6), gates), hand_made("non_unate")) > delay_ns(
        Netlist((2,), (3,), (4,), gates), hand_made("non_unate")
    )


@pytest.mark.parametrize("y", [(2,), (3, 2), (0, 1), ()])
def test_wires_and_constants_take_no_time(y):
    assert delay_ns(Netlist((2,), (3,), y, ()), hand_made("negative_unate")) == 0.0


def test_a_gate_of_constants_takes_no_time():
    netlist = Netlist((2,), (3,), (4,), (Gate("inv", {"A": 1}, {"Y": 4}),))
    assert delay_ns(netlist, hand_made("non_unate")) == 0.0


def test_two_arcs_of_one_pin_keep_their_senses():
    """As a library gives an exclusive or: slow where it follows the input, fast where it inverts it."""
    slow, fast = plane(1.0, 0.0, 0.0), plane(0.1, 0.0, 0.0)
    still = plane(0.05, 0.0, 0.0)
    follows = Arc("A", "Y", "positive_unate", fast, slow, still, still)
    inverts = Arc("A", "Y", "negative_unate", slow, fast, still, still)
    xor = Cell("xor", 1.0, 0.0, {"A": PIN_FF}, {"Y": Function("A")}, (follows, inverts), {}, {"A": 0.0}, False)
    single = Technology("hand", 1.0, {"xor": xor}, "", Path())
    gates = (Gate("xor", {"A": 2}, {"Y": 4}), Gate("xor", {"A": 4}, {"Y": 5}))
    # falling, then rising because of the fall: merged without their senses they would give the same 2.0; a path that
    # only rises (fast, fast) must not be slowed by the other sense
    assert delay_ns(Netlist((2,), (3,), (5,), gates), single) == pytest.approx(2.0)
    fast_only = Technology("hand", 1.0, {"xor": replace(xor, arcs=(follows,))}, "", Path())
    assert delay_ns(Netlist((2,), (3,), (5,), gates), fast_only) == pytest.approx(2.0)
    rising = Arc("A", "Y", "positive_unate", fast, fast, still, still)
    mixed = Technology("hand", 1.0, {"xor": replace(xor, arcs=(rising, inverts))}, "", Path())
    assert delay_ns(Netlist((2,), (3,), (5,), gates), mixed) == pytest.approx(1.1)  # slow once, then the fall is fast


def test_constant_inputs_rule_out_what_they_block(technology):
    def delay(*gates: Gate) -> float:
        return delay_ns(Netlist((2,), (3,), tuple(gates[-1].outputs.values()), gates), technology)

    assert delay(Gate("and2_0", {"A": 2, "B": 0}, {"X": 4})) == 0.0
    assert delay(Gate("and2_0", {"A": 2, "B": 1}, {"X": 4})) > 0.1
    arc = next(arc for arc in technology.cells["mux2_1"].arcs if arc.input == "S")
    edges = [arc.delay_rise.at(INPUT_SLEW_NS, OUTPUT_LOAD_FF), arc.delay_fall.at(INPUT_SLEW_NS, OUTPUT_LOAD_FF)]
    assert delay(Gate("mux2_1", {"A0": 1, "A1": 0, "S": 2}, {"X": 4})) == pytest.approx(max(edges))


def test_rising_and_falling_edges_have_their_own_loads():
    one = hand_made("positive_unate")
    cell = replace(one.cells["inv"], edge_ff={"A": (7.0, 1.0)})
    edges = replace(one, cells={"inv": cell})
    assert edge_loads(chain(2), edges)[8:12] == [7.0, 1.0, OUTPUT_LOAD_FF, OUTPUT_LOAD_FF]
    rise1, slew = rise(INPUT_SLEW_NS, 7.0)
    assert delay_ns(chain(2), edges) == pytest.approx(rise1 + rise(slew, OUTPUT_LOAD_FF)[0])


def test_the_critical_path_of_two_inverters():
    path = critical_path(chain(2), hand_made("negative_unate"))
    fall1, fall_slew = fall(INPUT_SLEW_NS, PIN_FF)
    rise2, rise_slew = rise(fall_slew, OUTPUT_LOAD_FF)
    expected = [
        Step(0, "inv", "A", "Y", False, PIN_FF, fall_slew, fall1, fall1),
        Step(1, "inv", "A", "Y", True, OUTPUT_LOAD_FF, rise_slew, rise2, fall1 + rise2),
    ]
    for step, wanted in zip(path, expected, strict=True):
        assert astuple(step) == pytest.approx(astuple(wanted))


def test_critical_paths_of_the_catalog_add_up_and_hang_together(catalog, technology):
    for name in ("exact_8x8", "drum_8_k6_signed", "mitchell_8"):
        netlist = catalog[name].netlist
        path = critical_path(netlist, technology)
        assert path[-1].arrival_ns == delay_ns(netlist, technology)
        assert sum(step.delay_ns for step in path) == pytest.approx(path[-1].arrival_ns)
        nets = [netlist.gates[step.gate].inputs[step.input] for step in path]
        ends = [netlist.gates[step.gate].outputs[step.output] for step in path]
        assert nets[0] in (*netlist.a, *netlist.b) and ends[-1] in netlist.y and nets[1:] == ends[:-1]


@pytest.mark.parametrize("y", [(2,), (3, 2), (0, 1), ()])
def test_wires_have_no_critical_path(y):
    assert critical_path(Netlist((2,), (3,), y, ()), hand_made("negative_unate")) == []
