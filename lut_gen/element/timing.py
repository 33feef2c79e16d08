"""The shortest clock period of a processing element among its neighbours: clock to output, gates, setup.

Static timing as in lut_gen/timing.py, from register to register. Inputs come from the registers of the elements
before, which are like this one's own, so the element is timed as if its outputs were its own inputs: all loads are then
those of the array. `reset` and `load` come from outside, with the clock. A setup time at the end of a path is the
flip-flop's for the data's transition (a library without constraint tables, such as the built-in one, counts none); that
of a clock gate's enable likewise. The clock arrives everywhere at once, INPUT_SLEW_NS steep; no wires.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lut_gen import timing
from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.power import NEXT, clock_gates
from lut_gen.library.boolean import Function
from lut_gen.library.cell import Arc, Cell, ClockGate, FlipFlop
from lut_gen.library.liberty import INPUT_SLEW_NS, Technology
from lut_gen.library.nldm import Table
from lut_gen.netlist import Gate, Netlist

END = "end of a path"
"""Name of the output of the cells that stand for a setup time."""


@dataclass(frozen=True)
class ElementTiming:
    """period_ns = clock to output + gates (logic_ns) + setup. steps: the gates between the registers, with arrivals
    that count from the clock's edge."""

    period_ns: float
    clock_to_output_ns: float
    logic_ns: float
    setup_ns: float
    steps: tuple[timing.Step, ...]


def clock_period(element: ElementNetlist, technology: Technology) -> ElementTiming:
    """The longest path from register to register."""
    netlist, ends = _between_registers(element, technology)
    cells = {**technology.cells, **ends}
    path = timing.critical_path(netlist, dataclasses.replace(technology, cells=cells))
    first, last = path[0], path[-1]
    launch = first.delay_ns if isinstance(technology.cells[first.cell].state, FlipFlop) else 0.0
    steps = tuple(path[bool(launch) : -1])
    return ElementTiming(last.arrival_ns, launch, last.arrival_ns - launch - last.delay_ns, last.delay_ns, steps)


def _between_registers(element: ElementNetlist, technology: Technology) -> tuple[Netlist, dict[str, Cell]]:
    """The element as a combinational circuit, and the cells that end its paths: flip-flops are gates from clock to
    output, and for each of their data pins there is a gate whose delay is the setup time."""
    clock = element.nets
    looped = {net: net for net in range(element.nets)}
    for port, following in NEXT.items():
        for q, net in zip(element.outputs[port], element.inputs[following], strict=True):
            looped[net] = q if q > 1 else net
    gates = []
    for register in element.registers:
        state = technology.cells[register.cell].state
        assert isinstance(state, FlipFlop)
        gates.append(Gate(register.cell, {register.clock_pin: clock}, {state.output: register.q}))
    for gate in element.gates:
        gates.append(Gate(gate.cell, {pin: looped[net] for pin, net in gate.inputs.items()}, gate.outputs))
    ends: dict[str, Cell] = {}
    first = clock + 1
    caught = list(_caught(element, technology))
    for number, (cell, pin, setup, net) in enumerate(caught):
        end = _end(cell, pin, setup)
        ends[end.name] = end
        gates.append(Gate(end.name, {pin: looped[net]}, {END: first + number}))
    inputs = tuple(net for nets in element.inputs.values() for net in nets)
    return Netlist((*inputs, clock), (), tuple(range(first, first + len(caught))), tuple(gates)), ends


def _caught(
    element: ElementNetlist, technology: Technology
) -> Iterator[tuple[Cell, str, tuple[Table, Table] | None, int]]:
    """Cell, pin, setup and net of every pin that has to be settled at the clock's edge."""
    for register in element.registers:
        cell = technology.cells[register.cell]
        assert isinstance(cell.state, FlipFlop)
        yield cell, register.data_pin, cell.state.setup, register.data
    for net in clock_gates(element):
        cell = technology.cells[str(element.clock_gate)]
        assert isinstance(cell.state, ClockGate)
        yield cell, cell.state.enable, cell.state.setup, net


def _end(cell: Cell, pin: str, setup: tuple[Table, Table] | None) -> Cell:
    """A cell with this one pin, whose delay is the setup time at the clock's transition."""
    none = Table(np.zeros(1), np.zeros(1), np.zeros((1, 1)))
    rise, fall = (none, none) if setup is None else (_at_clock(table) for table in setup)
    arc = Arc(pin, END, "positive_unate", rise, fall, none, none)
    edges = {pin: cell.edge_ff[pin]} if pin in cell.edge_ff else {}
    name = f"{cell.name} {pin} setup"
    return Cell(name, 0.0, 0.0, {pin: cell.input_ff[pin]}, {END: Function(pin)}, (arc,), {}, {}, False, edges)


def _at_clock(setup: Table) -> Table:
    values = [[setup.at(slew, INPUT_SLEW_NS)] for slew in setup.slews.tolist()]
    return Table(setup.slews, np.zeros(1), np.array(values))
