"""Designs -> catalog: synthesis, exhaustive evaluation, figures; parallel, resumable, reproducible.

Workers compute, this process alone writes. Each finished design is written file by file, its row last, so
that a kill at any moment loses at most the designs in work. A row is reused while its identity (sources,
parameters, technology, recipes, Yosys' and our versions) and its files' hashes are what they would be now;
otherwise it goes before its files change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lut_gen import EVALUATOR_VERSION, files, liberty, workers, yosys
from lut_gen.catalog import COLUMNS, SCHEMA_VERSION, read_header
from lut_gen.design import Design
from lut_gen.errors import AgnError, CatalogError
from lut_gen.figures import SIGN_LOGIC
from lut_gen.synthesis import RECIPES


@dataclass(frozen=True)
class Outcome:
    """What became of one design: reused, built, or failed with an error (and the folder that tells why)."""

    design: Design
    reused: bool = False
    error: AgnError | None = None


def build(
    designs: list[Design], catalog: Path, library: Path = liberty.BUILT_IN, jobs: int = 0
) -> Iterator[Outcome]:
    """Brings `catalog` up to date with `designs`; yields each design's outcome as it comes.

    Designs already there that are not in the list stay, as long as they were made with the same technology
    and tools. A failed design does not stop the others; its script and log lie in `catalog`/failed/NAME.
    `jobs` 0 means one a core. Waits while another process builds the same catalog. Raises LibertyError,
    ToolError or CatalogError before anything is written.
    """
    header = _header(library)
    _check_folder(catalog, header)
    if read_header(catalog) != header:
        from lut_gen import liberty_reader  # brings sympy: only those who read a file pay for it

        liberty_reader.load(library).require()
    with files.locked(catalog):
        yield from _build(designs, catalog, header, library, jobs)


def _build(
    designs: list[Design], catalog: Path, header: dict[str, Any], library: Path, jobs: int
) -> Iterator[Outcome]:
    sound = _sound_rows(catalog, header)
    identities, outcomes = _compare(designs, header, sound)
    reused = {outcome.design.name for outcome in outcomes if outcome.reused}
    names = {design.name for design in designs}
    rows = {name: row for name, row in sound.items() if name in reused or name not in names}
    order = {design.name: i for i, design in enumerate(designs)}
    _prepare(catalog, header, rows, order)
    yield from outcomes
    todo = [design for design in designs if design.name in identities]
    work = catalog / ".work" / str(os.getpid())
    for design, result in workers.run(todo, library, work, jobs):
        if isinstance(result, AgnError):
            _keep_log(result, work / design.name, catalog / "failed" / design.name)
            yield Outcome(design, error=result)
            continue
        rows[design.name] = _store(catalog, design, identities[design.name], *result)
        _write_index(catalog, rows, order)
        shutil.rmtree(work / design.name, ignore_errors=True)
        yield Outcome(design)
    shutil.rmtree(catalog / ".work", ignore_errors=True)


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


def _check_folder(catalog: Path, header: dict[str, Any]) -> None:
    """Figures of two technologies do not go in one catalog; a folder of something else is left alone."""
    there = read_header(catalog)
    foreign = [name for name in ("luts", "netlists", "failed") if (catalog / name).exists()]
    if there is None and foreign and not (catalog / "index.csv").exists():
        came = f"it holds {', '.join(foreign)}, but neither catalog.json nor index.csv"
        mend = "choose another folder with -o"
        raise CatalogError(f"a catalog or an empty folder at {catalog}", came, mend)
    if there is not None and there["technology"]["sha256"] != header["technology"]["sha256"]:
        wanted = f"a catalog of technology {header['technology']['file']} in {catalog}"
        came = f"it was built with {there['technology']['file']}, another library"
        raise CatalogError(wanted, came, "choose another folder with -o, or delete this one")


def _identity(design: Design, header: dict[str, Any]) -> str:
    sign_logic = files.sha256(SIGN_LOGIC.read_bytes())
    parts = [header, RECIPES, sign_logic, design.description(), design.source_sha256()]
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
        lut, netlist = catalog / "luts" / f"{name}.npz", catalog / "netlists" / f"{name}.json"
        hashes = ((lut, row["lut_sha256"]), (netlist, row["netlist_sha256"]))
        if all(path.is_file() and files.sha256(path.read_bytes()) == sha256 for path, sha256 in hashes):
            sound[name] = row
    return sound


def _prepare(catalog: Path, header: dict[str, Any], rows: dict[str, Any], order: dict[str, int]) -> None:
    """Writes index and header, and clears what has no row: outdated files and what a killed build left."""
    _write_index(catalog, rows, order)
    for folder in (".work", "failed"):
        shutil.rmtree(catalog / folder, ignore_errors=True)
    for folder, ending in (("luts", ".npz"), ("netlists", ".json")):
        for path in (catalog / folder).glob("*") if (catalog / folder).exists() else ():
            if path.name.removesuffix(ending) not in rows:
                path.unlink()
    files.remove_leftovers(catalog)
    text = json.dumps(header, indent=2, sort_keys=True) + "\n"
    files.write_atomically(catalog / "catalog.json", text.encode())


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
    """index.csv in list order, designs of earlier lists after them by name."""
    names = sorted(rows, key=lambda name: (order.get(name, len(order)), name))
    table = pd.DataFrame([rows[name] for name in names], columns=list(COLUMNS))
    files.write_atomically(catalog / "index.csv", table.to_csv(index=False, lineterminator="\n").encode())
