"""Catalog: the multipliers on disk, each with its table, mapped netlist, cost and error figures.

    catalog.json         schema version, technology, tool versions
    index.csv            one row a multiplier; a row stands only when its files do
    luts/NAME.npz        array `lut`, int32 [2**a_bits, 2**b_bits] by raw bit patterns
    netlists/NAME.json   mapped netlist (netlist.py)
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lut_gen import files
from lut_gen.errors import CatalogError
from lut_gen.metrics import METRICS
from lut_gen.netlist import Netlist

SCHEMA_VERSION = 1
COLUMNS = (
    *("name", "family", "parameters", "a_bits", "b_bits", "signed", "recipe"),
    *("area_um2", "energy_fj", "leakage_nw", "delay_ns", "sign_area_um2", "sign_energy_fj", "sign_delay_ns"),
    *(metric.name for metric in METRICS),
    *("source_sha256", "lut_sha256", "netlist_sha256", "identity"),
)
"""Columns of index.csv; areas in um2, energies in fJ a multiplication, leakage in nW, delays in ns."""
_TEXTS = ("name", "family", "parameters", "recipe", "identity")
_WHOLE = {"a_bits": int, "b_bits": int, "signed": bool}
_TYPES = {
    name: str if name in _TEXTS or name.endswith("_sha256") else _WHOLE.get(name, float) for name in COLUMNS
}


@dataclass(frozen=True)
class Multiplier:
    """One row of a catalog. `figures` holds the row; table and netlist are read when first asked for."""

    folder: Path
    figures: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        """Every column is an attribute: multiplier.energy_fj, multiplier.a_bits ..."""
        if name in COLUMNS:
            return self.figures[name]
        raise AttributeError(name)

    @cached_property
    def parameters(self) -> dict[str, int]:
        return json.loads(self.figures["parameters"])

    @cached_property
    def lut(self) -> np.ndarray:
        """int32 [2**a_bits, 2**b_bits]: `a` is the activation port. Raises CatalogError if damaged."""
        path = self.folder / "luts" / f"{self.name}.npz"
        shape = (2 ** int(self.a_bits), 2 ** int(self.b_bits))
        try:
            with np.load(io.BytesIO(self._content(path, self.lut_sha256)), allow_pickle=False) as archive:
                lut = archive["lut"]
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from None
        if lut.dtype != np.int32 or lut.shape != shape:
            raise _damaged(path, f"an array of {lut.dtype} {lut.shape}, not int32 {shape}")
        lut.flags.writeable = False
        return lut

    @cached_property
    def netlist(self) -> Netlist:
        """The mapped netlist. Raises CatalogError if damaged."""
        path = self.folder / "netlists" / f"{self.name}.json"
        return Netlist.from_json(self._content(path, self.netlist_sha256).decode())

    @staticmethod
    def _content(path: Path, sha256: str) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _damaged(path, str(error)) from None
        if files.sha256(data) != sha256:
            raise _damaged(path, "its sha256 is not the one in index.csv")
        return data

    @property
    def sign_magnitude_energy_fj(self) -> float:
        """Energy of one signed multiplication, fJ: an unsigned multiplier needs its sign logic as well."""
        return float(self.energy_fj) + (0.0 if self.signed else float(self.sign_energy_fj))


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
        return cls(path, header, _read_index(path / "index.csv"))

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


def _read_index(path: Path) -> pd.DataFrame:
    """index.csv with typed columns. Raises CatalogError if damaged."""
    try:
        text = path.read_text()
        table = pd.read_csv(io.StringIO(text), dtype=_TYPES, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    missing = set(COLUMNS) - set(table.columns)
    if missing:
        raise _damaged(path, f"the columns {sorted(missing)} are missing")
    if not text.endswith("\n") or (table["identity"].str.len() != 64).any():
        raise _damaged(path, "it is cut short")
    return table


def read_header(path: Path) -> dict[str, Any] | None:
    """catalog.json's content, None where there is none. CatalogError if damaged or of another schema."""
    file = path / "catalog.json"
    if not file.exists():
        return None
    try:
        header = json.loads(file.read_text())
        schema = header["schema_version"]
        if schema == SCHEMA_VERSION:
            _ = header["technology"]["sha256"], header["technology"]["file"], header["tools"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, f"{type(error).__name__}: {error}") from None
    if schema != SCHEMA_VERSION:
        came = f"{path} has version {schema}"
        wanted = f"a catalog of schema version {SCHEMA_VERSION}"
        raise CatalogError(wanted, came, "build it anew in another folder")
    return header


def _damaged(path: Path, came: str) -> CatalogError:
    mend = "delete that file and run `agn-hw luts` again"
    return CatalogError(f"a sound {path.name}", f"{path} is damaged: {came}", mend)
