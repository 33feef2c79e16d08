"""Glitches: every change of every net while a netlist settles, for many transitions at once.

Each gate output has a delay of whole time units: 1 for all (`unit_delays`), or from the library
(`library_delays`). Delays are inertial, as Verilog's `assign #d` has them: an output takes a new value d units
after the inputs asked for it, unless they ask for another one before; a pulse shorter than d does not pass.
Transitions start from settled nets and all inputs switch at time 0.

A net's waveform is a list of times and, at each, a row of words with 64 transitions a word. Delays do not depend
on the data, so all transitions share their times and a gate is evaluated for all times and transitions in one
go. Pulses count as full swings and nothing else slows a transition, so glitch energy is an upper estimate for
these delays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np

from lut_gen.energy.power import net_loads
from lut_gen.energy.transitions import Transitions
from lut_gen.library.cell import Cell
from lut_gen.library.liberty import INPUT_SLEW_NS, Technology
from lut_gen.netlist import Gate, Netlist, pack_bits

STEP_NS = 0.002
"""Time unit of library delays."""
_SWITCH = np.array([-1, 0])


@dataclass(frozen=True)
class Changes:
    """Changes of each net, int64 [nets, words]: word i sums up transitions 64 i ... 64 i + 63.

    all: every change, glitches included. settled: 1 where the settled values differ (zero delay).
    """

    all: np.ndarray
    settled: np.ndarray


@dataclass(frozen=True)
class _Waveform:
    """times int64 [R] increasing; words uint64 [R, W]: row i holds from times[i] on, row 0 before as well."""

    times: np.ndarray
    words: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        return self.words[np.maximum(np.searchsorted(self.times, times, side="right") - 1, 0)]


def unit_delays(netlist: Netlist) -> np.ndarray:
    """One time unit for each gate output, int64 [nets]."""
    return np.ones(netlist.nets, dtype=np.int64)


def library_delays(netlist: Netlist, technology: Technology) -> np.ndarray:
    """Delay of each gate output in units of STEP_NS, int64 [nets], 1 or more.

    The mean over its arcs and both edges, at the net's load and the mean input transition that reaches the gate.
    """
    loads = net_loads(netlist, technology.cells)
    slews = np.full(netlist.nets, INPUT_SLEW_NS)
    delays = np.ones(netlist.nets, dtype=np.int64)
    for gate in netlist.gates:
        for pin, net in gate.outputs.items():
            arcs = [arc for arc in technology.cells[gate.cell].arcs if arc.output == pin and gate.inputs[arc.input] > 1]
            at = [(slews[gate.inputs[arc.input]], loads[net]) for arc in arcs]
            if arcs:
                found = [t.at(*x) for arc, x in zip(arcs, at, strict=True) for t in (arc.delay_rise, arc.delay_fall)]
                delays[net] = max(round(float(np.mean(found)) / STEP_NS), 1)
                found = [t.at(*x) for arc, x in zip(arcs, at, strict=True) for t in (arc.slew_rise, arc.slew_fall)]
                slews[net] = np.mean(found)
    return delays


def changes(netlist: Netlist, cells: Mapping[str, Cell], delays: np.ndarray, transitions: Transitions) -> Changes:
    """Simulates every transition. delays: int64 [nets], 1 or more, the delay of each gate's output net.

    Memory grows with the transitions: a few thousand at a time.
    """
    words = -(-len(transitions) // 64)
    every, settled = np.zeros((2, netlist.nets, words), dtype=np.int64)
    waves = _inputs(netlist, transitions)
    last = _last_readers(netlist)
    for number, gate in enumerate(netlist.gates):
        for net, wave in _outputs(gate, cells[gate.cell], waves, delays):
            waves[net] = wave
        for net in last.get(number, ()):
            _count(waves.pop(net), every[net], settled[net])
    for net, wave in waves.items():
        _count(wave, every[net], settled[net])
    return Changes(every, settled)


def _inputs(netlist: Netlist, transitions: Transitions) -> dict[int, _Waveform]:
    """Waveforms of constants and operand bits. Past the last transition nothing moves: both values are 0."""
    words = -(-len(transitions) // 64)
    still = np.zeros(1, dtype=np.int64)
    ones = np.full((1, words), ~np.uint64(0))
    waves = {0: _Waveform(still, ~ones), 1: _Waveform(still, ones)}
    operands = (
        (netlist.a, transitions.a_before, transitions.a_after),
        (netlist.b, transitions.b_before, transitions.b_after),
    )
    for nets, before, after in operands:
        for bit, net in enumerate(nets):
            rows = np.stack([pack_bits((before >> bit) & 1), pack_bits((after >> bit) & 1)])
            waves[net] = _compact(_SWITCH, rows)
    return waves


def _last_readers(netlist: Netlist) -> dict[int, list[int]]:
    """Nets whose waveform is read for the last time, by gate number."""
    reader = {net: number for number, gate in enumerate(netlist.gates) for net in gate.inputs.values() if net > 1}
    last: dict[int, list[int]] = {}
    for net, number in reader.items():
        last.setdefault(number, []).append(net)
    return last


def _outputs(
    gate: Gate, cell: Cell, waves: Mapping[int, _Waveform], delays: np.ndarray
) -> list[tuple[int, _Waveform]]:
    """Waveforms of a gate's outputs."""
    inputs = {pin: waves[net] for pin, net in gate.inputs.items()}
    times = np.unique(np.concatenate([wave.times for wave in inputs.values()] or [_SWITCH[1:]]))
    values = {pin: wave.at(times) for pin, wave in inputs.items()}
    shape = len(times), next(iter(waves.values())).words.shape[1]
    found = []
    for pin, net in gate.outputs.items():
        asked = _compact(times, np.broadcast_to(cell.functions[pin].evaluate(values), shape))
        found.append((net, _delayed(asked, int(delays[net]))))
    return found


def _compact(times: np.ndarray, words: np.ndarray) -> _Waveform:
    """The waveform without rows in which no transition changes anything."""
    moves = np.ones(len(times), dtype=bool)
    moves[1:] = (words[1:] != words[:-1]).any(axis=1)
    return _Waveform(times[moves], words[moves])


def _delayed(asked: _Waveform, delay: int) -> _Waveform:
    """The output of a gate whose inputs ask for these values: `delay` later, short pulses left out."""
    times, words = asked.times, asked.words
    blocked = np.zeros_like(words)  # asked for something else less than `delay` later
    switched = words[1:] ^ words[:-1]
    for offset in count(1):
        near = np.flatnonzero(times[offset:] - times[:-offset] < delay)
        if not len(near):
            break
        blocked[near] |= switched[near + offset - 1]
    if not blocked.any():
        return _Waveform(times + delay, words)
    result = words.copy()
    for row in range(1, len(times)):
        result[row] = words[row] ^ ((words[row] ^ result[row - 1]) & blocked[row])
    return _compact(times + delay, result)


def _count(wave: _Waveform, every: np.ndarray, settled: np.ndarray) -> None:
    every[:] = np.bitwise_count(wave.words[1:] ^ wave.words[:-1]).sum(axis=0, dtype=np.int64)
    settled[:] = np.bitwise_count(wave.words[0] ^ wave.words[-1])
