"""A catalog written in one go: the folder is there whole, or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lut_gen import files
from lut_gen.catalog import COLUMNS
from lut_gen.errors import CatalogError


@dataclass(frozen=True)
class Entry:
    """One multiplier: its row of index.csv as text, its table (.npz) and its netlist (.json; None: it has none)."""

    row: dict[str, str]
    lut: bytes
    netlist: bytes | None


def require_free(folder: Path) -> None:
    """Raises CatalogError unless `folder` is an empty folder, or nothing yet."""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        came = "it holds something"
    except OSError as error:
        came = error.strerror or str(error)
    raise CatalogError(f"an empty or a new folder at {folder}", came, "choose another one with -o")


def write(folder: Path, header: dict[str, Any], entries: list[Entry]) -> None:
    """Writes a catalog to a new or empty folder, its rows by name: the same entries give the same bytes.

    All is written to a folder beside it, which gets its name at the end. A kill leaves that one (.NAME.new; the next
    call clears it) and no catalog. Raises CatalogError.
    """
    require_free(folder)
    folder = folder.absolute()
    beside = folder.with_name(f".{folder.name}.new")
    with files.locked(beside):
        for leftover in beside.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        for entry in entries:
            name = entry.row["name"]
            files.write_atomically(beside / "luts" / f"{name}.npz", entry.lut)
            if entry.netlist is not None:
                files.write_atomically(beside / "netlists" / f"{name}.json", entry.netlist)
        index = io.StringIO()
        rows = csv.DictWriter(index, COLUMNS, lineterminator="\n")
        rows.writeheader()
        rows.writerows(sorted((entry.row for entry in entries), key=lambda row: row["name"]))
        files.write_atomically(beside / "index.csv", index.getvalue().encode())
        text = json.dumps(header, indent=2, sort_keys=True) + "\n"
        files.write_atomically(beside / "catalog.json", text.encode())
        try:
            os.replace(beside, folder)
        except OSError as error:
            came = error.strerror or str(error)
            raise CatalogError(f"to write {folder}", came, "choose another folder with -o") from None
