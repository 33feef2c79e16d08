"""Catalog: the multipliers on disk, each with its table, mapped netlist, cost and error figures.

    catalog.json         schema version, technology, tool versions
    index.csv            one row a multiplier; a row stands only when its files do
    luts/NAME.npz        array `lut`, int32 [2**a_bits, 2**b_bits] by raw bit patterns
    netlists/NAME.json   mapped netlist (netlist.py); none where netlist_sha256 is empty (importing.py)

A catalog may come from anywhere: names become paths only when they are plain, sizes are checked before anything is
read or unpacked, links may not lead out of the folder, and whatever is wrong is a CatalogError.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lut_gen import files
from lut_gen.errors import CatalogError
from lut_gen.exchange import table_file
from lut_gen.metrics import METRICS
from lut_gen.netlist import LARGEST_TEXT, Netlist

SCHEMA_VERSION = 1
WIDEST_TABLE = 20
"""Most operand bits, `a` and `b` together, that a catalog's table may have: 4 MiB of products."""
COLUMNS = (
    *("name", "family", "parameters", "a_bits", "b_bits", "signed", "recipe"),
    *("area_um2", "energy_fj", "leakage_nw", "delay_ns", "sign_area_um2", "sign_energy_fj", "sign_delay_ns"),
    *(metric.name for metric in METRICS),
    *("source_sha256", "lut_sha256", "netlist_sha256", "identity"),
)
"""Columns of index.csv; areas in um2, energies in fJ a multiplication, leakage in nW, delays in ns."""
FIGURES = COLUMNS[COLUMNS.index("area_um2") : COLUMNS.index("sign_delay_ns") + 1]
"""The cost figures: finite, but for rows without a netlist, where they may be unknown (nan)."""
_TEXTS = ("name", "family", "parameters", "recipe", "identity")
_WHOLE = {"a_bits": int, "b_bits": int, "signed": bool}
_TYPES = {name: str if name in _TEXTS or name.endswith("_sha256") else _WHOLE.get(name, float) for name in COLUMNS}
_MISSING = {name: ["nan"] for name, kind in _TYPES.items() if kind is float}
_SHA256 = re.compile("[0-9a-f]{64}")
_LARGEST_INDEX, _LARGEST_HEADER, _LARGEST_TABLE = 1 << 25, 1 << 16, 1 << 23  # bytes


@dataclass(frozen=True, repr=False)
class Multiplier:
    """One row of a catalog. `figures` holds the row; table and netlist are read when first asked for."""

    folder: Path
    figures: dict[str, Any]

    def __repr__(self) -> str:
        return f"Multiplier({self.figures.get('name')!r})"

    def __getattr__(self, name: str) -> Any:
        """Every column is an attribute: multiplier.energy_fj, multiplier.a_bits ..."""
        if name in COLUMNS:
            return self.figures[name]
        raise AttributeError(name)

    @cached_property
    def parameters(self) -> dict[str, int]:
        """The Verilog parameters of the design. Raises CatalogError if damaged."""
        try:
            found = json.loads(self.figures["parameters"])
        except (ValueError, RecursionError):
            found = None
        sound = isinstance(found, dict) and all(key.isprintable() and type(n) is int for key, n in found.items())
        if not isinstance(found, dict) or not sound:
            raise _damaged(self.folder / "index.csv", f"the parameters of {self.name} are no numbers by name")
        return found

    @cached_property
    def lut(self) -> np.ndarray:
        """int32 [2**a_bits, 2**b_bits]: `a` is the activation port. Raises CatalogError if damaged."""
        path = self.folder / "luts" / f"{self.name}.npz"
        shape = (2 ** int(self.a_bits), 2 ** int(self.b_bits))
        most = 4 * shape[0] * shape[1] + 1024
        try:
            lut = table_file.npz_tables(self._lut_bytes(), most, ("lut",))["lut"]
        except ValueError as error:
            raise _damaged(path, str(error)) from None
        if lut.dtype != np.int32 or lut.shape != shape:
            raise _damaged(path, f"an array of {lut.dtype} {lut.shape}, not int32 {shape}")
        lut.flags.writeable = False
        return lut

    @cached_property
    def netlist(self) -> Netlist:
        """The mapped netlist. Raises CatalogError if damaged, or if there is none: the table was imported."""
        if not self.netlist_sha256:
            mend = "build the multiplier from its Verilog: agn-hw luts DESIGNS"
            raise CatalogError(f"a netlist of {self.name}", "it was imported as a bare table", mend)
        path = self.folder / "netlists" / f"{self.name}.json"
        try:
            netlist = Netlist.from_json(self._netlist_bytes().decode())
        except UnicodeDecodeError as error:
            raise _damaged(path, str(error)) from None
        if (len(netlist.a), len(netlist.b)) != (self.a_bits, self.b_bits):
            raise _damaged(path, f"operands of {len(netlist.a)} and {len(netlist.b)} bits, unlike index.csv")
        return netlist

    def contents(self) -> tuple[bytes, bytes | None]:
        """The two files' bytes, None for a netlist that is not. Raises CatalogError if their hashes are others."""
        return self._lut_bytes(), self._netlist_bytes() if self.netlist_sha256 else None

    def _lut_bytes(self) -> bytes:
        return self._content(self.folder / "luts" / f"{self.name}.npz", self.lut_sha256, _LARGEST_TABLE)

    def _netlist_bytes(self) -> bytes:
        return self._content(self.folder / "netlists" / f"{self.name}.json", self.netlist_sha256, LARGEST_TEXT)

    def _content(self, path: Path, sha256: str, most: int) -> bytes:
        data = _read(self.folder, path, most)
        if files.sha256(data) != sha256:
            raise _damaged(path, "its sha256 is not the one in index.csv")
        return data

    @property
    def sign_magnitude_energy_fj(self) -> float:
        """Energy of one signed multiplication, fJ: an unsigned multiplier needs its sign logic as well.

        Raises CatalogError for an imported table that came without these figures.
        """
        energy = float(self.energy_fj) + (0.0 if self.signed else float(self.sign_energy_fj))
        if math.isnan(energy):
            came = "it was imported without energy_fj" + ("" if self.signed else " or sign_energy_fj")
            mend = "import it again with these --figures, or choose without it"
            raise CatalogError(f"the energy of {self.name}", came, mend)
        return energy


class Catalog:
    """Read-only view of a catalog's folder: `catalog["name"]`, `catalog.table`, iteration in list order."""

    def __init__(self, path: Path, header: dict[str, Any], table: pd.DataFrame) -> None:
        self.path, self.header, self.table = path, header, table
        self._multipliers: dict[str, Multiplier] = {
            str(row["name"]): Multiplier(path, row) for row in table.to_dict("records")
        }

    @classmethod
    def load(cls, path: str | Path) -> Catalog:
        """Opens a catalog. Raises CatalogError where there is none, or one of another schema version."""
        path = Path(path)
        header = read_header(path)
        if header is None:
            mend = f"build it: agn-hw luts DESIGNS -o {path}"
            raise CatalogError(f"a catalog in {path}", "there is no catalog.json", mend)
        return cls(path, header, _read_index(path))

    def text_rows(self) -> dict[str, dict[str, str]]:
        """The rows of index.csv by name, in their order, each value as its text stands there."""
        text = _read(self.path, self.path / "index.csv", _LARGEST_INDEX).decode()
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        return {row["name"]: row for row in table[list(COLUMNS)].to_dict("records")}

    def __getitem__(self, name: str) -> Multiplier:
        try:
            return self._multipliers[name]
        except KeyError:
            family = [m for m in self if m.name.split("_")[0] == name.split("_")[0]]
            came = f"it has no '{name}'; it has {', '.join(m.name for m in (family or list(self))[:12])} ..."
            raise CatalogError(f"a multiplier of {self.path}", came, "see `agn-hw catalog`") from None

    def __iter__(self) -> Iterator[Multiplier]:
        return iter(self._multipliers.values())

    def __len__(self) -> int:
        return len(self._multipliers)

    def __contains__(self, name: str) -> bool:
        return name in self._multipliers


def _read_index(folder: Path) -> pd.DataFrame:
    """index.csv with typed columns. Raises CatalogError if damaged."""
    path = folder / "index.csv"
    try:
        text = _read(folder, path, _LARGEST_INDEX).decode()
        with np.errstate(invalid="ignore"):  # casts of what is no whole number: a ValueError follows
            table = pd.read_csv(io.StringIO(text), dtype=_TYPES, keep_default_na=False, na_values=_MISSING)
    except (ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from None
    missing = set(COLUMNS) - set(table.columns)
    if missing:
        raise _damaged(path, f"the columns {sorted(missing)} are missing")
    whole = isinstance(table.index, pd.RangeIndex) and text.endswith("\n")
    if not whole or not all(_SHA256.fullmatch(identity) for identity in table["identity"]):
        raise _damaged(path, "it is cut short")
    for row in table[list(COLUMNS)].to_dict("records"):
        wrong = _wrong(row)
        if wrong:
            raise _damaged(path, wrong)
    twice = table["name"][table["name"].duplicated()]
    if len(twice):
        raise _damaged(path, f"'{twice.iloc[0]}' stands twice")
    return table


def _wrong(row: dict[str, Any]) -> str:
    """What no row of a sound index has; "" if it is sound."""
    name = row["name"]
    if not files.NAME.fullmatch(name):
        return f"{name[:120]!r} is no multiplier's name (letters, digits, _ . -)"
    for column in ("family", "parameters", "recipe"):
        if not row[column].isprintable():
            return f"the {column} of {name} holds characters that cannot be printed: {row[column][:120]!r}"
    a_bits, b_bits = row["a_bits"], row["b_bits"]
    if min(a_bits, b_bits) < 1 or a_bits + b_bits > WIDEST_TABLE:
        return f"{name} has operands of {a_bits} and {b_bits} bits; together {WIDEST_TABLE} are the most"
    hashes = [row["source_sha256"], row["lut_sha256"], row["netlist_sha256"] or row["lut_sha256"]]
    if not all(_SHA256.fullmatch(value) for value in hashes):
        return f"a hash of {name} is no sha256"
    unknown = set() if row["netlist_sha256"] else set(FIGURES)
    for column, value in row.items():
        if isinstance(value, float) and not (math.isfinite(value) or (math.isnan(value) and column in unknown)):
            return f"{column} of {name} is {value}"
    return ""


def read_header(path: Path) -> dict[str, Any] | None:
    """catalog.json's content, None where there is none. CatalogError if damaged or of another schema."""
    file = path / "catalog.json"
    try:
        if not file.exists():
            return None
        header = json.loads(_read(path, file, _LARGEST_HEADER).decode())
        schema = header["schema_version"]
        if schema == SCHEMA_VERSION:
            texts = header["technology"]["sha256"], header["technology"]["file"]
            if not all(isinstance(text, str) for text in texts) or not isinstance(header["tools"], dict):
                raise TypeError("technology or tools are of another form")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(file, f"{type(error).__name__}: {error}") from None
    if schema != SCHEMA_VERSION:
        came = f"{path} has version {schema!r:.50}"
        wanted = f"a catalog of schema version {SCHEMA_VERSION}"
        raise CatalogError(wanted, came, "build it anew in another folder")
    return header


def _read(folder: Path, path: Path, most: int) -> bytes:
    """A regular file's content, at most `most` bytes. Raises CatalogError, also for a link out of the folder."""
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError("a link leads out of the catalog's folder")
        return table_file.read_bytes(path, most)
    except (OSError, RuntimeError, ValueError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, came: str) -> CatalogError:
    mend = "delete that file and run `agn-hw luts` again"
    if path.name == "catalog.json":  # without it, a folder of tables may look like somebody else's
        mend = "delete the folder, or build into another"
    return CatalogError(f"a sound {path.name}", f"{path} is damaged: {came}", mend)
