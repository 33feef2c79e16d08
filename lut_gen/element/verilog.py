"""A processing element's netlist as structural Verilog, for other tools: simulators, timing analysers.

    verilog(element, technology, "pe")    ->  the module with the ports of pe.v; an instance for each gate, register and
                                              clock gate, nets n2, n3 ...
    register_models(element, technology)  ->  behavioural modules of its flip-flop and its clock gate
"""

from __future__ import annotations

from collections.abc import Iterator

from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.power import clock_gates
from lut_gen.gate_level import identifier, net_name
from lut_gen.library.cell import ClockGate, FlipFlop
from lut_gen.library.liberty import Technology


def verilog(element: ElementNetlist, technology: Technology, name: str) -> str:
    """The element as one module `name`; the cells that it instantiates stay undefined (gate_level.cell_models)."""
    ports = [("input", port, nets) for port, nets in element.inputs.items()]
    ports += [("output", port, nets) for port, nets in element.outputs.items()]
    declared = "".join(f",\n    {direction} [{len(nets) - 1}:0] {port}" for direction, port, nets in ports)
    body = "".join(f"    {line}\n" for line in _body(element, technology))
    return f"module {identifier(name)} (\n    input clk{declared}\n);\n{body}endmodule\n"


def _body(element: ElementNetlist, technology: Technology) -> Iterator[str]:
    yield f"wire {', '.join(f'n{net}' for net in range(2, element.nets))};"
    for port, nets in element.inputs.items():
        for bit, net in enumerate(nets):
            yield f"assign n{net} = {port}[{bit}];"
    for number, gate in enumerate(element.gates):
        yield _instance(gate.cell, f"g{number}", {pin: net_name(n) for pin, n in (gate.inputs | gate.outputs).items()})
    for net in clock_gates(element):
        yield f"wire clk{net};"
        yield _clock_gate(element, technology, net)
    for number, register in enumerate(element.registers):
        state = technology.cells[register.cell].state
        assert isinstance(state, FlipFlop)
        clock = "clk" if register.clocked_by is None else f"clk{register.clocked_by}"
        pins = {register.data_pin: net_name(register.data), register.clock_pin: clock}
        yield _instance(register.cell, f"r{number}", {**pins, state.output: net_name(register.q)})
    for port, nets in element.outputs.items():
        for bit, net in enumerate(nets):
            yield f"assign {port}[{bit}] = {net_name(net)};"


def _clock_gate(element: ElementNetlist, technology: Technology, net: int) -> str:
    cell = str(element.clock_gate)
    pins = technology.cells[cell].state
    assert isinstance(pins, ClockGate)
    wires = {pins.clock: "clk", pins.enable: net_name(net), pins.output: f"clk{net}"}
    return _instance(cell, f"c{net}", {**wires, **dict.fromkeys(pins.tied, "1'b0")})


def _instance(cell: str, name: str, pins: dict[str, str]) -> str:
    wires = ", ".join(f".{identifier(pin)}({net})" for pin, net in sorted(pins.items()))
    return f"{identifier(cell)} {name} ({wires});"


def register_models(element: ElementNetlist, technology: Technology) -> str:
    """Modules of the cells that `verilog` makes registers of: a flip-flop, and a clock gate with its latch."""
    text = []
    for name in sorted({register.cell for register in element.registers}):
        state = technology.cells[name].state
        assert isinstance(state, FlipFlop)
        data, clock, q = identifier(state.data), identifier(state.clock), identifier(state.output)
        ports = f"input {data}, input {clock}, output reg {q}"
        text.append(f"module {identifier(name)} ({ports});\n    always @(posedge {clock}) {q} <= {data};\nendmodule\n")
    if element.clock_gate is not None:
        pins = technology.cells[element.clock_gate].state
        assert isinstance(pins, ClockGate)
        clock, enable, output = identifier(pins.clock), identifier(pins.enable), identifier(pins.output)
        ports = ", ".join(f"input {identifier(pin)}" for pin in (pins.clock, pins.enable, *pins.tied))
        text.append(
            f"module {identifier(element.clock_gate)} ({ports}, output {output});\n    reg open;\n"
            f"    always @* if (!{clock}) open = {enable};\n    assign {output} = {clock} & open;\nendmodule\n"
        )
    return "".join(text)
