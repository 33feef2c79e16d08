"""Designs -> catalog: synthesis, exhaustive evaluation, figures; parallel, resumable, reproducible.

Workers compute, this process alone writes. Each finished design is written file by file, its row last, so that a
kill at any moment loses at most the designs in work. A row is reused while its identity (sources, parameters,
technology, recipes, Yosys' and our versions) and its files' hashes are what they would be now.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lut_gen import EVALUATOR_VERSION, files, liberty, yosys
from lut_gen.catalog import COLUMNS, SCHEMA_VERSION, read_header
from lut_gen.design import Design
from lut_gen.errors import AgnError, CatalogError, ToolError
from lut_gen.figures import SIGN_LOGIC, characterise
from lut_gen.synthesis import RECIPES


@dataclass(frozen=True)
class Outcome:
    """What became of one design: reused, built, or failed with an error (and the folder that tells why)."""

    design: Design
    reused: bool = False
    error: AgnError | None = None


def build(designs: list[Design], catalog: Path, library: Path = liberty.BUILT_IN, jobs: int = 0) -> Iterator[Outcome]:
    """Brings `catalog` up to date with `designs`; yields each design's outcome as it comes.

    Designs already there that are not in the list stay, as long as they were made with the same technology and
    tools. A failed design does not stop the others. `jobs` 0 means one a core. Raises LibertyError, ToolError or
    CatalogError before anything is written.
    """
    header = _header(library)
    _check_technology(catalog, header)
    rows = _sound_rows(catalog, header)
    order = {design.name: i for i, design in enumerate(designs)}
    identities, outcomes = _compare(designs, header, rows)
    if identities:
        liberty.load(library).require()
    _prepare(catalog, header, rows)
    yield from outcomes
    todo = [design for design in designs if design.name in identities]
    for design, result in _run(todo, library, catalog, jobs):
        if isinstance(result, AgnError):
            yield Outcome(design, error=result)
            continue
        rows[design.name] = _store(catalog, design, identities[design.name], *result)
        _write_index(catalog, rows, order)
        yield Outcome(design)
    _write_index(catalog, rows, order)
    shutil.rmtree(catalog / ".work", ignore_errors=True)


def _compare(
    designs: list[Design], header: dict[str, Any], rows: dict[str, Any]
) -> tuple[dict[str, str], list[Outcome]]:
    """Identities of the designs to build, and the outcomes that are known without work."""
    identities, outcomes = {}, []
    for design in designs:
        try:
            identity = _identity(design, header)
        except AgnError as error:
            outcomes.append(Outcome(design, error=error))
            continue
        if design.name in rows and rows[design.name]["identity"] == identity:
            outcomes.append(Outcome(design, reused=True))
        else:
            identities[design.name] = identity
    return identities, outcomes


def _header(library: Path) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "technology": {"file": library.name, "sha256": liberty.file_sha256(library)},
        "tools": {"yosys": yosys.version(), "evaluator": EVALUATOR_VERSION},
    }


def _check_technology(catalog: Path, header: dict[str, Any]) -> None:
    """Figures of two technologies do not belong in one catalog."""
    there = read_header(catalog)
    if there is not None and there["technology"]["sha256"] != header["technology"]["sha256"]:
        wanted = f"a catalog of technology {header['technology']['file']} in {catalog}"
        came = f"it was built with {there['technology']['file']}, another library"
        raise CatalogError(wanted, came, "choose another folder with -o, or delete this one")


def _identity(design: Design, header: dict[str, Any]) -> str:
    parts = [header, RECIPES, files.sha256(SIGN_LOGIC.read_bytes()), design.description(), design.source_sha256()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _sound_rows(catalog: Path, header: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows of the index whose files are there, byte for byte; none if technology or tools have changed."""
    index = catalog / "index.csv"
    if read_header(catalog) != header or not index.exists():
        return {}
    try:
        table = pd.read_csv(index, dtype=str, keep_default_na=False)
        rows = {row["name"]: row for row in table[list(COLUMNS)].to_dict("records")}
    except (OSError, ValueError, KeyError):
        return {}
    sound = {}
    for name, row in rows.items():
        paths = {"lut_sha256": catalog / "luts" / f"{name}.npz", "netlist_sha256": catalog / "netlists" / f"{name}.json"}
        if all(path.exists() and files.sha256(path.read_bytes()) == row[key] for key, path in paths.items()):
            sound[name] = row
    return sound


def _prepare(catalog: Path, header: dict[str, Any], rows: dict[str, Any]) -> None:
    """Clears what a killed build or other tools left, then writes the header."""
    for folder in (".work", "failed"):
        shutil.rmtree(catalog / folder, ignore_errors=True)
    for folder, ending in (("luts", ".npz"), ("netlists", ".json")):
        for path in (catalog / folder).glob("*") if (catalog / folder).exists() else ():
            if path.name.removesuffix(ending) not in rows:
                path.unlink()
    if catalog.exists():
        files.remove_leftovers(catalog)
    _write_index(catalog, rows, {name: i for i, name in enumerate(rows)})
    files.write_atomically(catalog / "catalog.json", (json.dumps(header, indent=2, sort_keys=True) + "\n").encode())


def _store(
    catalog: Path, design: Design, identity: str, figures: dict[str, Any], lut: bytes, netlist: bytes
) -> dict[str, Any]:
    files.write_atomically(catalog / "luts" / f"{design.name}.npz", lut)
    files.write_atomically(catalog / "netlists" / f"{design.name}.json", netlist)
    row = {
        "name": design.name,
        "family": design.family,
        "parameters": json.dumps(dict(sorted(design.parameters.items()))),
        **figures,
        "source_sha256": design.source_sha256(),
        "lut_sha256": files.sha256(lut),
        "netlist_sha256": files.sha256(netlist),
        "identity": identity,
    }
    return {column: str(row[column]) for column in COLUMNS}


def _write_index(catalog: Path, rows: dict[str, dict[str, Any]], order: dict[str, int]) -> None:
    """index.csv in list order, designs of earlier lists after them by name; untouched when nothing changed."""
    names = sorted(rows, key=lambda name: (order.get(name, len(order)), name))
    text = pd.DataFrame([rows[name] for name in names], columns=list(COLUMNS)).to_csv(index=False, lineterminator="\n")
    path = catalog / "index.csv"
    if not path.exists() or path.read_bytes() != text.encode():
        files.write_atomically(path, text.encode())


def _run(todo: list[Design], library: Path, catalog: Path, jobs: int) -> Iterator[tuple[Design, Any]]:
    """Results of `characterise` as they finish; a worker that dies costs its design, not the build."""
    if not todo:
        return
    workers = min(jobs or os.cpu_count() or 1, len(todo))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (str(library), os.getpid())) as pool:
        waiting: dict[Future, Design] = {pool.submit(_job, design, catalog): design for design in todo}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    design = waiting.pop(future)
                    try:
                        yield design, future.result()
                    except BrokenProcessPool:
                        came = "a worker process was killed (out of memory?)"
                        yield design, ToolError(f"figures of '{design.name}'", came, "run the command again")
        finally:
            pool.shutdown(cancel_futures=True)


_technology: liberty.Technology


def _start_worker(library: str, parent: int) -> None:
    global _technology
    _technology = liberty.load(Path(library))

    def watch() -> None:  # a killed parent must not leave workers behind
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _job(design: Design, catalog: Path) -> Any:
    """(figures, lut bytes, netlist bytes), or the AgnError; after an error script and log stay in `failed`."""
    folder = catalog / ".work" / design.name
    try:
        result = characterise(design, _technology, folder)
    except AgnError as error:
        kept = catalog / "failed" / design.name
        kept.parent.mkdir(exist_ok=True)
        shutil.move(folder, kept)
        error.log = next(iter(sorted(kept.rglob("yosys.log"))), None)
        return error
    shutil.rmtree(folder, ignore_errors=True)
    return result
