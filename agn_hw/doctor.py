"""What the toolkit finds on this machine, and how to get what it does not find. Loads no torch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from agn_hw.kernels import cuda_toolkit, library
from lut_gen import opensta, yosys
from lut_gen.errors import ToolError
from sim import icarus, verilator

PACKAGES = {
    "torch": ("torch", "the networks"),
    "pyverilog": ("pyverilog", "reading Verilog"),
    "cocotb": ("cocotb", "the RTL regression"),
    "scipy": ("scipy", "the solver"),
    "sklearn": ("scikit-learn", "the digits data"),
}
"""Imported name -> its distribution, and what it is for."""


def report() -> int:
    """Prints one line a tool; 0 if everything is there, else 1."""
    python = ".".join(map(str, sys.version_info[:3]))
    lines = [_line("python", python if sys.version_info >= (3, 11) else None, "install Python 3.11 or newer")]
    lines.append(_tool("yosys", yosys.version))
    lacking = verilator.missing()
    lines += [_line(tool, None, f"needed to simulate RTL; {mend}") for tool, mend in lacking.items()]
    if not lacking:
        lines.append(_tool("verilator", verilator.version))
        lines.append(_line("perl, make, c++", "found", ""))
    lines.append(_optional("icarus", icarus.version, "a second simulator"))
    lines.append(_optional("opensta", opensta.version, "a second opinion on delays, for the tests"))
    lines.append(_optional("dask", lambda: version("distributed"), "for --cluster; pip install 'agn-hw[cluster]'"))
    evolution = "for --strategy evolution; pip install 'agn-hw[evolution]'"
    lines.append(_optional("pymoo", lambda: version("pymoo"), evolution))
    lines += [_package(name) for name in PACKAGES]
    lines.append(_kernels())
    lines.append(_cuda())
    for text, _ in lines:
        print(text)
    missing = sum(not found for _, found in lines)
    print("everything is there" if missing == 0 else f"{missing} missing; how to get each stands in its line")
    return 0 if missing == 0 else 1


def _line(name: str, found: str | None, mend: str) -> tuple[str, bool]:
    return f"{'ok     ' if found else 'MISSING'}  {name:<24} {found or mend}", found is not None


def _tool(name: str, ask: Callable[[], str]) -> tuple[str, bool]:
    try:
        return _line(name, ask(), "")
    except ToolError as error:
        return _line(name, None, f"{error.came}; {error.mend}")
    except PackageNotFoundError:
        return _line(name, None, "not installed")


def _optional(name: str, ask: Callable[[], str], purpose: str) -> tuple[str, bool]:
    """What nobody has to have."""
    text, found = _tool(name, ask)
    return (text, True) if found else (f"{text.replace('MISSING', 'absent ', 1)}; optional: {purpose}", True)


def _kernels() -> tuple[str, bool]:
    """The compiled table kernels, with the instruction set that this processor gives them."""
    mend = "table products run in pure torch, many times slower; install the package again with a C++ compiler at hand"
    try:
        found = library.find()
    except (FileNotFoundError, ValueError, RuntimeError, OSError) as error:
        return _line("table kernels", None, str(error))
    return _line("table kernels", str(found.agn_isa().decode()) if found else None, mend)


def _cuda() -> tuple[str, bool]:
    """CUDA devices and NVRTC, which compiles kernels for them; counted as missing only where a device waits for it."""
    try:
        devices = cuda_toolkit.devices()
    except ToolError:
        devices = []
    if devices:
        return _tool("cuda", lambda: f"{', '.join(devices)}; {_nvrtc()}")
    return _optional("cuda", _nothing_to_compute_with, "table products on a GPU")


def _nvrtc() -> str:
    cuda_toolkit.program()
    return f"NVRTC {cuda_toolkit.nvrtc_version()}"


def _nothing_to_compute_with() -> str:
    raise ToolError("a CUDA device", f"no CUDA device; {_nvrtc()}", "if there is one, install its driver")


def _package(name: str) -> tuple[str, bool]:
    distribution, purpose = PACKAGES[name]
    try:
        found = version(distribution) if importlib.util.find_spec(name) else None
    except PackageNotFoundError:
        found = None
    return _line(distribution, found, f"needed for {purpose}; pip install {distribution}")
