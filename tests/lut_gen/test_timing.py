"""Static timing: chains whose delay can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from lut_gen.boolean import Function
from lut_gen.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF, Arc, Cell, Table, Technology
from lut_gen.netlist import Gate, Netlist
from lut_gen.timing import delay_ns

PIN_FF = 3.0


def plane(constant: float, per_slew: float, per_load: float) -> Table:
    """The table constant + per_slew * slew + per_load * load; interpolation has to give it exactly."""
    slews, loads = np.array([0.0, 0.5, 2.0]), np.array([0.0, 4.0, 10.0])
    return Table(slews, loads, constant + per_slew * slews[:, None] + per_load * loads[None, :])


def technology(sense: str) -> Technology:
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
    assert delay_ns(chain(2), technology("negative_unate")) == pytest.approx(max(fall1 + rise2, rise1 + fall2))
    assert fall1 + rise2 == pytest.approx(0.1744) and rise1 + fall2 == pytest.approx(0.166)


def test_one_inverter():
    assert delay_ns(chain(1), technology("negative_unate")) == pytest.approx(0.1 + 0.2 * 0.05 + 0.01 * 5.0)


def test_positive_unate_keeps_the_edge():
    rise1, rise_slew = rise(INPUT_SLEW_NS, PIN_FF)
    rise2, _ = rise(rise_slew, OUTPUT_LOAD_FF)
    assert delay_ns(chain(2), technology("positive_unate")) == pytest.approx(rise1 + rise2)


def test_non_unate_takes_the_worst_of_both_edges():
    rise1, rise_slew = rise(INPUT_SLEW_NS, PIN_FF)
    rise2, _ = rise(rise_slew, OUTPUT_LOAD_FF)
    assert delay_ns(chain(2), technology("non_unate")) == pytest.approx(rise1 + rise2)
    unate = delay_ns(chain(2), technology("negative_unate"))
    assert delay_ns(chain(2), technology("non_unate")) > unate


def test_non_unate_takes_the_other_edge_where_that_is_worse():
    gates = (Gate("late", {"A": 2}, {"Y": 4}), Gate("inv", {"A": 4}, {"Y": 5}))
    netlist = Netlist((2,), (3,), (5,), gates)
    fall1, slew = rise(INPUT_SLEW_NS, PIN_FF)  # `late` falls as slowly as the inverter rises
    worst = fall1 + rise(slew, OUTPUT_LOAD_FF)[0]
    assert delay_ns(netlist, technology("non_unate")) == pytest.approx(worst)
    assert delay_ns(netlist, technology("positive_unate")) < worst


def test_fanout_loads_the_net():
    gates = (Gate("inv", {"A": 2}, {"Y": 4}), Gate("inv", {"A": 4}, {"Y": 5}), Gate("inv", {"A": 4}, {"Y": 6}))
    branched = Netlist((2,), (3,), (5,), gates)
    rise1, slew = rise(INPUT_SLEW_NS, 2 * PIN_FF)
    assert delay_ns(branched, technology("positive_unate")) == pytest.approx(rise1 + rise(slew, OUTPUT_LOAD_FF)[0])


def test_the_latest_product_bit_counts():
    gates = chain(3).gates
    assert delay_ns(Netlist((2,), (3,), (4, 6), gates), technology("non_unate")) > delay_ns(
        Netlist((2,), (3,), (4,), gates), technology("non_unate")
    )


@pytest.mark.parametrize("y", [(2,), (3, 2), (0, 1), ()])
def test_wires_and_constants_take_no_time(y):
    assert delay_ns(Netlist((2,), (3,), y, ()), technology("negative_unate")) == 0.0


def test_a_gate_of_constants_takes_no_time():
    netlist = Netlist((2,), (3,), (4,), (Gate("inv", {"A": 1}, {"Y": 4}),))
    assert delay_ns(netlist, technology("non_unate")) == 0.0
