"""Reads a Liberty file into a Technology in our units (see liberty.py)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lut_gen.errors import LibertyError
from lut_gen.library.cell import Cell
from lut_gen.library.liberty import BUILT_IN, Technology, read_bytes
from lut_gen.library.liberty_cells import Reader
from lut_gen.library.liberty_tables import number
from lut_gen.library.liberty_text import Group, parse


def load(path: Path = BUILT_IN) -> Technology:
    """Reads a Liberty file (plain or .gz). Raises LibertyError when it is unreadable or no cell library."""
    data = read_bytes(path)
    name, voltage, cells = read_cells(data.decode("utf-8", errors="replace"), path)
    return Technology(name, voltage, cells, hashlib.sha256(data).hexdigest(), path)


def read_cells(text: str, path: Path) -> tuple[str, float, dict[str, Cell]]:
    """Library name, nominal voltage (V) and cells by name. Raises LibertyError."""
    try:
        library = parse(text)
        if library.kind != "library":
            raise ValueError(f"a group '{library.kind[:40]}' stands at its top")
        reader = Reader(library)
        voltage = _nominal_voltage(library, reader.units.voltage)
        cells = {name: cell for group in library.of("cell") for name, cell in reader.cells(group)}
    except (LibertyError, ValueError) as error:
        came, mend = (error.came, error.mend) if isinstance(error, LibertyError) else (str(error), "correct the file")
        wanted = f"a Liberty library in {path}" + (f": {error.wanted}" if isinstance(error, LibertyError) else "")
        raise LibertyError(wanted, came, mend) from None
    if not cells:
        raise LibertyError(f"a Liberty library in {path}", "it holds no cell of use", "give a library of gates")
    return " ".join(library.args), voltage, cells


def _nominal_voltage(library: Group, unit: float) -> float:
    """Of the library itself, its default operating conditions, or the highest of its supplies; V, as is `unit`."""
    conditions = {" ".join(group.args): group for group in library.of("operating_conditions")}
    first = next(iter(conditions.values()), Group("", []))
    chosen = conditions.get(library.text("default_operating_conditions"), first)
    supplies = [entry[1] for entry in library.all("voltage_map") if len(entry) == 2]
    texts = [text for text in (library.text("nom_voltage"), chosen.text("voltage")) if text][:1] or supplies
    if not texts:
        wanted = "nom_voltage, operating_conditions with a voltage or voltage_map"
        raise LibertyError(wanted, "the library has none", "add `nom_voltage`")
    voltage = max(number(text) for text in texts) * unit
    if not 0.1 <= voltage <= 20:
        wanted = "a supply of 0.1 to 20 V, in the library's voltage_unit"
        raise LibertyError(wanted, f"{voltage:g} V came", "correct `voltage_unit` or the voltage")
    return voltage
