"""Synthesis of a processing element: rtl/accelerator/pe.v around the netlist of a multiplier that stands already.

Yosys maps everything but the multiplier, which is a black box to it; the catalog's netlist then takes the box's place,
gate by gate, so that table, area and energy stay those of the catalog. Product bits that are constant for all operands
are shown to Yosys as constants: their adders become simpler. The adder is mapped in several ways, as the multipliers
are; the element with the lowest energy is kept (area decides a tie), for the same reason as there: operands of
independent uniform patterns, weights held, one sum after the other, no glitches.

Registers with an enable are plain D flip-flops behind one clock gate for each enable; without a clock gate in the
library a multiplexer holds their value. Resets are logic before the flip-flop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rtl
from lut_gen import files, yosys
from lut_gen.element.assembly import CORE, Frame, assemble
from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.power import uniform_energy_fj
from lut_gen.errors import DesignError
from lut_gen.library.liberty import Technology
from lut_gen.netlist import Netlist, all_operands, unpack_bits
from lut_gen.synthesis import adder_map, gate_map

UNSIGNED, SIGNED, SIGN_MAGNITUDE = 0, 1, 2
"""MODE of pe.v."""
ACCELERATOR = rtl.ROOT / "accelerator"
RECIPES = {
    "abc": ("", "abc -liberty cells.lib"),
    "full_adders": ("techmap -map ripple.v\ntechmap -map adders.v", "abc -liberty cells.lib"),
    "direct": ("techmap -map ripple.v\ntechmap -map adders.v", "simplemap\nopt_clean -purge\ntechmap -map gates.v"),
}
"""Each recipe: what becomes of adders while they are such, and the commands from generic gates to the library's."""
RIPPLE = """(* techmap_celltype = "$alu" *)
module ripple (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  input CI, BI;
  output [Y_WIDTH-1:0] X, Y, CO;
  wire [Y_WIDTH-1:0] a, b;
  \\$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_a (.A(A), .Y(a));
  \\$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_b (.A(B), .Y(b));
  wire [Y_WIDTH-1:0] inverted = b ^ {Y_WIDTH{BI}};
  wire [Y_WIDTH:0] carry;
  assign carry[0] = CI;
  assign CO = carry[Y_WIDTH:1];
  assign X = a ^ inverted;
  genvar i;
  generate
    for (i = 0; i < Y_WIDTH; i = i + 1) begin : bit
      \\$fa #(.WIDTH(1)) adder (.A(a[i]), .B(inverted[i]), .C(carry[i]), .X(carry[i+1]), .Y(Y[i]));
    end
  endgenerate
endmodule
"""
"""Techmap from Yosys' adder to a chain of full adders (ripple carry)."""


@dataclass(frozen=True)
class Shape:
    """What pe.v is asked for. product: for each product bit its constant value, or None where it is none."""

    x_bits: int
    w_bits: int
    product: tuple[int | None, ...]
    sum_bits: int
    mode: int


def synthesise(
    multiplier: Netlist, signed: bool, activation_port: str, sum_bits: int, technology: Technology, folder: Path
) -> ElementNetlist:
    """The processing element of one multiplier; works below `folder`, where what Yosys made is found again.

    signed: whether operands are two's complement (MODE 1) or magnitudes with a sign each (MODE 2). activation_port: "a"
    or "b", the operand that activations come on. sum_bits: width of sums, 2 or more. Raises DesignError, LibertyError
    for a library without a D flip-flop, ToolError.
    """
    shape = shape_of(multiplier, signed, activation_port, sum_bits, technology)
    elements = [assemble(frame, multiplier, activation_port, technology) for frame in frames(shape, technology, folder)]
    costs = [(uniform_energy_fj(element, technology), _area(element, technology)) for element in elements]
    return elements[min(range(len(elements)), key=costs.__getitem__)]


def _area(element: ElementNetlist, technology: Technology) -> float:
    return sum(technology.cells[gate.cell].area_um2 for gate in element.gates)


def shape_of(
    multiplier: Netlist, signed: bool, activation_port: str, sum_bits: int, technology: Technology
) -> Shape:
    """The element that this multiplier needs. Raises DesignError for another port or width."""
    if activation_port not in ("a", "b"):
        raise DesignError("the activation's port, a or b", f"'{activation_port}' came", "choose one of the two")
    if not 2 <= sum_bits <= 64:
        raise DesignError("sums of 2 to 64 bits", f"{sum_bits} came", "choose another width")
    x, w = (multiplier.a, multiplier.b) if activation_port == "a" else (multiplier.b, multiplier.a)
    mode = SIGNED if signed else SIGN_MAGNITUDE
    return Shape(len(x), len(w), _constants(multiplier, technology), sum_bits, mode)


def _constants(multiplier: Netlist, technology: Technology) -> tuple[int | None, ...]:
    """The value of each product bit that is the same for all operands; None for the others."""
    a, b = all_operands(len(multiplier.a), len(multiplier.b))
    words = multiplier.evaluate(technology.cells, a, b)
    bits = (unpack_bits(words[net], len(a)) for net in multiplier.y)
    return tuple(int(bit[0]) if bit.min() == bit.max() else None for bit in bits)


def frames(shape: Shape, technology: Technology, folder: Path) -> list[Frame]:
    """The mapped frame of every recipe that the library allows; made once in a folder below `folder`.

    Raises LibertyError, ToolError.
    """
    parameters = {"X_BITS": shape.x_bits, "W_BITS": shape.w_bits, "PRODUCT_BITS": len(shape.product),
                  "SUM_BITS": shape.sum_bits, "MODE": shape.mode}  # fmt: skip
    modules = mapped("pe", parameters, _sources(shape), technology, folder)
    return [Frame.of(module, technology.cells) for module in modules]


def mapped(
    top: str, parameters: Mapping[str, int], sources: Mapping[str, str], technology: Technology, folder: Path
) -> list[dict[str, Any]]:
    """A module of rtl/accelerator, mapped in every recipe that the library allows: modules of Yosys' JSON.

    sources: further Verilog by file name; what is in core.v are black boxes. Made once in a folder below `folder`.
    Raises LibertyError, ToolError.
    """
    technology.require()
    inputs = {**_maps(technology), f"{top}.v": (ACCELERATOR / f"{top}.v").read_text(), **sources}
    script = _script(top, parameters, sources, technology)
    identity = [yosys.version(), technology.sha256, script, *inputs.values()]
    work = folder / files.sha256("\0".join(identity).encode())[:16]
    with files.locked(work):
        if not (work / "done").exists():
            for name, text in inputs.items():
                (work / name).write_text(text)
            (work / "cells.lib").write_bytes(technology.gate_text)
            yosys.run(script, work)
            files.write_atomically(work / "done", b"")
        texts = [(work / f"{name}.json").read_text() for name in _recipes(technology)]
    return [json.loads(text)["modules"]["agn_hw_top"] for text in texts]


def _recipes(technology: Technology) -> list[str]:
    return [name for name, (adder, _) in RECIPES.items() if technology.full_adder or not adder]


def _sources(shape: Shape) -> dict[str, str]:
    """The black box, and the module that pe.v asks for around it."""
    ports = f"input [{shape.x_bits - 1}:0] x, input [{shape.w_bits - 1}:0] w, output [{len(shape.product) - 1}:0] p"
    bits = [f"core[{i}]" if bit is None else f"1'b{bit}" for i, bit in enumerate(shape.product)]
    core = f"wire [{len(bits) - 1}:0] core;\n  {CORE} black_box (.x(x), .w(w), .p(core));"
    product = f"{core}\n  assign p = {{{', '.join(reversed(bits))}}};"
    return {
        "core.v": f"module {CORE} ({ports});\nendmodule\n",
        "product.v": f"module agn_hw_product ({ports});\n  {product}\nendmodule\n",
    }


def _maps(technology: Technology) -> dict[str, str]:
    return {"ripple.v": RIPPLE, "adders.v": adder_map(technology), "gates.v": gate_map(technology)}


def _script(top: str, parameters: Mapping[str, int], sources: Iterable[str], technology: Technology) -> str:
    """Without a clock gate in the library no enable is left to a flip-flop."""
    kinds = "-cell $_DFF_P_ x" + (" -cell $_DFFE_PP_ x" if technology.clock_gate else "")
    lines = [
        *(f"read_verilog {'-lib' if name == 'core.v' else '-defer'} {name}" for name in (*sources, f"{top}.v")),
        f"hierarchy -check -top {top}" + "".join(f" -chparam {key} {value}" for key, value in parameters.items()),
        "rename -top agn_hw_top",
        "proc",
        "flatten",
        "setundef -zero",
        "synth -run begin:fine -flatten -top agn_hw_top",
        "design -save coarse",
    ]
    for name in _recipes(technology):
        adder, mapping = RECIPES[name]
        lines += ["design -load coarse", adder, "synth -run fine:check -noabc -top agn_hw_top"]
        lines += [f"dfflegalize {kinds}", mapping, "setundef -zero", "opt_clean -purge", f"write_json {name}.json"]
    return "\n".join(lines) + "\n"
