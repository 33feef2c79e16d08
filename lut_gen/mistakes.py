"""What is wrong with a user's design, as Yosys' output shows it, said in the user's own names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lut_gen.design import Design
from lut_gen.errors import DesignError, ToolError, last_lines
from lut_gen.sources.cells import known_cells
from lut_gen.sources.frames import plain_name
from lut_gen.sources.verilog import modules

WIDEST_PRODUCT = 31
"""A table's entries are int32."""


def refuse_odd_names(design: Design) -> None:
    """Raises DesignError for names that would be more than a name in a script of Yosys."""
    odd = [name for name in (design.top, *design.ports.values(), *design.parameters) if not plain_name(name)]
    odd += [str(value) for value in design.parameters.values() if type(value) is not int]
    if not odd and any(re.search(r"\bagn_hw_top\b", text) for text in design.texts().values()):
        odd = ["agn_hw_top"]
    if odd:
        wanted = f"plain Verilog names and whole numbers in the design '{design.name}'"
        raise DesignError(wanted, f"{odd[0]!r} came", "rename it, or wrap it in a module of plain names")


def check_ports(design: Design, module: dict[str, Any], widest: int) -> bool:
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


def check_driven(design: Design, log: str) -> None:
    """Raises DesignError for a net that is read but never driven, mostly a mistyped name, and for one driven twice."""
    found = re.search(r"Warning: Wire agn_hw_top\.(.*) is used but has no driver", log)
    if found is not None:
        came = f"{found[1].lstrip(chr(92))} in {design.top} has none"
        raise DesignError("a driver for every net", came, "drive it, or tie it to 0")
    twice = re.search(r"multiple conflicting drivers for agn_hw_top\.(\S+)|(Drivers conflicting with a constant)", log)
    if twice is not None:
        name = f"'{twice[1].lstrip(chr(92))}' twice" if twice[1] else "a net that has a constant already"
        raise DesignError("one driver for every net", f"{design.top} drives {name}", "remove one of the drivers")


def explain(design: Design, folder: Path, error: ToolError) -> Exception:
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
