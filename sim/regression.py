"""Every multiplier's source RTL in Verilator against the catalog's table, all operand pairs.

The table was computed from the *mapped netlist* by numpy; this simulates the *source*. Synthesis, netlist
reader, cell functions, port order and signedness must all be right for the two to agree. All designs share
one simulation unless their sources conflict (`wrapper.share`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from cocotb_tools import config
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from lut_gen.catalog import Catalog
from lut_gen.design import Design
from lut_gen.errors import ToolError, last_lines
from sim import simulators, wrapper

_BUILD_ARGS = [
    "--no-public-flat-rw",  # cocotb asks for every net; the wrapper's ports are enough
    *("--default-language", "1364-2005"),  # as Yosys reads the same files
    *("--no-timing", "-Wno-fatal", "-Wno-lint"),
    *("--x-assign", "0", "--x-initial", "0"),
    *("-CFLAGS", "-O0"),  # compiling takes longer than simulating
]


@dataclass(frozen=True)
class Result:
    """One design's comparison: operand pairs driven, pairs that differ, and the first of those.

    `first` is (a, b, expected, got): operand patterns, the netlist's product, the RTL's; None if all agree.
    """

    name: str
    pairs: int
    mismatches: int
    first: tuple[int, int, int, int] | None


def run(designs: list[Design], catalog: Catalog, folder: Path) -> list[Result]:
    """Compares all designs on all operand pairs; one Result a design, in order. Names must differ.

    Simulations are built below `folder`, under a hash of all that goes into them, and found again there.
    Raises CatalogError for a design that is not in the catalog, DesignError for a source that cannot be read,
    ToolError where a tool is missing or a build or simulation fails.
    """
    results: dict[str, Result] = {}
    for group in wrapper.share(designs):
        instances = [_instance(design, catalog) for design in group]
        build = _build(instances, folder.absolute())
        tables = [catalog[design.name].lut for design in group]
        outcome = _simulate(build, tables)
        for design, (pairs, mismatches, first) in zip(group, outcome, strict=True):
            results[design.name] = Result(design.name, pairs, mismatches, tuple(first) if first else None)
    return [results[design.name] for design in designs]


def _instance(design: Design, catalog: Catalog) -> wrapper.Instance:
    multiplier = catalog[design.name]
    widths = int(multiplier.a_bits), int(multiplier.b_bits), len(multiplier.netlist.y)
    return wrapper.Instance(design, *widths, signed=bool(multiplier.signed))


def _build(instances: list[wrapper.Instance], folder: Path) -> Path:
    """Folder of the built simulation; nothing is done if it is there. A kill leaves no mark `built`."""
    designs = [instance.design for instance in instances]
    files = {f"{wrapper.TOP}.v": wrapper.text(instances).encode(), **wrapper.sources(designs)}
    build = folder / _key(files)
    if (build / "built").exists():
        return build
    for path in (build, config.libs_dir):
        if " " in str(path):
            raise ToolError(
                "folders that make can build in", f"'{path}' has a space", "use paths without spaces"
            )
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    for name, content in files.items():
        (build / name).write_bytes(content)
    log = build / "build.log"
    with simulators.environment():
        runner = get_runner("verilator")
        try:
            runner.build(
                sources=[build / name for name in files],
                hdl_toplevel=wrapper.TOP,
                build_args=_BUILD_ARGS,
                build_dir=build,
                log_file=log,
            )
        except RuntimeError:
            said = _in_users_names(log.read_text(errors="replace"), wrapper.original_names(designs))
            came = f"it failed:\n{last_lines(said)}"
            raise ToolError("Verilator to build the RTL", came, "correct what it names", log) from None
    (build / "built").touch()
    return build


def _key(files: Mapping[str, bytes]) -> str:
    """Content hash of the sources, the wrapper (parameters included), the options and the tools."""
    tools = [simulators.version(), str(simulators.program()), package_version("cocotb"), str(config.libs_dir)]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return hashlib.sha256(json.dumps([tools, _BUILD_ARGS, hashes]).encode()).hexdigest()[:16]


def _in_users_names(log: str, names: Mapping[str, str]) -> str:
    return re.sub(r"[^\s:'\"]*\b(source_\d+\.v)", lambda match: names.get(match[1], match[0]), log)


def _simulate(build: Path, tables: list[np.ndarray]) -> list[tuple[int, int, Any]]:
    """(pairs, mismatches, first) of each design, from `benches.multiplier`."""
    job = build / "job"
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir()
    widest = np.max([np.log2(table.shape).astype(np.int64) for table in tables], axis=0)
    arrays: dict[str, Any] = {f"table_{i}": table for i, table in enumerate(tables)}
    np.savez(job / "tables.npz", widest=widest, **arrays)
    log, tests, failures = job / "simulation.log", 0, 0
    with simulators.environment():
        try:
            report = get_runner("verilator").test(
                test_module="sim.benches.multiplier",
                hdl_toplevel=wrapper.TOP,
                hdl_toplevel_lang="verilog",
                build_dir=build,
                test_dir=job,
                results_xml=str(job / "results.xml"),
                extra_env={"AGN_HW_REGRESSION_JOB": str(job)},
                log_file=log,
            )
            tests, failures = get_results(report)
        except (RuntimeError, SystemExit):  # cocotb's runner ends the process where pytest is running
            failures = 1
    if tests == 0 or failures > 0:
        said = last_lines(log.read_text(errors="replace") if log.exists() else "")
        raise ToolError("the bench to pass", f"it did not:\n{said}", "see the message above", log)
    return json.loads((job / "results.json").read_text())
