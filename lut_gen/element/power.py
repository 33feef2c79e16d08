"""What a processing element spends: on toggles of its nets, and on its clock.

A toggle costs what it costs a multiplier (energy/power.py), with the loads that stand in an array: an output drives
the pins of the same port in the next element. Who pays: a net that a gate drives belongs to that gate's part, pins
included; of a net that comes from a port or a register each pin is paid by its own part (as a multiplier pays for its
input pins), so that all elements of an array together pay for every pin once. A register's output stage belongs to the
registers.

A clock edge that reaches a register charges and discharges its clock pin: two transitions a cycle, each 1/2 C V^2 and
the pin's internal energy. A clock gate's own clock pin switches in every cycle, its output in those in which it is
open. Not counted: wires, the clock tree before these pins, glitches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lut_gen.element import simulate
from lut_gen.element.netlist import ACCUMULATOR, MULTIPLIER, REGISTERS, ElementNetlist
from lut_gen.library.cell import Cell, ClockGate, FlipFlop
from lut_gen.library.liberty import INPUT_SLEW_NS, Technology

CLOCK, IDLE = "clock", "idle"
PARTS = (MULTIPLIER, ACCUMULATOR, REGISTERS)
"""Rows of `ElementEnergy.toggle_fj`."""
NEXT = {"valid_out": "valid_in", "x_out": "x_in", "x_sign_out": "x_sign_in", "w_out": "w_in", "w_sign_out": "w_sign_in",
        "enable_out": "enable_in", "sum_out": "sum_in"}  # fmt: skip
"""The port of the next element that each output drives."""


@dataclass(frozen=True)
class Counts:
    """What happened in some elements over some cycles, all added up.

    toggles: int64 or float64 [nets]. cycles: of all elements (elements x cycles). clocked: edges behind the clock gate
    of each enable net, by its number. products: of elements that were enabled, in valid cycles.
    """

    toggles: np.ndarray
    cycles: float
    clocked: Mapping[int, float]
    products: float


@dataclass(frozen=True)
class ElementEnergy:
    """Costs in fJ. toggle_fj: of a toggle of each net, float64 [PARTS, nets]. every_cycle_fj: of the clock in any
    cycle. gated_fj: of an edge that passes the clock gate of an enable net, more than that. valid: the enable of sums;
    None where no clock is gated. leakage_nw: of the whole element."""

    toggle_fj: np.ndarray
    every_cycle_fj: float
    gated_fj: dict[int, float]
    valid: int | None
    leakage_nw: float

    @classmethod
    def of(cls, element: ElementNetlist, technology: Technology) -> ElementEnergy:
        """Of an element mapped to this technology."""
        sums = [register for register in element.registers if register.q in element.outputs["sum_out"]]
        return cls(
            _toggle_energies(element, technology),
            *_clock_energies(element, technology),
            sums[0].clocked_by,
            sum(cell.leakage_nw for _, cell in all_cells(element, technology)),
        )

    def by_part(self, counts: Counts) -> dict[str, float]:
        """Energy in fJ: multiplier, accumulator, registers (toggles of each, idle elements' too), clock, idle.

        `clock` is what the clock costs in the cycles that made a product, `idle` what it costs in all others: waiting,
        loading weights, and elements that are not enabled.
        """
        toggles = dict(zip(PARTS, (float(fj) for fj in self.toggle_fj @ counts.toggles), strict=True))
        all_edges = counts.cycles * self.every_cycle_fj
        all_edges += sum(count * self.gated_fj[net] for net, count in counts.clocked.items())
        useful = counts.products * (self.every_cycle_fj + (0.0 if self.valid is None else self.gated_fj[self.valid]))
        return {**toggles, CLOCK: useful, IDLE: all_edges - useful}


def clock_gates(element: ElementNetlist) -> list[int]:
    """The enable net of each clock gate of the element, in ascending order."""
    return sorted({register.clocked_by for register in element.registers if register.clocked_by is not None})


def all_cells(element: ElementNetlist, technology: Technology) -> Iterator[tuple[str, Cell]]:
    """Every cell of the element with its part: gates, flip-flops, clock gates."""
    for gate, part in zip(element.gates, element.parts, strict=True):
        yield part, technology.cells[gate.cell]
    for register in element.registers:
        yield REGISTERS, technology.cells[register.cell]
    if element.clock_gate is not None:
        yield from [(REGISTERS, technology.cells[element.clock_gate])] * len(clock_gates(element))


def _pins(element: ElementNetlist, technology: Technology) -> Iterator[tuple[int, str, Cell, str]]:
    """Net, part, cell and name of every input pin but the clock's."""
    for gate, part in zip(element.gates, element.parts, strict=True):
        for pin, net in gate.inputs.items():
            yield net, part, technology.cells[gate.cell], pin
    for register in element.registers:
        yield register.data, REGISTERS, technology.cells[register.cell], register.data_pin
    if element.clock_gate is not None:
        cell = technology.cells[element.clock_gate]
        for net in clock_gates(element):
            yield net, REGISTERS, cell, _gate_pins(cell).enable


def _drivers(element: ElementNetlist, technology: Technology) -> Iterator[tuple[int, str, Cell, str]]:
    """Net, part, cell and pin of every output of a gate or a register."""
    for gate, part in zip(element.gates, element.parts, strict=True):
        for pin, net in gate.outputs.items():
            yield net, part, technology.cells[gate.cell], pin
    for register in element.registers:
        cell = technology.cells[register.cell]
        assert isinstance(cell.state, FlipFlop)
        yield register.q, REGISTERS, cell, cell.state.output


def _gate_pins(cell: Cell) -> ClockGate:
    assert isinstance(cell.state, ClockGate)
    return cell.state


def net_loads(element: ElementNetlist, technology: Technology) -> tuple[np.ndarray, np.ndarray]:
    """Capacitance on each net, fF, float64 [nets] twice: within the element, and with the pins of the next one too."""
    own = np.zeros(element.nets)
    for net, _, cell, pin in _pins(element, technology):
        own[net] += cell.input_ff[pin]
    for net, _, cell, pin in _drivers(element, technology):
        own[net] += cell.output_ff.get(pin, 0.0)
    whole = own.copy()
    for port, following in NEXT.items():
        for net, pin_net in zip(element.outputs[port], element.inputs[following], strict=True):
            whole[net] += own[pin_net]
    own[:2] = whole[:2] = 0.0
    return own, whole


def _toggle_energies(element: ElementNetlist, technology: Technology) -> np.ndarray:
    """float64 [PARTS, nets]."""
    energy = np.zeros((len(PARTS), element.nets))
    _, loads = net_loads(element, technology)
    square = technology.voltage**2
    row = {part: i for i, part in enumerate(PARTS)}
    driven_by = {net: part for gate, part in zip(element.gates, element.parts, strict=True)
                 for net in gate.outputs.values()}  # fmt: skip
    for net, part, cell, pin in _pins(element, technology):
        payer = row[driven_by.get(net, part)]
        energy[payer, net] += 0.5 * cell.input_ff[pin] * square + cell.input_energy_fj[pin]
    for net, part, cell, pin in _drivers(element, technology):
        energy[row[part], net] += 0.5 * cell.output_ff.get(pin, 0.0) * square
        if pin in cell.energy_fj:
            energy[row[part], net] += cell.energy_fj[pin].at(INPUT_SLEW_NS, loads[net])
    energy[:, :2] = 0.0
    return energy


def _clock_energies(element: ElementNetlist, technology: Technology) -> tuple[float, dict[int, float]]:
    """fJ a cycle that is always spent, and fJ an edge behind each clock gate."""
    pins_ff: dict[int | None, float] = dict.fromkeys((None, *clock_gates(element)), 0.0)
    energy: dict[int | None, float] = dict(pins_ff)
    for register in element.registers:
        cell = technology.cells[register.cell]
        pins_ff[register.clocked_by] += cell.input_ff[register.clock_pin]
        energy[register.clocked_by] += clock_pin_fj(cell, register.clock_pin, technology)
    for net in clock_gates(element):
        cell = technology.cells[str(element.clock_gate)]
        energy[None] += clock_pin_fj(cell, _gate_pins(cell).clock, technology)
        energy[net] += clock_output_fj(cell, pins_ff[net], technology)
    return energy.pop(None), {net: fj for net, fj in energy.items() if net is not None}


def clock_pin_fj(cell: Cell, pin: str, technology: Technology) -> float:
    """What a clock cycle costs at a clock pin, fJ: two transitions."""
    return cell.input_ff[pin] * technology.voltage**2 + 2 * cell.input_energy_fj[pin]


def clock_output_fj(cell: Cell, load_ff: float, technology: Technology) -> float:
    """What a clock cycle costs in an open clock gate's output stage, fJ; the pins that it drives pay for themselves."""
    pins = _gate_pins(cell)
    own = cell.output_ff.get(pins.output, 0.0)
    table = cell.energy_fj.get(pins.output)
    return own * technology.voltage**2 + (0.0 if table is None else 2 * table.at(INPUT_SLEW_NS, load_ff + own))


def uniform_energy_fj(element: ElementNetlist, technology: Technology, streams: int = 64, seed: int = 0) -> float:
    """Toggles' energy a cycle, fJ, when all patterns are drawn evenly, weights are held and sums are independent."""
    rng = np.random.default_rng(seed)
    inputs = {
        name: rng.integers(0, 2**64, (len(element.inputs[name]), streams), dtype=np.uint64)
        for name in ("x_in", "x_sign_in", "sum_in")
    }
    inputs["valid_in"] = np.full((1, streams), simulate.ONES)
    state = rng.random((len(element.registers), streams)) < 0.5
    for number, register in enumerate(element.registers):
        if register.q in (*element.outputs["enable_out"], *element.outputs["valid_out"]):
            state[number] = True
    words = simulate.streams(element, technology.cells, state, inputs)
    per_cycle = simulate.toggles(words).sum(axis=1) / (63 * streams)
    return float(_toggle_energies(element, technology).sum(axis=0) @ per_cycle)
