"""The one place that runs OpenSTA (the `sta` program, or the one that AGN_HW_OPENSTA names).

A second opinion on `timing.py`: the same netlists, the same input transition and output load, no wires. Many
netlists are timed in one process, because reading a library takes longer than timing a netlist. The folder keeps
script and log and can be replayed with `sta -exit script.tcl`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lut_gen import child
from lut_gen.errors import ToolError, last_lines
from lut_gen.gate_level import verilog
from lut_gen.library.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF, Technology
from lut_gen.netlist import Netlist

TIMEOUT_S = 300.0
"""Time for all netlists of a run; a thousand take some seconds."""
_WIRES = re.compile(rb"\bdefault_wire_load\s*:[^;\n]*;?")


def command() -> str | None:
    """Path of the program, or None where there is none."""
    found = shutil.which(os.environ.get("AGN_HW_OPENSTA") or "sta")
    return os.path.abspath(found) if found else None


def version() -> str:
    """Version text, for example "2.0.17". Raises ToolError without OpenSTA."""
    program = _program()
    try:
        asked = subprocess.run([program, "-version"], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        text = asked.stdout.decode(errors="replace").strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        text = str(error)
    if not re.fullmatch(r"\d+(\.\d+)+\S*", text):
        came = f"`{program} -version` said:\n{last_lines(text)}"
        raise ToolError("OpenSTA's version", came, "set AGN_HW_OPENSTA to an OpenSTA program")
    return text


def _program() -> str:
    found = command()
    if found is None:
        named = os.environ.get("AGN_HW_OPENSTA")
        came = f"AGN_HW_OPENSTA names {named!r}, which is no program" if named else "there is no program `sta`"
        raise ToolError("OpenSTA", came, "apt install opensta, or set AGN_HW_OPENSTA to its program")
    return found


def delays_ns(netlists: Sequence[Netlist], technology: Technology, folder: Path) -> list[float]:
    """Critical path of each netlist, ns, as `timing.delay_ns` measures it; works in `folder`.

    Raises ToolError where OpenSTA is missing, fails or takes longer than TIMEOUT_S.
    """
    program = _program()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cells.lib").write_bytes(_WIRES.sub(b"", technology.text()))
    for i, netlist in enumerate(netlists):
        (folder / f"netlist_{i}.v").write_text(verilog(netlist, f"netlist_{i}"))
    (folder / "script.tcl").write_text(_script(len(netlists)))
    text = _run(program, folder)
    reports = dict(re.findall(r"^netlist (\d+)$(.*?)(?=^netlist \d+$|\Z)", text, re.MULTILINE | re.DOTALL))
    return [_arrival(reports.get(str(i), "")) for i in range(len(netlists))]


def _script(count: int) -> str:
    # linking forgets the modules that were read before: read, link and time one after the other
    lines = ["read_liberty cells.lib", "set_cmd_units -time ns -capacitance fF"]
    for i in range(count):
        lines += [
            f"read_verilog netlist_{i}.v",
            f"link_design netlist_{i}",
            f"set_input_transition {INPUT_SLEW_NS} [all_inputs]",
            f"set_load -pin_load {OUTPUT_LOAD_FF} [all_outputs]",
            f'puts "netlist {i}"',
            "report_checks -path_delay max -unconstrained -digits 9 -to [all_outputs]",
        ]
    return "\n".join(lines) + "\n"


def _run(program: str, folder: Path) -> str:
    log = folder / "opensta.log"
    arguments = ["-no_splash", "-no_init", "-exit", "script.tcl"]
    try:
        status = child.run([program, *arguments], folder, log, TIMEOUT_S)
    except subprocess.TimeoutExpired:
        came = f"it ran for more than {TIMEOUT_S:.0f} s:\n{last_lines(log.read_text(errors='replace'))}"
        raise ToolError("OpenSTA to finish", came, "time fewer netlists at once", log) from None
    except OSError as error:
        came = f"{program}: {error.strerror}"
        raise ToolError("OpenSTA to start", came, "set AGN_HW_OPENSTA to an OpenSTA program") from None
    text = log.read_text(errors="replace")
    if status != 0 or re.search(r"^Error:", text, re.MULTILINE):
        wrong = [line for line in text.splitlines() if line.startswith("Error:")]
        came = f"it ended with status {status}:\n{last_lines(chr(10).join(wrong) or text)}"
        raise ToolError("OpenSTA to succeed", came, "see the message above", log)
    return text


def _arrival(report: str) -> float:
    """The latest arrival that a report tells; 0 where no path leads from an input to an output."""
    found = re.search(r"(-?[\d.]+)\s+data arrival time", report)
    if found is None and "No paths found" not in report:
        raise ToolError("a timing report of OpenSTA", f"it said:\n{last_lines(report)}", "use another version")
    return max(float(found[1]), 0.0) if found else 0.0
