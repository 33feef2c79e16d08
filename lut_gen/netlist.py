"""Netlist: mapped gates in topological order, evaluated bit-parallel on any operand sequence.

A net is a number: 0 and 1 are the constants, then come the bits of `a`, the bits of `b`, then one net an
output pin of each gate in order. A set of V vectors is held as uint64 words, 64 vectors a word, one row a
net: one numpy operation evaluates a gate for 64 vectors a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lut_gen.errors import CatalogError, DesignError
from lut_gen.library.cell import Cell

SCHEMA_VERSION = 1
LARGEST_TEXT = 1 << 25
"""Characters of the largest netlist that is read, a thousand times those of an 8x8 multiplier."""
_MOST_BITS = 31  # of two operands together, and of a product: it is an int32


@dataclass(frozen=True)
class Gate:
    """A cell with the net of each of its pins."""

    cell: str
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class Netlist:
    """A combinational circuit of two operands. Net lists are least significant bit first."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    y: tuple[int, ...]
    gates: tuple[Gate, ...]

    @cached_property
    def nets(self) -> int:
        """Number of nets, the two constants included."""
        return 2 + len(self.a) + len(self.b) + sum(len(gate.outputs) for gate in self.gates)

    def to_json(self) -> str:
        """Canonical text (same netlist, same bytes)."""
        gates = [[g.cell, _sorted(g.inputs), _sorted(g.outputs)] for g in self.gates]
        content = {"schema_version": SCHEMA_VERSION, "a": self.a, "b": self.b, "y": self.y, "gates": gates}
        return json.dumps(content, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Netlist:
        """Raises CatalogError for text that is not of this form, or longer than LARGEST_TEXT."""
        try:
            if len(text) > LARGEST_TEXT:
                raise ValueError(f"{len(text)} characters")
            content = json.loads(text)
            if content["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {content['schema_version']}")
            gates = tuple(Gate(c, {**i}, {**o}) for c, i, o in content["gates"])
            netlist = cls(tuple(content["a"]), tuple(content["b"]), tuple(content["y"]), gates)
            netlist._check()
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            came = f"{type(error).__name__}: {error}"[:200]
            raise CatalogError("a netlist file", came, "build the catalog anew") from None
        return netlist

    def _check(self) -> None:
        """Every net is driven before it is read: numbers count up in order."""
        if not (self.a and self.b and self.y and len(self.a + self.b) <= _MOST_BITS and len(self.y) <= _MOST_BITS):
            raise ValueError(f"operands of {len(self.a)} and {len(self.b)} bits, a product of {len(self.y)}")
        known = 2
        for net in (*self.a, *self.b):
            known += self._expect(net, known)
        for gate in self.gates:
            if not isinstance(gate.cell, str):
                raise ValueError(f"{gate.cell!r} is no cell's name")
            for net in gate.inputs.values():
                if not (type(net) is int and 0 <= net < known):
                    raise ValueError(f"net {net!r} is read before it is driven")
            if list(gate.outputs) != sorted(gate.outputs):
                raise ValueError(f"the outputs of a {gate.cell} are not in order")
            for net in gate.outputs.values():
                known += self._expect(net, known)
        if not all(type(net) is int and 0 <= net < known for net in self.y):
            raise ValueError("an output that is no net")

    @staticmethod
    def _expect(net: Any, number: int) -> int:
        if net != number or type(net) is not int:
            raise ValueError(f"net {net!r} stands where {number} was due")
        return 1

    def evaluate(self, cells: Mapping[str, Cell], a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Value of every net, uint64 [nets, ceil(V / 64)], for operand patterns a, b: integers [V].

        Bit v % 64 of word v // 64 is vector v; bits past V are undefined.
        """
        words = np.zeros((self.nets, -(-len(a) // 64)), dtype=np.uint64)
        words[1] = ~np.uint64(0)
        for nets, operand in ((self.a, a), (self.b, b)):
            for bit, net in enumerate(nets):
                words[net] = pack_bits((operand >> bit) & 1)
        for gate in self.gates:
            values = {pin: words[net] for pin, net in gate.inputs.items()}
            functions = cells[gate.cell].functions
            for pin, net in gate.outputs.items():
                words[net] = functions[pin].evaluate(values)
        return words

    def product(self, words: np.ndarray, vectors: int, signed: bool) -> np.ndarray:
        """The values of `y`, int32 [V], from evaluated words; two's complement if `signed`."""
        value = np.zeros(vectors, dtype=np.int64)
        for bit, net in enumerate(self.y):
            value |= unpack_bits(words[net], vectors).astype(np.int64) << bit
        if signed:
            value -= (value >> (len(self.y) - 1)) << len(self.y)
        return value.astype(np.int32)

    def table(self, cells: Mapping[str, Cell], signed: bool) -> np.ndarray:
        """The whole function, int32 [2**a_bits, 2**b_bits], by exhaustive evaluation."""
        a, b = all_operands(len(self.a), len(self.b))
        product = self.product(self.evaluate(cells, a, b), len(a), signed)
        return product.reshape(2 ** len(self.a), 2 ** len(self.b))


def _sorted(pins: dict[str, int]) -> dict[str, int]:
    return dict(sorted(pins.items()))


def all_operands(a_bits: int, b_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """All operand pairs in table order: `b` runs fastest; two int64 arrays [2**(a_bits + b_bits)]."""
    index = np.arange(2 ** (a_bits + b_bits))
    return index >> b_bits, index & (2**b_bits - 1)


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """Bits [V] (0 or 1) as uint64 words [ceil(V / 64)], vector 0 in the lowest bit."""
    padded = np.zeros(-(-len(bits) // 64) * 8, dtype=np.uint8)
    packed = np.packbits(bits.astype(bool), bitorder="little")
    padded[: len(packed)] = packed
    return padded.view("<u8").astype(np.uint64)


def unpack_bits(words: np.ndarray, vectors: int) -> np.ndarray:
    """The first `vectors` bits of words, uint8 [V]."""
    return np.unpackbits(words.astype("<u8").view(np.uint8), count=vectors, bitorder="little")


def from_yosys(module: dict[str, Any], ports: dict[str, str], cells: Mapping[str, Cell]) -> Netlist:
    """Netlist of a module of Yosys' JSON that is mapped to `cells`; levelised and renumbered.

    `ports` gives the Verilog names of activation, weight and product. Raises DesignError for a sequential
    cell, a combinational loop, a net without driver, or a module of another form.
    """
    try:
        return _levelised(module, ports, cells)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        came = f"{type(error).__name__}: {error}"[:200]
        raise DesignError("a module as Yosys writes it (write_json)", came, "check Yosys' version") from None


def _levelised(module: dict[str, Any], ports: dict[str, str], cells: Mapping[str, Cell]) -> Netlist:
    numbers: dict[int | str, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
    operands = []
    for role in ("activation", "weight"):
        bits = module["ports"][ports[role]]["bits"]
        for bit in bits:
            if type(bit) is not int or bit in numbers:
                raise ValueError(f"bit {bit!r} of port {ports[role]}")
            numbers[bit] = len(numbers) - 2
        operands.append(tuple(numbers[bit] for bit in bits))
    gates: list[Gate] = []
    for cell, inputs, outputs in _in_order(_yosys_gates(module, cells), set(numbers), module):
        for bit in outputs.values():
            numbers[bit] = len(numbers) - 2
        nets = {pin: numbers[bit] for pin, bit in inputs.items()}
        gates.append(Gate(cell, nets, {pin: numbers[bit] for pin, bit in outputs.items()}))
    product = module["ports"][ports["product"]]["bits"]
    if not (all(operands) and product):
        raise ValueError("a port without bits")
    missing = [bit for bit in product if bit not in numbers]
    if missing:
        came = f"{len(missing)} of them have none"
        raise DesignError("a driver for every product bit", came, "drive or tie them")
    return Netlist(operands[0], operands[1], tuple(numbers[bit] for bit in product), tuple(gates))


_Unnumbered = tuple[str, dict, dict]
"""A cell with Yosys' bits of its input pins and of its output pins."""


def _in_order(gates: list[_Unnumbered], known: set[int | str], module: dict[str, Any]) -> list[_Unnumbered]:
    """Gates after those that drive them, else as they come: in rounds, each taking all that have their inputs by then.

    The round is the highest of its drivers', one more for a driver that stands behind it in the list.
    """
    driver: dict[int | str, int] = {}
    for i, (_, _, outputs) in enumerate(gates):
        for bit in outputs.values():
            if bit in known or bit in driver:
                raise DesignError("one driver for every net", f"net {str(bit)[:200]} has two", "remove one of them")
            driver[bit] = i
    inputs = [{bit for bit in pins.values() if bit not in known} for _, pins, _ in gates]
    readers: list[list[int]] = [[] for _ in gates]
    for i, bits in enumerate(inputs):
        for j in {driver[bit] for bit in bits if bit in driver}:
            readers[j].append(i)
    missing = [len({driver.get(bit, -1) for bit in bits}) for bits in inputs]
    rounds, ready, done = [0] * len(gates), [i for i, count in enumerate(missing) if not count], 0
    while ready:
        j, done = ready.pop(), done + 1
        for i in readers[j]:
            rounds[i] = max(rounds[i], rounds[j] + (j > i))
            missing[i] -= 1
            if not missing[i]:
                ready.append(i)
    if done < len(gates):
        raise _undriven([gate for gate, count in zip(gates, missing, strict=True) if count], module)
    return [gates[i] for i in sorted(range(len(gates)), key=lambda i: (rounds[i], i))]


def _yosys_gates(module: dict[str, Any], cells: Mapping[str, Cell]) -> list[_Unnumbered]:
    gates = []
    for name in sorted(module["cells"]):
        item = module["cells"][name]
        kind = item["type"]
        if kind not in cells or cells[kind].sequential:
            came = f"it holds a {str(kind)[:200]} (a state, or an operator that has no gates)"
            mend = "give a circuit of gates only: an array multiplier, no registers, no latches"
            raise DesignError("a combinational multiplier", came, mend)
        pins = {pin: bits[0] for pin, bits in item["connections"].items() if bits}
        if not all(type(bit) in (int, str) for bit in pins.values()):
            raise ValueError(f"the connections of {name}")
        inputs = {pin: pins.get(pin, f"open {name}.{pin}") for pin in cells[kind].inputs}
        gates.append((kind, inputs, {pin: pins[pin] for pin in sorted(cells[kind].functions) if pin in pins}))
    return gates


def _undriven(late: list[_Unnumbered], module: dict[str, Any]) -> DesignError:
    driven = {bit for _, _, outputs in late for bit in outputs.values()}
    names = {bit: name for name, net in module.get("netnames", {}).items() for bit in net["bits"]}
    loop = [names.get(bit, "?") for _, inputs, _ in late for bit in inputs.values() if bit in driven]
    if loop:
        came = f"a combinational loop runs through '{str(loop[0])[:200]}'"
        return DesignError("a circuit without feedback", came, "break the loop")
    came = f"{len(late)} gates read nets that nothing drives"
    return DesignError("a driver for every net", came, "drive or tie them")
