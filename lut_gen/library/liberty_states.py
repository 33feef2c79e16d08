"""Flip-flops and clock gates of a Liberty library: the cells that registers are made of.

A plain D flip-flop has an `ff` group of one input pin and one rising clock, no set or reset, and an output that is its
state; a clock gate says of itself that it is one with a latch (`clock_gating_integrated_cell`) and which pin is what.
Other cells with a state (scan, enables, resets, falling clocks, outputs that are the state's complement) stay as they
are.
"""

from __future__ import annotations

from collections.abc import Mapping

from lut_gen.errors import LibertyError
from lut_gen.library.boolean import Function
from lut_gen.library.cell import ClockGate, FlipFlop
from lut_gen.library.liberty_tables import Tables
from lut_gen.library.liberty_text import Group
from lut_gen.library.nldm import Table


def state(
    group: Group, inputs: Mapping[str, Group], outputs: Mapping[str, Group], tables: Tables
) -> FlipFlop | ClockGate | None:
    """What kind of register cell this is, if any. inputs, outputs: its pins."""
    if group.text("clock_gating_integrated_cell").startswith("latch_posedge"):
        return _clock_gate(inputs, outputs, tables)
    flip_flops = group.of("ff")
    return _flip_flop(flip_flops[0], inputs, outputs, tables) if len(flip_flops) == 1 else None


def _flip_flop(
    group: Group, inputs: Mapping[str, Group], outputs: Mapping[str, Group], tables: Tables
) -> FlipFlop | None:
    data, clock = _pin(group.text("next_state")), _pin(group.text("clocked_on"))
    own = [name for name, pin in outputs.items() if group.names() and _pin(pin.text("function")) == group.names()[0]]
    if group.text("clear") or group.text("preset") or not own or {data, clock} != set(inputs):
        return None
    return FlipFlop(str(data), str(clock), own[0], _setup(inputs[str(data)], str(clock), tables))


def _clock_gate(inputs: Mapping[str, Group], outputs: Mapping[str, Group], tables: Tables) -> ClockGate | None:
    def marked(pins: Mapping[str, Group], role: str) -> list[str]:
        return [name for name, pin in pins.items() if pin.text(f"clock_gate_{role}_pin") == "true"]

    clock, enable, output = marked(inputs, "clock"), marked(inputs, "enable"), marked(outputs, "out")
    tied = marked(inputs, "test")
    if not len(clock) == len(enable) == len(output) == 1 or {*clock, *enable, *tied} != set(inputs):
        return None
    setup = _setup(inputs[enable[0]], clock[0], tables)
    return ClockGate(enable[0], clock[0], output[0], tuple(tied), setup)


def _pin(text: str) -> str | None:
    """The one pin (or state) that a function is, else None."""
    try:
        function = Function(text)
        return function.pins[0] if len(function.pins) == 1 and function.truth_table(function.pins) == (0, 1) else None
    except LibertyError:
        return None


def _setup(pin: Group, clock: str, tables: Tables) -> tuple[Table, Table] | None:
    """Setup times of a pin before the clock's rising edge; None where there are none that can be read."""
    for timing in pin.of("timing"):
        if timing.text("timing_type") == "setup_rising" and clock in timing.text("related_pin").split():
            edges = timing.of("rise_constraint"), timing.of("fall_constraint")
            try:
                return tables.constraint(edges[0][0]), tables.constraint(edges[1][0])
            except (IndexError, LibertyError, ValueError):
                return None
    return None
