"""Clock edges of a processing element's netlist, for many independent elements at once; and whole streams of cycles.

Values are words of 64 bits, uint64 [nets, words]. In `evaluate` and `clocked` a bit is an element of its own: that is
the oracle of anything faster. In `streams` bit t of a word is cycle t of one element, so that a stretch of 64 cycles
costs one evaluation of the gates.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lut_gen.element.netlist import ElementNetlist
from lut_gen.errors import DesignError
from lut_gen.library.cell import Cell
from lut_gen.netlist import pack_bits, unpack_bits

ONES = ~np.uint64(0)


def evaluate(
    element: ElementNetlist, cells: Mapping[str, Cell], state: np.ndarray, inputs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Value of every net between two clock edges, uint64 [nets, words].

    state: what the registers hold, uint64 [registers, words], in their order. inputs: uint64 [bits, words] of each
    port, least significant bit first; a port that is left out is 0.
    """
    words = np.zeros((element.nets, state.shape[1]), dtype=np.uint64)
    words[1] = ONES
    for port, nets in element.inputs.items():
        if port in inputs:
            words[list(nets)] = inputs[port]
    for register, held in zip(element.registers, state, strict=True):
        words[register.q] = held
    _settle(element, cells, words)
    return words


def _settle(element: ElementNetlist, cells: Mapping[str, Cell], words: np.ndarray) -> None:
    """Fills in the gates' outputs."""
    for gate in element.gates:
        functions = cells[gate.cell].functions
        values = {pin: words[net] for pin, net in gate.inputs.items()}
        for pin, net in gate.outputs.items():
            words[net] = functions[pin].evaluate(values)


def clocked(element: ElementNetlist, words: np.ndarray) -> np.ndarray:
    """What the registers hold after the clock edge that ends a cycle with these nets: uint64 [registers, words]."""
    state = np.empty((len(element.registers), words.shape[1]), dtype=np.uint64)
    for number, register in enumerate(element.registers):
        taken = ONES if register.clocked_by is None else words[register.clocked_by]
        state[number] = (words[register.data] & taken) | (words[register.q] & ~taken)
    return state


def port(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers [V] (two's complement where negative) as the words of a port of this many bits, uint64 [bits, words]."""
    return np.stack([pack_bits((values >> bit) & 1) for bit in range(bits)])


def cycles(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers [streams, T], T up to 64, as the words of a port for `streams`: uint64 [bits, streams].

    After the last cycle its value is held.
    """
    rows = np.concatenate([values, np.repeat(values[:, -1:], 64 - values.shape[1], axis=1)], axis=1)
    found = [np.packbits((rows >> bit & 1).astype(np.uint8), axis=1, bitorder="little") for bit in range(bits)]
    return np.stack([np.ascontiguousarray(packed).view("<u8")[:, 0].astype(np.uint64) for packed in found])


def numbers(element: ElementNetlist, words: np.ndarray, name: str, vectors: int, signed: bool = False) -> np.ndarray:
    """The numbers on an output port, int64 [vectors], from the words of all nets; two's complement if `signed`."""
    nets = element.outputs[name]
    value = np.zeros(vectors, dtype=np.int64)
    for bit, net in enumerate(nets):
        value |= unpack_bits(words[net], vectors).astype(np.int64) << bit
    return value - ((value >> (len(nets) - 1)) << len(nets)) if signed else value


def streams(
    element: ElementNetlist, cells: Mapping[str, Cell], state: np.ndarray, inputs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Value of every net in 64 successive cycles of many elements: uint64 [nets, elements], bit t is cycle t.

    state: what the registers hold in cycle 0, bool [registers, elements]. inputs: uint64 [bits, elements], bit t the
    value in cycle t. Each net that gates a clock must hold one value for all cycles of an element. Raises DesignError
    where it does not, and for an element whose registers feed back to themselves by more than holding a value.
    """
    held = np.where(state, ONES, np.uint64(0))
    first = state.astype(np.uint64)
    read = {net for gate in element.gates for net in gate.inputs.values()}
    words = evaluate(element, cells, held, inputs)
    for _ in range(2 + len(element.registers)):
        after = _held_from_cycle_to_cycle(element, words, first, held)
        moved = [r.q for r, new in zip(element.registers, after, strict=True) if not np.array_equal(new, words[r.q])]
        for register, new in zip(element.registers, after, strict=True):
            words[register.q] = new
        if not moved:
            return words
        if read.intersection(moved):
            _settle(element, cells, words)
    raise DesignError("registers without feedback", "they never settle", "evaluate cycle by cycle")


def _held_from_cycle_to_cycle(
    element: ElementNetlist, words: np.ndarray, first: np.ndarray, held: np.ndarray
) -> np.ndarray:
    """What registers hold in each cycle when the nets are these."""
    after = held.copy()
    for number, register in enumerate(element.registers):
        follows = words[register.data] << np.uint64(1) | first[number]
        taken = np.uint64(1) if register.clocked_by is None else words[register.clocked_by]
        if register.clocked_by is not None and not ((taken == 0) | (taken == ONES)).all():
            raise DesignError("streams in which a clock is gated throughout or never", "one is gated in some cycles",
                              "cut the stream there")  # fmt: skip
        after[number] = np.where(taken == 0, held[number], follows)
    return after


def toggles(words: np.ndarray, steps: int = 63) -> np.ndarray:
    """Changes of each net in the first steps of each stream: int64 [nets, streams], from the words of `streams`."""
    return np.bitwise_count((words ^ words >> np.uint64(1)) & np.uint64(2**steps - 1)).astype(np.int64)
