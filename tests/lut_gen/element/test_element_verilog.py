"""The mapped element as Verilog: Icarus runs it beside pe.v, OpenSTA times it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lut_gen import opensta
from lut_gen.element import synthesis
from lut_gen.element.netlist import INPUTS, OUTPUTS, ElementNetlist
from lut_gen.element.power import NEXT
from lut_gen.element.synthesis import ACCELERATOR, SIGN_MAGNITUDE, SIGNED
from lut_gen.element.timing import clock_period
from lut_gen.element.verilog import register_models, verilog
from lut_gen.gate_level import cell_models
from lut_gen.gate_level import verilog as netlist_verilog
from lut_gen.library.liberty import Technology
from lut_gen.library.liberty_reader import load
from tests.lut_gen.element.conftest import MULTIPLIERS

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on the PATH")
CYCLES = 400


def bench(element: ElementNetlist, parameters: dict[str, int]) -> str:
    """Both elements on the same random inputs; says which output differs, and how many cycles had none."""
    declared = "".join(f"    reg [{len(nets) - 1}:0] {name} = 0;\n" for name, nets in element.inputs.items())
    wires = "".join(f"    wire [{len(nets) - 1}:0] {name}, {name}_mapped;\n" for name, nets in element.outputs.items())
    ins = ", ".join(f".{name}({name})" for name in INPUTS)
    outs = ", ".join(f".{name}({name})" for name in OUTPUTS)
    mapped = ", ".join(f".{name}({name}_mapped)" for name in OUTPUTS)
    values = ", ".join(f".{key}({value})" for key, value in parameters.items())
    draw = "".join(f"            {name} = $urandom(seed);\n" for name in INPUTS)
    check = "".join(
        f'            if ({n} !== {n}_mapped) begin $display("{n} %b %b", {n}, {n}_mapped); $finish; end\n'
        for n in OUTPUTS
    )
    return f"""`timescale 1ns/1ps
module bench;
    reg clk = 0;
    integer seed = 1, cycle;
{declared}{wires}    pe #({values}) plain (.clk(clk), {ins}, {outs});
    mapped dut (.clk(clk), {ins}, {mapped});
    initial begin
        for (cycle = 0; cycle < {CYCLES}; cycle = cycle + 1) begin
{draw}            if (cycle < 3) begin reset = 1; load = 1; valid_in = 1; end else if (cycle % 9) reset = 0;
            #5 clk = 1;
            #5 clk = 0;
            if (cycle > 3) begin
{check}            end
        end
        $display("equal for %0d cycles", cycle);
    end
endmodule
"""


def product(parameters: dict[str, int], port: str) -> str:
    """agn_hw_product around the multiplier's netlist, module multiplier (a, b, y)."""
    x, w, p = (parameters[key] - 1 for key in ("X_BITS", "W_BITS", "PRODUCT_BITS"))
    a, b = ("x", "w") if port == "a" else ("w", "x")
    return (f"module agn_hw_product (input [{x}:0] x, input [{w}:0] w, output [{p}:0] p);\n"
            f"    multiplier m (.a({a}), .b({b}), .y(p));\nendmodule\n")  # fmt: skip


@needs_icarus
@pytest.mark.parametrize(("name", "port"), [("odd_2x5", "b"), ("signed_odd_3x4", "a"), ("exact_8x8", "a")])
def test_icarus_finds_pe_v_in_the_mapped_element(element, mapped, technology, tmp_path, name, port):
    found, netlist = element(name, port), mapped(name, technology)
    x, w = (len(found.inputs[name]) for name in ("x_in", "w_in"))
    mode = SIGNED if MULTIPLIERS[name][2] else SIGN_MAGNITUDE
    parameters = {"X_BITS": x, "W_BITS": w, "PRODUCT_BITS": len(netlist.y), "SUM_BITS": 12, "MODE": mode}
    cells = {gate.cell: technology.cells[gate.cell] for gate in (*found.gates, *netlist.gates)}
    text = (ACCELERATOR / "pe.v").read_text() + product(parameters, port) + netlist_verilog(netlist, "multiplier")
    text += verilog(found, technology, "mapped") + cell_models(cells.values()) + register_models(found, technology)
    (tmp_path / "bench.v").write_text(text + bench(found, parameters))
    subprocess.run(["iverilog", "-g2005", "-o", "b.vvp", "bench.v"], cwd=tmp_path, check=True, timeout=120)
    said = subprocess.run(["vvp", "-n", "b.vvp"], cwd=tmp_path, check=True, timeout=120, capture_output=True, text=True)
    assert said.stdout.strip() == f"equal for {CYCLES} cycles"


def slack_ns(element: ElementNetlist, technology: Technology, folder: Path, period: float) -> float:
    """OpenSTA's worst slack for the element with its outputs at its own inputs."""
    ports = "".join(f".{output}(n_{output}), .{following}(n_{output}), " for output, following in NEXT.items())
    for output in NEXT:  # what no register drives comes from outside
        if min(element.outputs[output]) < 2:
            ports = ports.replace(f".{NEXT[output]}(n_{output})", f".{NEXT[output]}(outside)")
    wires = "".join(f"wire [{len(element.outputs[name]) - 1}:0] n_{name};\n" for name in NEXT)
    ports += ".clk(clk), .reset(reset), .load(load)"
    top = f"module top (input clk, reset, load, outside);\n{wires}pe u ({ports});\n"
    (folder / "cells.lib").write_bytes(re.sub(rb"default_wire_load\s*:[^;]*;", b"", technology.text()))
    (folder / "pe.v").write_text(verilog(element, technology, "pe") + top + "endmodule\n")
    (folder / "script.tcl").write_text(
        "read_liberty cells.lib\nset_cmd_units -time ns -capacitance fF\nread_verilog pe.v\nlink_design top\n"
        f"create_clock -name c -period {period} [get_ports clk]\nset_clock_transition 0.05 [get_clocks c]\n"
        "set_input_delay 0 -clock c [get_ports {reset load outside}]\n"
        "set_input_transition 0.05 [get_ports {reset load outside}]\n"
        "report_checks -path_delay max -digits 9\n"
    )
    program = str(opensta.command())
    said = subprocess.run([program, "-no_splash", "-no_init", "-exit", "script.tcl"], cwd=folder, check=True,
                          timeout=300, capture_output=True, text=True)  # fmt: skip
    line = next(line for line in said.stdout.splitlines() if "slack" in line)
    return float(line.split()[0])


@pytest.mark.parametrize("name", ["exact_4x4", "signed_4x4", "exact_8x8"])
def test_opensta_finds_the_same_period(outside_liberty, mapped, tmp_path, name):
    """With the original library: it has setup times. No wire loads (see opensta.py)."""
    if opensta.command() is None:
        pytest.skip("OpenSTA (`sta`) is not installed")
    technology = load(outside_liberty)
    netlist = mapped(name, technology)
    found = synthesis.synthesise(netlist, MULTIPLIERS[name][2], "a", 18, technology, tmp_path)
    ours = clock_period(found, technology)
    assert ours.setup_ns > 0.02 and ours.clock_to_output_ns > 0.1
    assert ours.period_ns == pytest.approx(ours.clock_to_output_ns + ours.logic_ns + ours.setup_ns)
    assert 20.0 - slack_ns(found, technology, tmp_path, 20.0) == pytest.approx(ours.period_ns, rel=1e-4)


def test_without_setup_times_none_is_counted(element, technology):
    found = clock_period(element("exact_4x4"), technology)
    assert found.setup_ns == 0 and found.steps[-1].arrival_ns == pytest.approx(found.period_ns)
    assert found.period_ns > found.clock_to_output_ns > 0.2
