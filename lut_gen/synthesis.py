"""Synthesis: Design + Technology -> mapped netlists, one a recipe, in one Yosys run.

Each circuit is mapped in several ways, because none is best for all: abc alone serves irregular logic,
extracted full adders serve arrays, and one cell a gate (no abc) often costs the least energy for small
arrays. The caller keeps the cheapest and records its name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lut_gen import yosys
from lut_gen.design import Design
from lut_gen.errors import DesignError, ToolError, last_lines
from lut_gen.library.liberty import FUNCTIONS, Technology
from lut_gen.netlist import Netlist, from_yosys
from lut_gen.sources.cells import known_cells
from lut_gen.sources.frames import plain_name
from lut_gen.sources.verilog import modules

WIDEST_OPERAND = 8
WIDEST_PRODUCT = 31
"""A table's entries are int32."""
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
    _refuse_odd_names(design)
    folder.mkdir(parents=True, exist_ok=True)
    _write_inputs(design, technology, folder)
    recipes = [name for name, (start, _) in RECIPES.items() if technology.full_adder or start != "adders"]
    try:
        log = yosys.run(_script(design, recipes), folder)
    except ToolError as error:
        raise _explain(design, folder, error) from None
    signed = _check_ports(design, _module(folder / "elaborated.json"), widest)
    _check_driven(design, log)
    netlists = {
        name: from_yosys(_mapped(folder / f"{name}.json"), design.ports, technology.cells) for name in recipes
    }
    return Synthesised(netlists, signed)


def _refuse_odd_names(design: Design) -> None:
    """Raises DesignError for names that would be more than a name in a script of Yosys."""
    odd = [name for name in (design.top, *design.ports.values(), *design.parameters) if not plain_name(name)]
    odd += [str(value) for value in design.parameters.values() if type(value) is not int]
    if not odd and any(re.search(r"\bagn_hw_top\b", text) for text in design.texts().values()):
        odd = ["agn_hw_top"]
    if odd:
        wanted = f"plain Verilog names and whole numbers in the design '{design.name}'"
        raise DesignError(wanted, f"{odd[0]!r} came", "rename it, or wrap it in a module of plain names")


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


def _check_ports(design: Design, module: dict[str, Any], widest: int) -> bool:
    """Signedness of the design. Raises DesignError for ports missing, of the wrong direction or too wide."""
    ports = module["ports"]
    described = [f"{port['direction']} {name} [{len(port['bits'])} bit]" for name, port in ports.items()]
    listed = ", ".join(described) or "none"
    for role, name in design.ports.items():
        direction = "output" if role == "product" else "input"
        if name not in ports or ports[name]["direction"] != direction:
            mend = f'name it in the list of designs: ports = {{ {role} = "..." }}'
            wanted = f"an {direction} port '{name}' ({role}) of {design.top}"
            raise DesignError(wanted, f"its ports are: {listed}", mend)
        width = len(ports[name]["bits"])
        most = max(WIDEST_PRODUCT, widest + 1) if role == "product" else widest
        if width > most:
            came, mend = f"port '{name}' has {width}", "set narrower width parameters"
            raise DesignError(f"{role} ports of at most {most} bits", came, mend)
    bits = [bit for role in ("activation", "weight") for bit in ports[design.ports[role]]["bits"]]
    if len(set(bits)) < len(bits) or not all(isinstance(bit, int) for bit in bits):
        came = f"{design.top} drives or joins bits of its inputs"
        raise DesignError("inputs that are only read", came, "remove the assignment to them")
    extra = sorted(set(ports) - set(design.ports.values()))
    if extra:
        came = f"{design.top} also has: {', '.join(extra)}"
        mend = "give a combinational multiplier: no clock, no reset, no mode inputs"
        raise DesignError("three ports: activation, weight, product", came, mend)
    operands = [bool(ports[design.ports[role]].get("signed", 0)) for role in ("activation", "weight")]
    if design.signed is None and operands[0] != operands[1]:
        mend = "say `signed = true` or `signed = false` in the list of designs"
        raise DesignError("operands that are both signed or both unsigned", "one of each came", mend)
    return operands[0] if design.signed is None else design.signed


def _check_driven(design: Design, log: str) -> None:
    """Raises DesignError for a net that is read but never driven, mostly a mistyped name, and for one driven twice."""
    found = re.search(r"Warning: Wire agn_hw_top\.(.*) is used but has no driver", log)
    if found is not None:
        came = f"{found[1].lstrip(chr(92))} in {design.top} has none"
        raise DesignError("a driver for every net", came, "drive it, or tie it to 0")
    twice = re.search(r"multiple conflicting drivers for agn_hw_top\.(\S+)|(Drivers conflicting with a constant)", log)
    if twice is not None:
        name = f"'{twice[1].lstrip(chr(92))}' twice" if twice[1] else "a net that has a constant already"
        raise DesignError("one driver for every net", f"{design.top} drives {name}", "remove one of the drivers")


def _explain(design: Design, folder: Path, error: ToolError) -> Exception:
    """The user's mistake behind a failed run, in the user's own file names, or the error itself."""
    log = error.log.read_text(errors="replace") if error.log is not None else ""
    names = {f"source_{i}.v": path.name for i, path in enumerate(design.texts())}
    log = re.sub(r"\bsource_\d+\.v", lambda match: names.get(match[0], match[0]), log)
    lines = log.splitlines()
    syntax = next((line for line in lines if re.search(r":\d+: ERROR.*syntax error", line)), None)
    if syntax is not None:
        return DesignError("Verilog that Yosys reads", syntax, "correct the source there (Verilog-2005)")
    unknown = re.search(r"Module `\\(\S+)' referenced in module `\\?(\S+)' .* is not part of the design", log)
    if unknown is not None:
        came = f"'{unknown[1]}', which {_users(unknown[2], design)} instantiates, has none"
        mend = "add the file that defines it to `files` (or to the folder); known by themselves are OSU's cells: "
        return DesignError("a definition of every module", came, f"{mend}{', '.join(known_cells())}")
    conflict = next((line for line in lines if "multiple conflicting drivers" in line), None)
    if conflict is not None:
        net = re.sub(r".*drivers for agn_hw_top\.(.*):$", r"\1", conflict.strip()).removeprefix("\\")
        expression = re.match(r"\$\w+\$(.+?:\d+)", net)
        came = f"{f'the expression in {expression[1]}' if expression else net} in {design.top} has several"
        return DesignError("one driver for every net", came, "remove the others (no tri-state buses)")
    if (folder / "elaborated.json").exists() or "ERROR" not in log:
        return error
    if "No top module found" in log and _mistaken_name(design) is None:
        return DesignError("a circuit", f"the module '{design.top}' is empty", "describe the multiplier in it")
    return _mistaken_name(design) or DesignError(
        "a design that elaborates", f"Yosys said:\n{last_lines(log, 5)}", "correct the source"
    )


def _users(name: str, design: Design) -> str:
    """A module's own name, where Yosys has renamed it."""
    parametric = re.match(r"\$paramod(?:\$\w+)?\\\\?([^\\]+)", name)
    return design.top if name == "agn_hw_top" else parametric[1] if parametric else name


def _mistaken_name(design: Design) -> DesignError | None:
    """A top module or a parameter that the sources do not have, as far as pyverilog can read them."""
    try:
        known = modules(list(design.files))
    except DesignError:
        return None
    if design.top not in known:
        came = f"the sources hold: {', '.join(known) or 'no module'}"
        mend = "correct `top`, or add the missing file to `files`"
        return DesignError(f"a module '{design.top}'", came, mend)
    unknown = sorted(set(design.parameters) - set(known[design.top].parameters))
    if unknown:
        has = ", ".join(known[design.top].parameters) or "no parameters"
        came = f"'{unknown[0]}' came, and it has {has}"
        return DesignError(f"parameters of {design.top}", came, "correct `parameters` or `points`")
    return None


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
