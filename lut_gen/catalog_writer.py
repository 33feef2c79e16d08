"""Writing a catalog's folder: row by row, each row after its files, so that a kill at any moment loses no finished row.

A row holds while its identity (sources, parameters, technology, recipes, Yosys' and our versions) and its files' hashes
are what they would be now.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from lut_gen import EVALUATOR_VERSION, files, yosys
from lut_gen.catalog import COLUMNS, SCHEMA_VERSION, read_header
from lut_gen.design import Design
from lut_gen.errors import CatalogError
from lut_gen.library import liberty
from lut_gen.synthesis import COMMON, OPENING, RECIPES

Rows = dict[str, dict[str, Any]]
"""Rows of index.csv by name, values as text."""


def header(library: Path) -> dict[str, Any]:
    """catalog.json's content: what all rows have in common. Raises LibertyError, ToolError."""
    return {
        "schema_version": SCHEMA_VERSION,
        "technology": {"file": library.name, "sha256": liberty.file_sha256(library)},
        "tools": {"yosys": yosys.version(), "evaluator": EVALUATOR_VERSION},
    }


def check_folder(catalog: Path, header: dict[str, Any]) -> None:
    """Figures of two technologies do not go in one catalog; a folder of something else is left alone."""
    if re.search(r"""['"\\`!\x00-\x1f]""", str(catalog.absolute())):
        came = f"{str(catalog)!r} has them"
        raise CatalogError("a catalog's path without quotes and backslashes", came, "choose another folder with -o")
    there = read_header(catalog)
    foreign = [name for name in ("luts", "netlists", "failed") if (catalog / name).exists()]
    if there is None and not _ours(catalog / "index.csv") and (foreign or (catalog / "index.csv").exists()):
        came = f"it holds {', '.join(foreign) or 'an index.csv of something else'}, but no catalog"
        mend = "choose another folder with -o"
        raise CatalogError(f"a catalog or an empty folder at {catalog}", came, mend)
    if there is not None and there["technology"]["sha256"] != header["technology"]["sha256"]:
        wanted = f"a catalog of technology {header['technology']['file']} in {catalog}"
        came = f"it was built with {there['technology']['file']}, another library"
        raise CatalogError(wanted, came, "choose another folder with -o, or delete this one")


def _ours(index: Path) -> bool:
    """Whether this is the index of a catalog whose header was not yet written when its build was killed."""
    try:
        with index.open("rb") as file:
            return file.readline(10_000).strip() == ",".join(COLUMNS).encode()
    except OSError:
        return False


def identity(design: Design, header: dict[str, Any]) -> str:
    """sha256 over everything that a row follows from. Raises DesignError for an unreadable source."""
    parts = [header, OPENING, COMMON, RECIPES, design.description(), design.source_sha256()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def sound_rows(catalog: Path, header: dict[str, Any]) -> Rows:
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
        if not files.NAME.fullmatch(name):
            continue
        lut, netlist = catalog / "luts" / f"{name}.npz", catalog / "netlists" / f"{name}.json"
        hashes = ((lut, row["lut_sha256"]), (netlist, row["netlist_sha256"]))
        if all(path.is_file() and files.sha256(path.read_bytes()) == sha256 for path, sha256 in hashes):
            sound[name] = row
    return sound


def prepare(catalog: Path, header: dict[str, Any], rows: Rows, order: dict[str, int]) -> None:
    """Writes index and header, and clears what has no row: outdated files and what a killed build left."""
    write_index(catalog, rows, order)
    for folder in (".work", "failed"):
        shutil.rmtree(catalog / folder, ignore_errors=True)
    for folder, ending in (("luts", ".npz"), ("netlists", ".json")):
        for path in (catalog / folder).glob("*") if (catalog / folder).exists() else ():
            if path.name.removesuffix(ending) not in rows:
                path.unlink()
    files.remove_leftovers(catalog)
    text = json.dumps(header, indent=2, sort_keys=True) + "\n"
    files.write_atomically(catalog / "catalog.json", text.encode())


def store(
    catalog: Path, design: Design, identity: str, figures: dict[str, Any], lut: bytes, netlist: bytes
) -> dict[str, Any]:
    """Writes a design's table and netlist, and returns its row."""
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


def write_index(catalog: Path, rows: Rows, order: dict[str, int]) -> None:
    """index.csv in list order, designs of earlier lists after them by name."""
    names = sorted(rows, key=lambda name: (order.get(name, len(order)), name))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[name] for name in names)
    files.write_atomically(catalog / "index.csv", text.getvalue().encode())
