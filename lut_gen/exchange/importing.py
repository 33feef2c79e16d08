"""Bare tables of other projects -> a catalog of their own, without netlists.

A table says what a circuit computes, not what it costs. Its catalog therefore has no netlists (energy under other
operands and the check on the RTL need one), no tools, and only the cost figures that the user gives, of the technology
that the user names; the others are unknown (nan), and a search that asks for an unknown energy is told so. Figures of
two technologies do not compare, so that it does not merge with a catalog built from Verilog. Whoever has the Verilog
builds it with `agn-hw luts` instead.

    .npy         one table [A, B]: what `agn-hw export` writes, and torch-approx takes
    .npz         one table an array, called as the array: EvoApproxLib's tables as NumPy users keep them
    .csv         operand values in the first row and column
    .h           a C array [A][B], as `agn-hw export` and AdaPT (D. Danopoulos et al., TCAD 2022) write them
    .bin         65,536 unsigned 16-bit numbers, little-endian: TFApprox (F. Vaverka et al., DATE 2020)

The first index is the activation, unless the user says otherwise. All but .csv go by raw operand patterns; a table
with a negative product is signed (two's complement), one without is unsigned.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lut_gen import files
from lut_gen.catalog import COLUMNS, FIGURES, SCHEMA_VERSION, WIDEST_TABLE, Catalog
from lut_gen.errors import CatalogError
from lut_gen.exchange import new_catalog, table_file
from lut_gen.exchange.new_catalog import Entry
from lut_gen.metrics import error_metrics

LARGEST_FILE = 1 << 26
"""Bytes of a file of tables, also of what it unpacks to."""
LARGEST_TEXT = 1 << 24
"""Of a .csv or .h file."""


class Table(NamedTuple):
    """int32 [2**a_bits, 2**b_bits] by raw patterns; signed: None where the file does not say."""

    lut: np.ndarray
    signed: bool | None = None


def import_tables(
    paths: list[Path],
    output: Path,
    figures: dict[str, dict[str, float]] | None = None,
    technology: str = "unknown",
    weight_first: bool = False,
) -> Catalog:
    """Writes a catalog of all tables in `paths` to `output`, a new or an empty folder.

    figures: some of catalog.FIGURES by multiplier, as given by the user; technology: what they belong to.
    weight_first: the first index of the tables is the weight. Raises CatalogError, with nothing written.
    """
    new_catalog.require_free(output)
    tables: dict[str, Table] = {}
    for path in paths:
        for name, table in read_tables(path, weight_first).items():
            if name in tables:
                raise CatalogError("tables of different names", f"'{name}' stands twice", "rename one of the files")
            tables[name] = table
    figures = figures or {}
    foreign = sorted(set(figures) - set(tables))
    if foreign:
        came = f"'{foreign[0]}' is none of {', '.join(list(tables)[:12])}"
        raise CatalogError("figures of the tables that are imported", came, "correct or remove that row")
    header = {
        "schema_version": SCHEMA_VERSION,
        "technology": {"file": technology, "sha256": hashlib.sha256(technology.encode()).hexdigest()},
        "tools": {"imported": "tables without netlists"},
    }
    new_catalog.write(output, header, [_entry(name, table, figures.get(name, {})) for name, table in tables.items()])
    return Catalog.load(output)


def read_figures(path: Path) -> dict[str, dict[str, float]]:
    """Cost figures by multiplier: a .csv with a column `name` and any of catalog.FIGURES; other columns are ignored.

    Raises CatalogError, also for figures that are no finite numbers from 0 on.
    """
    result: dict[str, dict[str, float]] = {}
    try:
        rows = csv.DictReader(io.StringIO(table_file.read_bytes(path, LARGEST_FILE).decode()))
        known = set(FIGURES) & set(rows.fieldnames or ())
        if "name" not in (rows.fieldnames or ()) or not known:
            raise ValueError(f"a column `name` and any of {', '.join(FIGURES)} were wanted")
        for row in rows:
            found = {column: float(row[column]) for column in sorted(known) if row[column]}
            if row["name"] in result or not all(0 <= value < math.inf for value in found.values()):
                raise ValueError(f"{row['name']} stands twice, or has a figure that is no number from 0 on")
            result[row["name"]] = found
    except (ValueError, TypeError, csv.Error) as error:
        raise _unusable(path, str(error), "give figures as comma-separated numbers") from None
    return result


def read_tables(path: Path, weight_first: bool = False) -> dict[str, Table]:
    """All tables of a file, by name. Raises CatalogError for a form that is not known, or not sound."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise _unusable(path, f"it ends in '{path.suffix}'", f"give one of {' '.join(READERS)}")
    try:
        tables = reader(table_file.read_bytes(path, LARGEST_FILE), path.stem)
        result = {}
        for name, (lut, signed) in tables.items():
            if not files.NAME.fullmatch(name):
                raise ValueError(f"{name[:120]!r} is no multiplier's name (letters, digits, _ . -)")
            sizes = [int(n).bit_length() - 1 for n in lut.shape]
            if lut.shape != (2 ** sizes[0], 2 ** sizes[1]) or min(sizes) < 1 or sum(sizes) > WIDEST_TABLE:
                raise ValueError(f"{name} has {lut.shape[0]} x {lut.shape[1]} entries, not a power of two a side")
            lut = table_file.as_int32(lut)
            result[name] = Table(np.ascontiguousarray(lut.T) if weight_first else lut, signed)
    except (ValueError, OverflowError, csv.Error) as error:
        raise _unusable(path, str(error)[:300], "give integers, two operands a table") from None
    return result


def _read_csv(data: bytes, stem: str) -> dict[str, Table]:
    lines = islice(csv.reader(io.StringIO(_text(data))), 2**WIDEST_TABLE) if b"\0" not in data else ()
    csv_rows = [row for row in lines if row]
    widths = {len(row) for row in csv_rows}
    if (
        len(widths) != 1
        or min(len(csv_rows), *widths) < 3
        or (len(csv_rows) - 1) * max(widths) > 2 ** (WIDEST_TABLE + 1)
    ):
        raise ValueError("it is no matrix with operand values in its first row and column")
    lut = np.array([[int(cell) for cell in row[1:]] for row in csv_rows[1:]], dtype=np.int64)
    labels = [int(row[0]) for row in csv_rows[1:]], [int(cell) for cell in csv_rows[0][1:]]
    signed = min(labels[0]) < 0
    return {stem: Table(lut[np.ix_(*(_by_pattern(values, signed) for values in labels))], signed)}


def _text(data: bytes) -> str:
    if len(data) > LARGEST_TEXT:
        raise ValueError(f"it holds more than {LARGEST_TEXT} characters")
    return data.decode()


def _by_pattern(values: list[int], signed: bool) -> np.ndarray:
    """Where the value of each raw pattern stands among `values`, which must be a whole range of operands."""
    least = -(len(values) // 2) if signed else 0
    if sorted(values) != list(range(least, least + len(values))):
        raise ValueError("the first row or column does not hold all values of an operand, each once")
    return np.argsort(np.array(values) % len(values))


_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
_ARRAY = re.compile(r"\bu?int\d+_t\s+\w+\s*\[\s*(\d{1,7})\s*\]\s*\[\s*(\d{1,7})\s*\]\s*=([-+\d\s,{}]*+);")


def _read_header(data: bytes, stem: str) -> dict[str, Table]:
    found = _ARRAY.findall(_COMMENT.sub(" ", _text(data)))
    if len(found) != 1:
        raise ValueError(
            f"it holds {len(found)} C arrays of the form `const int16_t name[256][256] = {{...}};`, not one"
        )
    rows, columns, body = int(found[0][0]), int(found[0][1]), found[0][2].replace("{", " ").replace("}", " ")
    numbers = np.array([int(number) for number in body.replace(",", " ").split()], dtype=np.int64)
    if len(numbers) != rows * columns:
        raise ValueError(f"{len(numbers)} numbers stand in an array of {rows} x {columns}")
    return {stem: Table(numbers.reshape(rows, columns))}


def _read_binary(data: bytes, stem: str) -> dict[str, Table]:
    if len(data) != 2 * 65536:
        raise ValueError(f"it holds {len(data)} bytes, not 65,536 unsigned 16-bit numbers")
    return {stem: Table(np.frombuffer(data, "<u2").reshape(256, 256), signed=False)}


def _read_npz(data: bytes, stem: str) -> dict[str, Table]:
    return {name: Table(lut) for name, lut in table_file.npz_tables(data, LARGEST_FILE).items()}


READERS: dict[str, Callable[[bytes, str], dict[str, Table]]] = {
    ".npy": lambda data, stem: {stem: Table(table_file.npy_table(data))},
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".h": _read_header,
    ".bin": _read_binary,
}
"""File ending -> its reader; each raises ValueError."""


def _entry(name: str, table: Table, figures: dict[str, float]) -> Entry:
    """The row says what is known; its identity is that of the table and the figures."""
    signed = bool((table.lut < 0).any()) if table.signed is None else table.signed
    lut = files.npz_bytes(lut=table.lut)
    values: dict[str, object] = dict.fromkeys(COLUMNS, math.nan) | {
        "name": name,
        "family": "imported",
        "parameters": "{}",
        "a_bits": int(table.lut.shape[0]).bit_length() - 1,
        "b_bits": int(table.lut.shape[1]).bit_length() - 1,
        "signed": signed,
        "recipe": "none",
        **({column: 0.0 for column in FIGURES if column.startswith("sign_")} if signed else {}),
        **figures,
        **{metric: float(f"{value:.9g}") for metric, value in error_metrics(table.lut, signed).items()},
        "source_sha256": files.sha256(lut),
        "lut_sha256": files.sha256(lut),
        "netlist_sha256": "",
    }
    row = {column: str(value) for column, value in values.items()}
    row["identity"] = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
    return Entry(row, lut, None)


def _unusable(path: Path, came: str, mend: str) -> CatalogError:
    return CatalogError(f"tables in {path}", came, mend)
