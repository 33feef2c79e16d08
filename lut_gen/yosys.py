"""The one place that runs Yosys: the `pyosys` wheel, or the program that AGN_HW_YOSYS names.

Any Yosys error ends its process, so every run is a child process, in a folder that keeps script and log and can
be replayed with `yosys script.ys`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path

from lut_gen.errors import ToolError, last_lines

_CHILD = (
    "from pyosys import libyosys as ys; design = ys.Design(); ys.run_pass('script script.ys', design)"
)


def command() -> list[str] | None:
    """The command that runs `script.ys` of the current folder, or None where there is no Yosys."""
    named = os.environ.get("AGN_HW_YOSYS")
    if named:
        program = shutil.which(named)
        return [program, "-q", "-s", "script.ys"] if program else None
    if importlib.util.find_spec("pyosys"):
        return [sys.executable, "-c", _CHILD]
    return None


@cache
def version() -> str:
    """Version text, for example "0.70". Raises ToolError without Yosys."""
    found = command()
    if found is None:
        raise _missing()
    if found[0] == sys.executable:
        return package_version("pyosys")
    text = subprocess.run([found[0], "-V"], capture_output=True, text=True, timeout=60).stdout
    match = re.search(r"Yosys (\S+)", text)
    return match[1] if match else text.strip()


def _missing() -> ToolError:
    named = os.environ.get("AGN_HW_YOSYS")
    came = f"AGN_HW_YOSYS names {named!r}, which is no program" if named else "the package pyosys is not installed"
    return ToolError("Yosys", came, "pip install pyosys, or set AGN_HW_YOSYS to a yosys program")


def run(script: str, folder: Path, timeout_s: float = 300.0) -> str:
    """Runs a script in `folder`; returns the output, which also stands in `folder/yosys.log`.

    Raises ToolError with the last lines when Yosys is missing, fails or takes longer than `timeout_s`.
    """
    found = command()
    if found is None:
        raise _missing()
    (folder / "script.ys").write_text(script)
    log = folder / "yosys.log"
    try:
        with log.open("wb") as sink:
            done = subprocess.run(
                found, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, timeout=timeout_s
            )
    except subprocess.TimeoutExpired:
        came = f"it ran for more than {timeout_s:.0f} s"
        raise ToolError("Yosys to finish", came, "simplify the design; the log tells how far it came", log) from None
    text = log.read_text(errors="replace")
    if done.returncode != 0:
        came = f"it ended with status {done.returncode}:\n{last_lines(text)}"
        raise ToolError("Yosys to succeed", came, "see the message above", log)
    return text
