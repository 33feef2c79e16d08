"""The one place that runs Yosys: the `pyosys` wheel, or the program that AGN_HW_YOSYS names.

Any Yosys error ends its process, so every run is a child process, in a folder that keeps script and log and
can be replayed with `yosys script.ys`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path

from lut_gen import child
from lut_gen.errors import ToolError, last_lines

TIMEOUT_S = 300.0
"""Time for one design; an 8-bit multiplier takes less than a second."""
OUTPUT_BYTES = 32 << 20
"""Longest log; an ordinary one has a few hundred kilobytes."""
_CHILD = "from pyosys import libyosys as ys; design = ys.Design(); ys.run_pass('script script.ys', design)"


def command() -> list[str] | None:
    """The command that runs `script.ys` of the current folder, or None where there is no Yosys."""
    named = os.environ.get("AGN_HW_YOSYS")
    if named:
        program = shutil.which(named)
        return [os.path.abspath(program), "-q", "-s", "script.ys"] if program else None
    if importlib.util.find_spec("pyosys"):
        return [sys.executable, "-c", _CHILD]
    return None


def version() -> str:
    """Version text, for example "0.70". Raises ToolError without Yosys."""
    found = command()
    if found is None:
        raise _missing()
    return package_version("pyosys") if found[0] == sys.executable else _version_of(found[0])


@cache
def _version_of(program: str) -> str:
    try:
        asked = subprocess.run([program, "-V"], capture_output=True, timeout=60)
        text = (asked.stdout + asked.stderr).decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        text = str(error)
    match = re.search(r"Yosys (\S+)", text)
    if match is None:
        came = f"`{program} -V` said:\n{last_lines(text)}"
        raise ToolError("Yosys' version", came, "set AGN_HW_YOSYS to a yosys program")
    return match[1]


def _missing() -> ToolError:
    named = os.environ.get("AGN_HW_YOSYS")
    came = f"AGN_HW_YOSYS names {named!r}, which is no program" if named else "pyosys is not installed"
    return ToolError("Yosys", came, "pip install pyosys, or set AGN_HW_YOSYS to a yosys program")


def run(script: str, folder: Path, timeout_s: float = TIMEOUT_S) -> str:
    """Runs a script in `folder`; returns the output, which also stands in `folder/yosys.log`.

    Raises ToolError with the last lines when Yosys is missing, fails, takes longer than `timeout_s` or more memory
    than child.MEMORY_BYTES.
    """
    found = command()
    if found is None:
        raise _missing()
    (folder / "script.ys").write_text(script)
    log = folder / "yosys.log"
    try:
        own = {**os.environ, "TMPDIR": str(folder.absolute())}  # abc's own folders go where the job's is, and with it
        status = child.run(found, folder, log, timeout_s, output_bytes=OUTPUT_BYTES, environment=own)
    except subprocess.TimeoutExpired:
        came = f"it ran for more than {timeout_s:.0f} s:\n{last_lines(_text(log))}"
        mend = "simplify the design; the log tells how far it came"
        raise ToolError("Yosys to finish", came, mend, log) from None
    except OSError as error:
        came = f"{found[0]}: {error.strerror}"
        raise ToolError("Yosys to start", came, "set AGN_HW_YOSYS to a yosys program") from None
    text = _text(log)
    if status != 0:
        came = f"it ended with {_ending(status)}:\n{last_lines(text)}"
        raise ToolError("Yosys to succeed", came, "see the message above", log)
    return text


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def _ending(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    gigabytes = child.MEMORY_BYTES >> 30
    return f"signal {signal.Signals(-status).name} (it may use {gigabytes} GB; a design that needs more is too large)"
