"""What workers do with designs: here in a folder of their own; on other machines with sources that came along."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lut_gen import EVALUATOR_VERSION, cluster, workers, yosys
from lut_gen.design import Design
from lut_gen.errors import AgnError
from lut_gen.figures import characterise
from lut_gen.library import liberty, liberty_reader
from lut_gen.sources.verilog import read_source

Result = tuple[dict[str, Any], bytes, bytes] | AgnError
"""What `characterise` returns or raises."""
KEPT_BYTES = 16 << 20
"""Of a failed design's script and log, what another machine sends back."""


def run_here(designs: list[Design], library: Path, folder: Path, jobs: int) -> Iterator[tuple[Design, Result]]:
    """Results as they finish; each design is worked on in `folder`/NAME. `jobs` 0 means one a core."""
    arguments = [(design, (design, library, folder / design.name)) for design in designs]
    return workers.run(_here, arguments, jobs, _wanted)


def run_far(designs: list[Design], library: Path, folder: Path, address: str) -> Iterator[tuple[Design, Result]]:
    """Results as they finish, from the workers of the scheduler at `address` ("host:port").

    What a failed design left behind is put into `folder`/NAME. Raises ToolError where there is no cluster.
    """
    cells = liberty.read_bytes(library)
    arguments = ((design, (design, _sources(design))) for design in designs)
    for design, answer in cluster.run(_far, arguments, cells, versions, address, _wanted):
        if isinstance(answer, AgnError):
            yield design, answer
            continue
        result, left = answer
        for name, content in left.items():
            path = folder / design.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield design, result


def versions() -> dict[str, Any]:
    """What must be the same on every machine."""
    return {"yosys": yosys.version(), "evaluator": EVALUATOR_VERSION}


def _wanted(design: Design) -> str:
    return f"figures of '{design.name}'"


def _here(design: Design, library: Path, folder: Path) -> Result:
    return characterise(design, _technology_here(library), folder)


@lru_cache(maxsize=1)
def _technology_here(library: Path) -> liberty.Technology:
    """Parsed once a worker process."""
    return liberty_reader.load(library)


def _sources(design: Design) -> list[tuple[str, bytes]]:
    """The files' contents, by path from the folder that they share."""
    common = Path(os.path.commonpath([path.absolute().parent for path in design.files]))
    return [(str(path.absolute().relative_to(common)), read_source(path)) for path in design.files]


def _far(library: bytes, design: Design, sources: list[tuple[str, bytes]]) -> tuple[Result, dict[str, bytes]]:
    """On a worker: the result, and for a failed design what Yosys was given and said, by relative path."""
    with tempfile.TemporaryDirectory(prefix="agn-hw-") as name:
        folder = Path(name)
        files = []
        for source, content in sources:  # in the folders they came from: includes may name these
            files.append(folder / "given" / source)
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            files[-1].write_bytes(content)
        try:
            technology = _technology_far(library)
            return characterise(replace(design, files=tuple(files)), technology, folder / "work"), {}
        except AgnError as error:
            return error, _left_in(folder / "work")


@lru_cache(maxsize=2)
def _technology_far(library: bytes) -> liberty.Technology:
    """Parsed once a worker process; the file stays as long as that, because synthesis hands it to Yosys."""
    path = cluster.scratch() / "cells.lib"
    path.write_bytes(library)
    return liberty_reader.load(path)


def _left_in(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and sum(map(len, found.values())) + path.stat().st_size <= KEPT_BYTES:
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found
