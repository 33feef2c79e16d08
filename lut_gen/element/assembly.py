"""Assembly of a processing element: the mapped frame that Yosys made, and the multiplier in the place kept for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lut_gen.element.netlist import ACCUMULATOR, INPUTS, MULTIPLIER, OUTPUTS, REGISTERS, ElementNetlist, Register
from lut_gen.errors import DesignError, LibertyError
from lut_gen.library.cell import Cell, FlipFlop
from lut_gen.library.liberty import Technology
from lut_gen.netlist import Gate, Netlist

CORE = "agn_hw_core"
"""The black box that stands for the multiplier, with ports x, w and p."""
_FLIP_FLOPS = {"$_DFF_P_": False, "$_DFFE_PP_": True}
_Bit = int | str
_FlipFlop = tuple[_Bit, _Bit, _Bit | None]
"""Data, q, enable."""
_Unnumbered = tuple[str, dict[str, _Bit], dict[str, _Bit]]
"""A cell with Yosys' bits of its input pins and of its output pins."""


@dataclass(frozen=True)
class Frame:
    """A mapped module with Yosys' bits for nets: all of the element but the multiplier, whose pins `core` has."""

    ports: dict[str, list[_Bit]]
    gates: list[_Unnumbered]
    flip_flops: list[_FlipFlop]
    core: dict[str, list[_Bit]]

    @classmethod
    def of(cls, module: dict[str, Any], cells: Mapping[str, Cell]) -> Frame:
        """Of a module of Yosys' JSON. Raises DesignError for one that holds other cells."""
        frame = cls({name: port["bits"] for name, port in module["ports"].items()}, [], [], {})
        for _, item in sorted(module["cells"].items()):
            kind, pins = item["type"], item["connections"]
            single = {pin: bits[0] for pin, bits in pins.items() if bits}
            if kind == CORE:
                frame.core.update(pins)
            elif kind in _FLIP_FLOPS:
                frame.flip_flops.append((single["D"], single["Q"], single["E"] if _FLIP_FLOPS[kind] else None))
            elif kind in cells and not cells[kind].sequential:
                outputs = {pin: single[pin] for pin in sorted(cells[kind].functions) if pin in single}
                frame.gates.append((kind, {pin: single[pin] for pin in cells[kind].inputs}, outputs))
            elif kind != "$scopeinfo":
                raise DesignError("gates of the library and flip-flops", f"a {kind} came", "check Yosys' version")
        place = {bit: i for i, bit in enumerate(bit for name in OUTPUTS for bit in frame.ports[name])}
        frame.flip_flops.sort(key=lambda flip_flop: place[flip_flop[1]])  # as the ports list what registers drive
        return frame


class _Nets:
    """Numbers of nets, given as they come."""

    def __init__(self) -> None:
        self.of: dict[_Bit, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
        self.count = 2

    def new(self, bits: Iterable[_Bit]) -> tuple[int, ...]:
        found = []
        for bit in bits:
            self.of[bit] = self.count
            found.append(self.count)
            self.count += 1
        return tuple(found)


def assemble(frame: Frame, multiplier: Netlist, activation_port: str, technology: Technology) -> ElementNetlist:
    """The element's netlist, numbered as ElementNetlist has it; the multiplier's gates come first.

    Raises LibertyError without a D flip-flop, DesignError for a circuit with a loop.
    """
    nets = _Nets()
    inputs = {name: nets.new(frame.ports[name]) for name in INPUTS}
    nets.new(q for _, q, _ in frame.flip_flops)
    spliced = _spliced(frame, multiplier, activation_port, nets)
    gates = _in_order(frame.gates, nets)
    registers = _registers(frame, nets, technology)
    outputs = {name: tuple(nets.of[bit] for bit in frame.ports[name]) for name in OUTPUTS}
    parts = (MULTIPLIER,) * len(spliced) + _parts(gates, inputs, outputs, registers)
    gated = technology.clock_gate if any(register.clocked_by is not None for register in registers) else None
    return ElementNetlist(inputs, outputs, registers, (*spliced, *gates), parts, gated[0].name if gated else None)


def _spliced(frame: Frame, multiplier: Netlist, activation_port: str, nets: _Nets) -> list[Gate]:
    """The multiplier's gates on the element's nets; its product bits become known."""
    x, w = (multiplier.a, multiplier.b) if activation_port == "a" else (multiplier.b, multiplier.a)
    own: dict[_Bit, int] = {0: 0, 1: 1}
    for operand, bits in ((x, frame.core["x"]), (w, frame.core["w"])):
        own.update(zip(operand, (nets.of[bit] for bit in bits), strict=True))
    gates = []
    for gate in multiplier.gates:
        inputs = {pin: own[net] for pin, net in gate.inputs.items()}
        outputs = {pin: nets.new([f"{CORE} {net}"])[0] for pin, net in gate.outputs.items()}
        own.update({net: outputs[pin] for pin, net in gate.outputs.items()})
        gates.append(Gate(gate.cell, inputs, outputs))
    for net, bit in zip(multiplier.y, frame.core["p"], strict=True):
        nets.of[bit] = own[net]
    return gates


def _in_order(gates: list[_Unnumbered], nets: _Nets) -> list[Gate]:
    """Gates after those that drive them, in rounds: each takes all whose inputs are known by then."""
    found: list[Gate] = []
    while gates:
        ready = [gate for gate in gates if all(bit in nets.of for bit in gate[1].values())]
        if not ready:
            raise DesignError("a processing element without feedback", "its gates form a loop", "break the loop")
        gates = [gate for gate in gates if gate not in ready]
        for cell, inputs, outputs in ready:
            own = {pin: nets.of[bit] for pin, bit in inputs.items()}
            found.append(Gate(cell, own, dict(zip(outputs, nets.new(outputs.values()), strict=True))))
    return found


def _registers(frame: Frame, nets: _Nets, technology: Technology) -> tuple[Register, ...]:
    cell, pins = plain_flip_flop(technology)
    return tuple(
        Register(cell.name, pins.data, pins.clock, nets.of[data], nets.of[q], None if e is None else nets.of[e])
        for data, q, e in frame.flip_flops
    )


def plain_flip_flop(technology: Technology) -> tuple[Cell, FlipFlop]:
    """The technology's flip-flop and its pins. Raises LibertyError where there is none."""
    if technology.flip_flop is None:
        came, mend = f"{technology.path.name} has none that can be read", "take a library with one"
        raise LibertyError("a D flip-flop with a rising clock, an output that is its state and no more", came, mend)
    return technology.flip_flop


def _parts(
    gates: list[Gate],
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
    registers: tuple[Register, ...],
) -> tuple[str, ...]:
    """The part of each gate around the multiplier. Those that the sum's registers wait for are the accumulator where
    they depend on the sum before; the others, which give the product its sign and let it pass where the enable bit is
    1, belong to the multiplier. What depends on load, valid or reset steers registers."""
    steered = _after({net for name in ("reset", "load", "valid_in") for net in inputs[name]}, gates)
    adding = _after(set(inputs["sum_in"]), gates)
    summing = _before({register.data for register in registers if register.q in outputs["sum_out"]}, gates)

    def part(nets: set[int]) -> str:
        if nets & steered or not nets & summing:
            return REGISTERS
        return ACCUMULATOR if nets & adding else MULTIPLIER

    return tuple(part(set(gate.outputs.values())) for gate in gates)


def _after(nets: set[int], gates: list[Gate]) -> set[int]:
    """Nets that depend on one of these, constants left out."""
    found = {net for net in nets if net > 1}
    for gate in gates:
        if found & set(gate.inputs.values()):
            found.update(gate.outputs.values())
    return found


def _before(nets: set[int], gates: list[Gate]) -> set[int]:
    """Nets that one of these depends on."""
    found = set(nets)
    for gate in reversed(gates):
        if found & set(gate.outputs.values()):
            found.update(gate.inputs.values())
    return found
