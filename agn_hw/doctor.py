"""What the toolkit finds on this machine, and how to get what it does not find. Loads no torch."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from lut_gen import yosys
from lut_gen.errors import ToolError
from sim import simulators

PACKAGES = {
    "torch": "the networks",
    "pyverilog": "reading Verilog",
    "liberty": "reading cell libraries",
    "cocotb": "the RTL regression",
    "scipy": "the solver",
    "sklearn": "the digits data",
}
DISTRIBUTIONS = {"liberty": "liberty-parser", "sklearn": "scikit-learn"}
PROGRAMS = {
    "g++": "compiles what Verilator writes; on Debian: apt install g++",
    "make": "runs Verilator's build; on Debian: apt install make",
    "perl": "runs the `verilator` script; on Debian: apt install perl",
}


def report() -> int:
    """Prints one line a tool; 0 if everything is there, else 1."""
    python = ".".join(map(str, sys.version_info[:3]))
    lines = [_line("python", python if sys.version_info >= (3, 11) else None, "install Python 3.11 or newer")]
    lines.append(_tool("yosys", yosys.version))
    lines.append(_tool("verilator", simulators.version))
    lines += [_program(name, purpose) for name, purpose in PROGRAMS.items()]
    lines += [_package(name, purpose) for name, purpose in PACKAGES.items()]
    for text, _ in lines:
        print(text)
    missing = sum(not found for _, found in lines)
    print("everything is there" if missing == 0 else f"{missing} missing; how to get each stands in its line")
    return 0 if missing == 0 else 1


def _line(name: str, found: str | None, mend: str) -> tuple[str, bool]:
    return (f"{'ok     ' if found else 'MISSING'}  {name:<12} {found or mend}", found is not None)


def _tool(name: str, ask: Callable[[], str]) -> tuple[str, bool]:
    try:
        return _line(name, ask(), "")
    except ToolError as error:
        return _line(name, None, f"{error.came}; {error.mend}")


def _program(name: str, purpose: str) -> tuple[str, bool]:
    return _line(name, shutil.which(name), purpose)


def _package(name: str, purpose: str) -> tuple[str, bool]:
    distribution = DISTRIBUTIONS.get(name, name)
    try:
        found = version(distribution) if importlib.util.find_spec(name) else None
    except PackageNotFoundError:
        found = None
    return _line(name, found, f"({purpose}) pip install {distribution}")
