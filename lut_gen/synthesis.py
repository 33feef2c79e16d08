"""Synthesis: Design + Technology -> mapped netlists, one a recipe, in one Yosys run.

Each circuit is mapped in several ways, because none is best for all: abc alone serves irregular logic,
extracted full adders serve arrays, and one cell a gate (no abc) often costs the least energy for small
arrays. The caller keeps the cheapest and records its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lut_gen import mistakes, yosys
from lut_gen.design import Design
from lut_gen.errors import DesignError, ToolError
from lut_gen.library.liberty import FUNCTIONS, Technology
from lut_gen.netlist import Netlist, from_yosys

WIDEST_OPERAND = 8
_GATE_TYPES = {gate: f"$_{'BUF' if gate == 'buffer' else gate.upper()}_" for gate in FUNCTIONS}

OPENING = (
    "rename -top agn_hw_top",
    "proc",
    "setattr -mod -unset keep_hierarchy =*",  # nothing is kept apart
    "setattr -unset keep_hierarchy",
    "delete */t:$print */t:$check",  # what $display becomes
    "memory_collect",
    "memory_map",  # tables of constants, before their ports' enables are touched
    "setundef -zero",  # before any pass may choose a value
)
"""Yosys commands that make the elaborated design."""
COMMON = {
    "generic": "synth -noabc -flatten -top agn_hw_top",
    "adders": "extract_fa -fa\nopt_clean -purge\ntechmap -map adders.v\nopt_clean -purge",
}
"""Yosys commands from the elaborated design to generic gates, and from there to the library's full adders."""
RECIPES = {
    "abc": ("generic", "abc -liberty cells.lib"),
    "full_adders": ("adders", "abc -liberty cells.lib"),
    "direct": ("adders", "opt -full\nsimplemap\nopt_clean -purge\ntechmap -map gates.v"),
}
"""Each recipe: where in COMMON it starts, and the commands from there to the library's cells."""


@dataclass(frozen=True)
class Synthesised:
    """The mapped netlists by recipe, and whether the operands are two's complement."""

    netlists: dict[str, Netlist]
    signed: bool


def synthesise(
    design: Design, technology: Technology, folder: Path, widest: int = WIDEST_OPERAND
) -> Synthesised:
    """Maps a design in every recipe that the library allows; works in `folder`, which keeps script and log.

    Operands may have up to `widest` bits. What Verilog leaves undefined (x, z) reads as 0. Raises DesignError
    for what the user's Verilog or description lacks, ToolError when Yosys itself fails.
    """
    mistakes.refuse_odd_names(design)
    folder.mkdir(parents=True, exist_ok=True)
    _write_inputs(design, technology, folder)
    recipes = [name for name, (start, _) in RECIPES.items() if technology.full_adder or start != "adders"]
    try:
        log = yosys.run(_script(design, recipes), folder)
    except ToolError as error:
        raise mistakes.explain(design, folder, error) from None
    signed = mistakes.check_ports(design, _module(folder / "elaborated.json"), widest)
    mistakes.check_driven(design, log)
    netlists = {
        name: from_yosys(_mapped(folder / f"{name}.json"), design.ports, technology.cells) for name in recipes
    }
    return Synthesised(netlists, signed)


def _write_inputs(design: Design, technology: Technology, folder: Path) -> None:
    """Writes everything under fixed names: a user's file name never reaches a tool."""
    (folder / "elaborated.json").unlink(missing_ok=True)
    for i, text in enumerate(design.texts().values()):
        (folder / f"source_{i}.v").write_text(text)
    (folder / "cells.lib").write_bytes(technology.gate_text)
    (folder / "gates.v").write_text(gate_map(technology))
    (folder / "adders.v").write_text(adder_map(technology))


def _script(design: Design, recipes: list[str]) -> str:
    sources = " ".join(f"source_{i}.v" for i in range(len(design.texts())))
    parameters = "".join(f" -chparam {key} {value}" for key, value in sorted(design.parameters.items()))
    lines = [
        f"read_verilog -defer {sources}",  # elaborated once, with the parameters
        f"hierarchy -check -top {design.top}{parameters}",
        *OPENING,
        "write_json elaborated.json",
    ]
    for start, commands in COMMON.items():
        chosen = [name for name in recipes if RECIPES[name][0] == start]
        lines += [commands, f"design -save {start}"] if chosen or start == "generic" else []
        for name in chosen:
            lines += [f"design -load {start}", RECIPES[name][1], "setundef -zero", "opt_clean -purge"]
            lines += [f"write_json {name}.json"]
        lines += ["design -load generic"] if start == "generic" else []
    return "\n".join(lines) + "\n"


def _module(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["modules"]["agn_hw_top"]


def _mapped(path: Path) -> dict[str, Any]:
    """A mapped module. Raises DesignError where it still holds one of the user's, which may have a cell's name."""
    modules = json.loads(path.read_text())["modules"]
    kept = [cell["type"] for cell in modules["agn_hw_top"]["cells"].values() if cell["type"] in modules]
    if kept:
        came, mend = f"'{kept[0]}' has none that may be used", "remove attributes such as (* blackbox *)"
        raise DesignError("modules with contents", came, mend)
    return modules["agn_hw_top"]


def gate_map(technology: Technology) -> str:
    """Techmap from Yosys' single gates to the library's cells, one cell a gate where the library has it."""
    built = {"nand": "~(A & B)", "nor": "~(A | B)", "xnor": "~(A ^ B)", "andnot": "A & ~B", "ornot": "A | ~B",
             "mux": "S ? B : A", "buffer": "A"}
    text = []
    for gate, (operands, _) in FUNCTIONS.items():
        if gate in technology.gates:
            cell, pins = technology.gates[gate]
            wires = ", ".join(f".{pins[port]}({port})" for port in (*operands, "Y"))
            body = f"\\{cell.name} _TECHMAP_REPLACE_ ({wires});"
        else:
            body = f"assign Y = {built[gate]};"
        ports = ", ".join(operands)
        head = f'(* techmap_celltype = "{_GATE_TYPES[gate]}" *)\nmodule map_{gate} (input {ports}, output Y);'
        text.append(f"{head}\n  {body}\nendmodule\n")
    return "".join(text)


def adder_map(technology: Technology) -> str:
    """Techmap from $fa to the library's full adder; one with a constant input becomes two gates."""
    if technology.full_adder is None:
        return ""
    cell, pins = technology.full_adder
    wires = ", ".join(
        f".{pins[role]}({net}[i])" for role, net in zip(("A", "B", "C", "SUM", "CARRY"), "ABCYX", strict=True)
    )
    return f"""(* techmap_celltype = "$fa" *)
module map_fa (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : bit
      if (_TECHMAP_CONSTMSK_A_[i] | _TECHMAP_CONSTMSK_B_[i] | _TECHMAP_CONSTMSK_C_[i]) begin : two_inputs
        assign Y[i] = A[i] ^ B[i] ^ C[i];
        assign X[i] = (A[i] & B[i]) | (C[i] & (A[i] ^ B[i]));
      end else begin : three_inputs
        \\{cell.name} _TECHMAP_REPLACE_ ({wires});
      end
    end
  endgenerate
endmodule
"""
