"""Mapped netlists and their cells as structural Verilog, for other tools: simulators, timing analysers.

    verilog(netlist, "m")  ->  module m (input [..] a, b, output [..] y); one instance a gate, nets n2, n3 ...
    with_delays(netlist, "m", cells, delays)  ->  the same module of assignments, a delay for each gate output
    cell_models(cells)     ->  a module for each combinational cell, its outputs as expressions of its inputs
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lut_gen.errors import LibertyError
from lut_gen.library.cell import Cell
from lut_gen.netlist import Netlist

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_VISIBLE = re.compile(r"[!-~]+")


def verilog(netlist: Netlist, name: str) -> str:
    """The netlist as one module `name`; the cells it instantiates stay undefined."""
    return _module(netlist, name, _instances(netlist))


def with_delays(netlist: Netlist, name: str, cells: Mapping[str, Cell], delays: Sequence[int]) -> str:
    """The netlist as one module without cells: each gate output waits delays[net] time units, inertial."""
    return _module(netlist, name, _assignments(netlist, cells, delays))


def _module(netlist: Netlist, name: str, gates: Iterator[str]) -> str:
    ports = (("input", netlist.a, "a"), ("input", netlist.b, "b"), ("output", netlist.y, "y"))
    declared = ",\n".join(f"    {direction} [{len(nets) - 1}:0] {port}" for direction, nets, port in ports)
    body = "".join(f"    {line}\n" for line in _body(netlist, gates))
    return f"module {identifier(name)} (\n{declared}\n);\n{body}endmodule\n"


def _body(netlist: Netlist, gates: Iterator[str]) -> Iterator[str]:
    if netlist.nets > 2:
        yield f"wire {', '.join(f'n{net}' for net in range(2, netlist.nets))};"
    for port, nets in (("a", netlist.a), ("b", netlist.b)):
        for bit, net in enumerate(nets):
            yield f"assign n{net} = {port}[{bit}];"
    yield from gates
    for bit, net in enumerate(netlist.y):
        yield f"assign y[{bit}] = {net_name(net)};"


def _instances(netlist: Netlist) -> Iterator[str]:
    for number, gate in enumerate(netlist.gates):
        pins = ", ".join(
            f".{identifier(pin)}({net_name(net)})" for pin, net in sorted({**gate.inputs, **gate.outputs}.items())
        )
        yield f"{identifier(gate.cell)} g{number} ({pins});"


def _assignments(netlist: Netlist, cells: Mapping[str, Cell], delays: Sequence[int]) -> Iterator[str]:
    """A shift into the truth table for each output: written in gates, a function would have hazards of its own."""
    for gate in netlist.gates:
        cell = cells[gate.cell]
        row = ", ".join(net_name(gate.inputs[pin]) for pin in reversed(cell.inputs))
        for pin, net in gate.outputs.items():
            table = cell.functions[pin].truth_table(cell.inputs)
            bits = "".join(str(bit) for bit in reversed(table))
            shift = f" >> {{{row}}}" if row else ""
            yield f"assign #{delays[net]} {net_name(net)} = {len(table)}'b{bits}{shift};"


def net_name(net: int) -> str:
    """What a net is called in `verilog`: a constant, or n and its number."""
    return f"1'b{net}" if net < 2 else f"n{net}"


def cell_models(cells: Iterable[Cell], delay: int | None = None) -> str:
    """Behavioural modules of combinational cells; every output waits `delay` time units where one is given."""
    wait = "" if delay is None else f"#{delay} "
    text = []
    for cell in cells:
        pins = [*(f"input {identifier(pin)}" for pin in cell.inputs)]
        pins += [f"output {identifier(pin)}" for pin in cell.functions]
        body = "".join(
            f"    assign {wait}{identifier(pin)} = {function.verilog(identifier)};\n"
            for pin, function in cell.functions.items()
        )
        text.append(f"module {identifier(cell.name)} ({', '.join(pins)});\n{body}endmodule\n")
    return "".join(text)


def identifier(name: str) -> str:
    """A name as Verilog writes it, escaped where needed. Raises LibertyError for one that cannot be written."""
    if _PLAIN.fullmatch(name):
        return name
    if _VISIBLE.fullmatch(name):
        return f"\\{name} "
    mend = "rename it in the library"
    raise LibertyError("names of visible characters for cells and pins", f"{name!r} came", mend)
