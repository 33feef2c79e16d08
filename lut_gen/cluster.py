"""The same jobs as in workers.py, on a Dask cluster: sources and library travel with them, results come back.

A worker that dies costs nothing: the scheduler gives what it had in hand to another. Each result is taken once, by the
one process that writes the catalog.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lut_gen import EVALUATOR_VERSION, yosys
from lut_gen.design import Design
from lut_gen.errors import AgnError, ToolError
from lut_gen.figures import characterise
from lut_gen.library import liberty, liberty_reader
from lut_gen.sources.verilog import read_source
from lut_gen.workers import Result

WAIT_S = 30
"""For the scheduler to answer, and for its first worker."""
KEPT_BYTES = 16 << 20
"""Of a failed design's script and log, what is sent back."""


def run(designs: list[Design], library: Path, folder: Path, address: str) -> Iterator[tuple[Design, Result]]:
    """Results as they finish, from the workers of the scheduler at `address` ("host:port").

    What a failed design left behind is put into `folder`/NAME. Raises ToolError where there is no cluster.
    """
    from distributed import as_completed

    versions = {"yosys": yosys.version(), "evaluator": EVALUATOR_VERSION}
    with _client(address) as client:
        # a task, not scattered data: it is made again when the worker that holds it dies
        cells = client.submit(bytes, liberty.read_bytes(library), pure=False)
        futures = {}
        for design in designs:
            common = Path(os.path.commonpath([path.absolute().parent for path in design.files]))
            sources = [(str(path.absolute().relative_to(common)), read_source(path)) for path in design.files]
            futures[client.submit(_job, design, sources, cells, versions, pure=False)] = design
        for future in as_completed(list(futures)):
            design = futures.pop(future)
            result, left = _result(future, design)
            for name, content in left.items():
                path = folder / design.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield design, result


def require(address: str) -> None:
    """Raises ToolError where Dask is not installed, or no scheduler with a worker answers at `address`."""
    with _client(address):
        pass


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise ToolError("Dask", "distributed is not installed", "pip install 'agn-hw[cluster]'") from None
    try:
        client = Client(address, timeout=WAIT_S)
    except (OSError, ValueError, TypeError) as error:
        mend = "start one with `dask scheduler` and give its address as host:port"
        raise ToolError(f"a Dask scheduler at {address}", f"{error}", mend) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            came = f"it has had none for {WAIT_S} s"
            raise ToolError(f"a worker of the scheduler at {address}", came, f"`dask worker {address}`") from None
        yield client


def _result(future: Any, design: Design) -> tuple[Result, dict[str, bytes]]:
    from distributed import KilledWorker

    wanted = f"figures of '{design.name}'"
    try:
        return future.result()
    except KilledWorker as error:
        came = f"the workers that had it died, one after the other: {error}"
        return ToolError(wanted, came, "see the workers' logs (out of memory?)"), {}
    except CancelledError:
        return ToolError(wanted, "the scheduler was lost", "start it again, then run the command again"), {}
    except Exception as error:  # whatever another machine's installation lacks
        came = f"a worker's installation failed: {type(error).__name__}: {error}"
        return ToolError(wanted, came, "install this version of agn-hw on every worker"), {}


def _job(
    design: Design, sources: list[tuple[str, bytes]], library: bytes, versions: dict[str, Any]
) -> tuple[Result, dict[str, bytes]]:
    """On a worker: the result, and for a failed design what Yosys was given and said, by relative path."""
    here = {"yosys": yosys.version(), "evaluator": EVALUATOR_VERSION}
    if here != versions:
        mend = "install the same versions on every machine: their results would differ"
        return ToolError(f"workers with {versions}", f"one has {here}", mend), {}
    with tempfile.TemporaryDirectory(prefix="agn-hw-") as name:
        folder = Path(name)
        files = []
        for source, content in sources:  # in the folders they came from: includes may name these
            files.append(folder / "given" / source)
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            files[-1].write_bytes(content)
        try:
            technology = _technology(library)
            return characterise(replace(design, files=tuple(files)), technology, folder / "work"), {}
        except AgnError as error:
            return error, _left_in(folder / "work")


@lru_cache(maxsize=2)
def _technology(library: bytes) -> liberty.Technology:
    """Parsed once a worker process; the file stays as long as that, because synthesis hands it to Yosys."""
    folder = tempfile.TemporaryDirectory(prefix="agn-hw-")
    _library_folders.append(folder)
    path = Path(folder.name) / "cells.lib"
    path.write_bytes(library)
    return liberty_reader.load(path)


_library_folders: list[tempfile.TemporaryDirectory] = []
"""Each removes its folder when the worker ends."""


def _left_in(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and sum(map(len, found.values())) + path.stat().st_size <= KEPT_BYTES:
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found
