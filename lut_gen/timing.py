"""Critical path of a mapped netlist: static timing with the library's delay tables (NLDM), no wires.

Rise and fall arrivals are propagated in topological order with the worst transition at each net, as a static
timing analyser in graph mode does. Every path counts, whether or not operands exist that take it; only what constant
inputs of a gate rule out does not. OpenSTA gives the same delays, or later ones where a constant makes another input of
a gate idle without deciding its output: OpenSTA reads the written function there, not the truth table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from lut_gen.library.boolean import Function
from lut_gen.library.cell import Cell
from lut_gen.library.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF, Technology
from lut_gen.library.nldm import Table
from lut_gen.netlist import Netlist

RISE, FALL = 0, 1
_CAUSES = {"positive_unate": ((RISE,), (FALL,)), "negative_unate": ((FALL,), (RISE,))}
_ANY = ((RISE, FALL), (RISE, FALL))
_NEVER = -math.inf
_BOTH = True, True
_MOST_FREE = 10
"""Inputs that are tried out to see what a gate with constant inputs can do."""


@dataclass(frozen=True)
class Step:
    """One gate on the critical path: gate `gate` of the netlist switches its pin `output` because of `input`."""

    gate: int
    cell: str
    input: str
    output: str
    rises: bool
    load_ff: float
    slew_ns: float
    delay_ns: float
    arrival_ns: float


class _Move(NamedTuple):
    """An edge at an input that causes one at an output."""

    input: str
    cause: int
    output: str
    edge: int
    delay: Table
    slew: Table


def delay_ns(netlist: Netlist, technology: Technology) -> float:
    """Latest arrival at any product bit, ns; 0 for a circuit of wires."""
    timing = _Timing(netlist, technology)
    return max([0.0, *(timing.arrival[2 * net + edge] for net in netlist.y for edge in (RISE, FALL))])


def critical_path(netlist: Netlist, technology: Technology) -> list[Step]:
    """The gates of the path that `delay_ns` measures, from an operand bit to a product bit; [] where that is a wire.

    Of paths that are equally late, the one to the lowest product bit.
    """
    timing = _Timing(netlist, technology)
    ends = [2 * net + edge for net in netlist.y for edge in (RISE, FALL)]
    end = max(ends, key=timing.arrival.__getitem__, default=0)
    steps: list[Step] = []
    while end in timing.last:
        gate, move = timing.last[end]
        start = 2 * netlist.gates[gate].inputs[move.input] + move.cause
        arrival = timing.arrival[end]
        steps.append(
            Step(gate, netlist.gates[gate].cell, move.input, move.output, move.edge == RISE,
                 timing.loads[end], timing.slew[end], arrival - timing.arrival[start], arrival)
        )  # fmt: skip
        end = start
    return steps[::-1]


class _Timing:
    """Loads (fF), arrivals and transitions (ns) of all edges; edge 2 n rises and 2 n + 1 falls at net n. `last` is
    each edge's latest cause."""

    def __init__(self, netlist: Netlist, technology: Technology) -> None:
        self.loads = edge_loads(netlist, technology)
        self.arrival = [_NEVER] * (2 * netlist.nets)  # a constant never arrives
        self.slew = [0.0] * (2 * netlist.nets)
        self.last: dict[int, tuple[int, _Move]] = {}
        for net in (*netlist.a, *netlist.b):
            for edge in (RISE, FALL):
                self.arrival[2 * net + edge], self.slew[2 * net + edge] = 0.0, INPUT_SLEW_NS
        moves = {name: _moves(technology.cells[name]) for name in {gate.cell for gate in netlist.gates}}
        known = {0: 0, 1: 1}  # nets that never change
        for number, gate in enumerate(netlist.gates):
            constants = tuple((pin, known[net]) for pin, net in gate.inputs.items() if net in known)
            functions = technology.cells[gate.cell].functions
            if constants or not gate.inputs:  # without inputs: a tie cell
                values = {net: _value(functions[pin], constants) for pin, net in gate.outputs.items()}
                known.update({net: value for net, value in values.items() if value is not None})
            for move in moves[gate.cell]:
                if move.output in gate.outputs:
                    can = _follows_opposes(functions[move.output], move.input, constants) if constants else _BOTH
                    if any(can):
                        start = 2 * gate.inputs[move.input] + move.cause
                        end = 2 * gate.outputs[move.output] + move.edge
                        self._propagate(number, move, start, end, can[0 if move.cause == move.edge else 1])

    def _propagate(self, gate: int, move: _Move, start: int, end: int, arrives: bool) -> None:
        if self.arrival[start] == _NEVER:
            return
        slew, load = self.slew[start], self.loads[end]
        arrival = self.arrival[start] + move.delay.at(slew, load)
        if arrival > self.arrival[end] and arrives:
            self.arrival[end] = arrival
            self.last[end] = gate, move
        self.slew[end] = max(self.slew[end], move.slew.at(slew, load))


def _moves(cell: Cell) -> list[_Move]:
    found = []
    for arc in cell.arcs:
        edges = (arc.delay_rise, arc.slew_rise), (arc.delay_fall, arc.slew_fall)
        for edge, (delay, slew) in enumerate(edges):
            for cause in _CAUSES.get(arc.sense, _ANY)[edge]:
                found.append(_Move(arc.input, cause, arc.output, edge, delay, slew))
    return found


@cache
def _follows_opposes(function: Function, pin: str, constants: tuple[tuple[str, int], ...]) -> tuple[bool, bool]:
    """Whether the function can follow, and whether it can oppose, an input while others are constant."""
    free = tuple(name for name in function.pins if name != pin and name not in dict(constants))
    if len(free) > _MOST_FREE:
        return _BOTH
    low, high = (_outputs(function, free, (*constants, (pin, value))) for value in (0, 1))
    return bool((low < high).any()), bool((low > high).any())


@cache
def _value(function: Function, constants: tuple[tuple[str, int], ...]) -> int | None:
    """The function's value where constant inputs decide it, else None."""
    free = tuple(name for name in function.pins if name not in dict(constants))
    if len(free) > _MOST_FREE:
        return None
    found = _outputs(function, free, constants)
    return int(found[0]) if (found == found[0]).all() else None


def _outputs(function: Function, free: tuple[str, ...], constants: tuple[tuple[str, int], ...]) -> np.ndarray:
    """Values (0 or 1) for all values of the free inputs."""
    rows = np.arange(2 ** len(free), dtype=np.uint32)
    values = {name: (rows >> i) & 1 for i, name in enumerate(free)}
    values.update({name: np.full_like(rows, value) for name, value in constants})
    return np.broadcast_to(function.evaluate(values) & 1, rows.shape)


def edge_loads(netlist: Netlist, technology: Technology) -> list[float]:
    """Capacitance that each edge drives, fF: item 2 n for net n rising, 2 n + 1 falling."""
    loads = [0.0] * (2 * netlist.nets)
    for gate in netlist.gates:
        cell = technology.cells[gate.cell]
        for pin, net in gate.inputs.items():
            rise, fall = cell.edge_ff.get(pin) or (cell.input_ff[pin],) * 2
            loads[2 * net] += rise
            loads[2 * net + 1] += fall
        for pin, net in gate.outputs.items():
            for edge in (RISE, FALL):
                loads[2 * net + edge] += cell.output_ff.get(pin, 0.0)
    for net in netlist.y:
        for edge in (RISE, FALL):
            loads[2 * net + edge] += OUTPUT_LOAD_FF
    return loads
