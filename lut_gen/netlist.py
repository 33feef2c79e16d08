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
from lut_gen.liberty import Cell

SCHEMA_VERSION = 1


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
        """Raises CatalogError for text that is not of this form."""
        try:
            content = json.loads(text)
            if content["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {content['schema_version']}")
            gates = tuple(Gate(str(c), {**i}, {**o}) for c, i, o in content["gates"])
            netlist = cls(tuple(content["a"]), tuple(content["b"]), tuple(content["y"]), gates)
            netlist._check()
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            came = f"{type(error).__name__}: {error}"
            raise CatalogError("a netlist file", came, "build the catalog anew") from None
        return netlist

    def _check(self) -> None:
        """Every net is driven before it is read: numbers count up in order."""
        known = 2
        for net in (*self.a, *self.b):
            known += self._expect(net, known)
        for gate in self.gates:
            for net in gate.inputs.values():
                if not (type(net) is int and 0 <= net < known):
                    raise ValueError(f"net {net!r} is read before it is driven")
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
    cell, a combinational loop or a net without driver.
    """
    numbers: dict[int | str, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
    operands = []
    for role in ("activation", "weight"):
        bits = module["ports"][ports[role]]["bits"]
        for bit in bits:
            numbers[bit] = len(numbers) - 2
        operands.append(tuple(numbers[bit] for bit in bits))
    waiting = _yosys_gates(module, cells)
    gates: list[Gate] = []
    while waiting:
        late = []
        for cell, inputs, outputs in waiting:
            if not all(bit in numbers for bit in inputs.values()):
                late.append((cell, inputs, outputs))
                continue
            for bit in outputs.values():
                if bit in numbers:
                    raise DesignError("one driver for every net", f"net {bit} has two", "remove one of them")
                numbers[bit] = len(numbers) - 2
            nets = {pin: numbers[bit] for pin, bit in inputs.items()}
            gates.append(Gate(cell, nets, {pin: numbers[bit] for pin, bit in outputs.items()}))
        if len(late) == len(waiting):
            raise _undriven(late, module)
        waiting = late
    missing = [bit for bit in module["ports"][ports["product"]]["bits"] if bit not in numbers]
    if missing:
        came = f"{len(missing)} of them have none"
        raise DesignError("a driver for every product bit", came, "drive or tie them")
    y = tuple(numbers[bit] for bit in module["ports"][ports["product"]]["bits"])
    return Netlist(operands[0], operands[1], y, tuple(gates))


def _yosys_gates(module: dict[str, Any], cells: Mapping[str, Cell]) -> list[tuple[str, dict, dict]]:
    gates = []
    for name in sorted(module["cells"]):
        item = module["cells"][name]
        kind = item["type"]
        if kind not in cells or cells[kind].sequential:
            came = f"it holds a {kind} (a state or an unknown part)"
            mend = "give a circuit of gates only: an array multiplier, no registers, no latches"
            raise DesignError("a combinational multiplier", came, mend)
        pins = {pin: bits[0] for pin, bits in item["connections"].items() if bits}
        inputs = {pin: pins.get(pin, f"open {name}.{pin}") for pin in cells[kind].inputs}
        gates.append((kind, inputs, {pin: pins[pin] for pin in sorted(cells[kind].functions) if pin in pins}))
    return gates


def _undriven(late: list[tuple[str, dict, dict]], module: dict[str, Any]) -> DesignError:
    driven = {bit for _, _, outputs in late for bit in outputs.values()}
    names = {bit: name for name, net in module.get("netnames", {}).items() for bit in net["bits"]}
    loop = [names.get(bit, "?") for _, inputs, _ in late for bit in inputs.values() if bit in driven]
    if loop:
        came = f"a combinational loop runs through '{loop[0]}'"
        return DesignError("a circuit without feedback", came, "break the loop")
    came = f"{len(late)} gates read nets that nothing drives"
    return DesignError("a driver for every net", came, "drive or tie them")
