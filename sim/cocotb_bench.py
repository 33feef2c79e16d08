"""Verilog under a cocotb bench: builds that are found again by their content, and runs of a bench on them.

cocotb's runner starts programs without limits, so it runs in a child process of ours (`cocotb_job`), which has
limits and ends together with all that it started. Every folder can be replayed: order, sources and log stand in it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path

from cocotb_tools import config

from lut_gen.errors import ToolError
from sim import process


@dataclass(frozen=True)
class Tool:
    """A simulator as cocotb's runner takes it.

    name: what the runner calls it; title: its name in messages; identity: version and program, part of every build's
    key; environment: what is changed in the environment of the runner and of all that it starts.
    """

    name: str
    title: str
    identity: tuple[str, ...]
    build_args: tuple[str, ...]
    environment: Mapping[str, str]


def build(tool: Tool, files: Mapping[str, bytes], top: str, folder: Path, limit_s: float) -> Path:
    """Folder of the built simulation of `files` (name -> content, compiled in order), below `folder` (absolute).

    Nothing is done if it is there; a kill leaves no mark `built`. Raises ToolError for a folder with a space in its
    path, process.Failed where the build fails.
    """
    place = folder / _key(tool, files, top)
    if (place / "built").exists():
        return place
    for path in (place, config.libs_dir):
        if " " in str(path):
            raise ToolError("folders that make can build in", f"'{path}' has a space", "use paths without spaces")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content)
    order = {"sources": list(files), "hdl_toplevel": top, "build_args": tool.build_args, "build_dir": str(place)}
    _job(tool, place, "build", order, place / "build.log", limit_s)
    (place / "built").touch()
    return place


def run(
    tool: Tool, place: Path, top: str, benches: list[str], job: Path, limit_s: float, changes: Mapping[str, str]
) -> None:
    """Runs the benches (modules) on the simulation in `place`, in the folder `job`, with `changes` of the environment.

    Raises process.Failed where the simulation fails, a test of a bench fails, or no test runs.
    """
    order = {
        "test_module": benches,
        "hdl_toplevel": top,
        "hdl_toplevel_lang": "verilog",
        "build_dir": str(place),
        "test_dir": str(job),
        "results_xml": str(job / "results.xml"),
        "extra_env": dict(changes),
    }
    _job(tool, job, "test", order, job / "run.log", limit_s)


def _job(tool: Tool, folder: Path, step: str, order: Mapping[str, object], log: Path, limit_s: float) -> None:
    """Has cocotb's runner build or test; the command can be repeated in `folder`."""
    (folder / f"{step}.json").write_text(json.dumps({"simulator": tool.name, **order}, indent=1))
    command = [sys.executable, "-P", "-m", "sim.cocotb_job", step, f"{step}.json"]
    what = f"{tool.title}'s {'build' if step == 'build' else 'simulation'}"
    changes = {
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "OPENBLAS_NUM_THREADS": "1",  # each thread would reserve address space, which is limited
    }
    process.run(what, command, log, limit_s, {**changes, **tool.environment})


def _key(tool: Tool, files: Mapping[str, bytes], top: str) -> str:
    """Content hash of the sources, the options and the tools."""
    tools = [*tool.identity, package_version("cocotb"), str(config.libs_dir)]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = json.dumps([tools, tool.build_args, top, hashes])
    return f"{tool.name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
