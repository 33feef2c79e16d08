"""Designs -> catalog: synthesis, exhaustive evaluation, figures; parallel, resumable, reproducible.

Workers (processes here, or machines of a cluster) compute, this process alone writes. A kill at any moment loses at
most the designs in work; a row that would come out the same is reused, any other goes before its files change.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lut_gen import catalog_writer, design_jobs, files
from lut_gen import cluster as machines
from lut_gen.catalog import read_header
from lut_gen.design import Design
from lut_gen.design_jobs import Result
from lut_gen.errors import AgnError
from lut_gen.library import liberty, liberty_reader


@dataclass(frozen=True)
class Outcome:
    """What became of one design: reused, built, or failed with an error (and the folder that tells why)."""

    design: Design
    reused: bool = False
    error: AgnError | None = None


def build(
    designs: list[Design],
    catalog: Path,
    library: Path = liberty.BUILT_IN,
    jobs: int = 0,
    cluster: str | None = None,
) -> Iterator[Outcome]:
    """Brings `catalog` up to date with `designs`; yields each design's outcome as it comes.

    Designs already there that are not in the list stay, as long as they were made with the same technology
    and tools. A failed design does not stop the others; its script and log lie in `catalog`/failed/NAME.
    `jobs` 0 means one a core; `cluster` is the address of a Dask scheduler, whose workers then do the work. Waits
    while another process builds the same catalog. Raises LibertyError, ToolError or CatalogError before anything is
    written.
    """
    header = catalog_writer.header(library)
    catalog_writer.check_folder(catalog, header)
    if read_header(catalog) != header:
        liberty_reader.load(library).require()
    if cluster is not None:
        machines.require(cluster)
    with files.locked(catalog):
        yield from _build(designs, catalog, header, library, jobs, cluster)


def _build(
    designs: list[Design], catalog: Path, header: dict[str, Any], library: Path, jobs: int, cluster: str | None
) -> Iterator[Outcome]:
    sound = catalog_writer.sound_rows(catalog, header)
    identities, outcomes = _compare(designs, header, sound)
    reused = {outcome.design.name for outcome in outcomes if outcome.reused}
    names = {design.name for design in designs}
    rows = {name: row for name, row in sound.items() if name in reused or name not in names}
    order = {design.name: i for i, design in enumerate(designs)}
    catalog_writer.prepare(catalog, header, rows, order)
    yield from outcomes
    todo = [design for design in designs if design.name in identities]
    work = catalog / ".work" / str(os.getpid())
    for design, result in _results(todo, library, work, jobs, cluster):
        if isinstance(result, AgnError):
            _keep_log(result, work / design.name, catalog / "failed" / design.name)
            yield Outcome(design, error=result)
            continue
        rows[design.name] = catalog_writer.store(catalog, design, identities[design.name], *result)
        catalog_writer.write_index(catalog, rows, order)
        shutil.rmtree(work / design.name, ignore_errors=True)
        yield Outcome(design)
    shutil.rmtree(catalog / ".work", ignore_errors=True)


def _results(
    todo: list[Design], library: Path, work: Path, jobs: int, cluster: str | None
) -> Iterator[tuple[Design, Result]]:
    if cluster is None or not todo:
        return design_jobs.run_here(todo, library, work, jobs)
    return design_jobs.run_far(todo, library, work, cluster)


def _keep_log(error: AgnError, work: Path, kept: Path) -> None:
    if work.exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.move(work, kept)
        error.log = next(iter(sorted(kept.rglob("yosys.log"))), None)


def _compare(
    designs: list[Design], header: dict[str, Any], rows: dict[str, Any]
) -> tuple[dict[str, str], list[Outcome]]:
    """Identities of the designs to build, and the outcomes that are known without work."""
    identities, outcomes = {}, []
    for design in designs:
        try:
            identity = catalog_writer.identity(design, header)
        except AgnError as error:
            outcomes.append(Outcome(design, error=error))
            continue
        if design.name in rows and rows[design.name]["identity"] == identity:
            outcomes.append(Outcome(design, reused=True))
        else:
            identities[design.name] = identity
    return identities, outcomes
