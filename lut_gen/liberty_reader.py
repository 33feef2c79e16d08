"""Reads a Liberty file into a Technology in our units (see liberty.py).

The parser brings sympy: import this module only where a file is read.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from liberty.parser import parse_liberty

from lut_gen.boolean import Function
from lut_gen.errors import LibertyError
from lut_gen.liberty import BUILT_IN, INPUT_SLEW_NS, Arc, Cell, Table, Technology, read_bytes

_TIME_NS = {"ps": 1e-3, "ns": 1.0, "us": 1e3}
_CAPACITANCE_FF = {"ff": 1.0, "pf": 1e3}
_POWER_NW = {"pw": 1e-3, "nw": 1.0, "uw": 1e3, "mw": 1e6}
_SLEW_AXES = {"input_net_transition", "input_transition_time"}
_TIMING_TYPES = {"combinational", "rising_edge", "falling_edge"}
_LOAD_AXES = {"total_output_net_capacitance"}


def load(path: Path = BUILT_IN) -> Technology:
    """Reads a Liberty file (plain or .gz). Raises LibertyError when it is unreadable or no cell library."""
    data = read_bytes(path)
    name, voltage, cells = read_cells(data.decode("utf-8", errors="replace"), path)
    return Technology(name, voltage, cells, hashlib.sha256(data).hexdigest(), path)


def read_cells(text: str, path: Path) -> tuple[str, float, dict[str, Cell]]:
    """Library name, nominal voltage (V) and cells by name. Raises LibertyError."""
    try:
        library = parse_liberty(text)
    except Exception as error:  # the parser raises lark's and its own kinds
        came = f"the parser stopped: {(str(error).splitlines() or ['?'])[0][:200]}"
        raise LibertyError(f"a Liberty library in {path}", came, "correct the file") from None
    try:
        reader = Reader(library)
        cells = {cell.name: cell for cell in map(reader.cell, library.get_groups("cell"))}
    except LibertyError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, AssertionError) as error:
        came = f"{type(error).__name__}: {error}"
        raise LibertyError(f"a cell library in {path}", came, "correct the file") from None
    if not cells:
        raise LibertyError(f"a cell library in {path}", "it holds no cell", "give a Liberty file with cells")
    return plain(library.args[0]), reader.voltage, cells


def merge(tables: list[Table], how: Any) -> Table:
    """One table from several: `how` is np.max or np.mean, on the grid of the first."""
    first = tables[0]
    return Table(first.slews, first.loads, how([t.on(first.slews, first.loads) for t in tables], axis=0))


def plain(value: Any) -> str:
    return str(value).strip().strip('"')


def _text(group: Any, key: str, default: str = "") -> str:
    value = group.get(key)
    return default if value is None else plain(value)


def _number(group: Any, key: str, default: float = 0.0) -> float:
    return _finite(float(group.get(key, default)))


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError(f"{value} stands where a finite number was due")
    return value


def _axis(numbers: Any) -> np.ndarray:
    axis = np.ravel(numbers).astype(float)
    if not (np.isfinite(axis).all() and (np.diff(axis) > 0).all()):
        raise ValueError(f"a table's index does not ascend: {axis.tolist()}")
    return axis


class Reader:
    """Holds the library-wide units and table templates while its cells are read."""

    def __init__(self, library: Any) -> None:
        self.time = self._unit(_text(library, "time_unit", "1ns"), _TIME_NS)
        load = library.get("capacitive_load_unit", [1.0, "pf"])
        self.capacitance = float(load[0]) * _CAPACITANCE_FF[plain(load[1]).lower()]
        self.power = self._unit(_text(library, "leakage_power_unit", "1nW"), _POWER_NW)
        # capacitance unit x 1 V^2: fF V^2 = fJ
        self.energy = self.capacitance
        self.voltage = self._nominal_voltage(library)
        self.default_leakage = _number(library, "default_cell_leakage_power")
        kinds = ("lu_table_template", "power_lut_template")
        self.templates = {plain(t.args[0]): t for kind in kinds for t in library.get_groups(kind)}

    @staticmethod
    def _unit(text: str, units: dict[str, float]) -> float:
        match = re.fullmatch(r"([\d.]+)\s*([A-Za-z]+)", text)
        if match is None or match[2].lower() not in units:
            mend = "correct the library's unit attributes"
            raise LibertyError(f"a unit of {', '.join(units)}", f"{text!r} came", mend)
        return float(match[1]) * units[match[2].lower()]

    @staticmethod
    def _nominal_voltage(library: Any) -> float:
        value = library.get("nom_voltage")
        if value is None:
            conditions = library.get_groups("operating_conditions")
            value = conditions[0].get("voltage") if conditions else None
        if value is None:
            came = "the library has neither"
            raise LibertyError("nom_voltage or operating_conditions", came, "add `nom_voltage`")
        return _finite(float(value))

    def cell(self, group: Any) -> Cell:
        pins = group.get_groups("pin")
        inputs = [p for p in pins if _text(p, "direction") == "input"]
        outputs = [p for p in pins if _text(p, "direction") == "output"]
        sequential = any(group.get_groups(kind) for kind in ("ff", "latch", "statetable"))
        arcs, energies = [], {}
        for pin in outputs:
            arcs += self._arcs(pin)
            energy = self._internal_energy(pin)
            if energy is not None:
                energies[plain(pin.args[0])] = energy
        logic = [p for p in outputs if p.get("function") is not None]
        functions = {plain(p.args[0]): Function(_text(p, "function")) for p in logic}
        return Cell(
            name=plain(group.args[0]),
            area_um2=_number(group, "area"),
            leakage_nw=_number(group, "cell_leakage_power", self.default_leakage) * self.power,
            input_ff={plain(p.args[0]): _number(p, "capacitance") * self.capacitance for p in inputs},
            functions=functions,
            arcs=tuple(arcs),
            energy_fj=energies,
            input_energy_fj={plain(p.args[0]): self._input_energy(p) for p in inputs},
            sequential=sequential or not functions,
        )

    def _arcs(self, pin: Any) -> list[Arc]:
        by_input: dict[str, list[Any]] = {}
        for timing in pin.get_groups("timing"):
            if _text(timing, "timing_type", "combinational") in _TIMING_TYPES:
                for name in _text(timing, "related_pin").split():
                    by_input.setdefault(name, []).append(timing)
        return [self._arc(name, plain(pin.args[0]), timings) for name, timings in by_input.items()]

    def _arc(self, name: str, output: str, timings: list[Any]) -> Arc:
        senses = {_text(t, "timing_sense", "non_unate") for t in timings}
        kinds = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        tables = [
            merge([self.table(t.get_group(kind), self.time) for t in timings if t.get_groups(kind)], np.max)
            for kind in kinds
        ]
        return Arc(name, output, senses.pop() if len(senses) == 1 else "non_unate", *tables)

    def _internal_energy(self, pin: Any) -> Table | None:
        """Mean of rise and fall energy over all inputs and conditions."""
        tables = [
            self.table(group, self.energy)
            for power in pin.get_groups("internal_power")
            for kind in ("rise_power", "fall_power")
            for group in power.get_groups(kind)
        ]
        return merge(tables, np.mean) if tables else None

    def _input_energy(self, pin: Any) -> float:
        table = self._internal_energy(pin)
        return 0.0 if table is None else table.at(INPUT_SLEW_NS, 0.0)

    def table(self, group: Any, unit: float) -> Table:
        """A (slew, load) table, in whatever order the template has them; a missing axis has one point."""
        values = np.atleast_2d(group.get_array("values")).astype(float) * unit
        if not np.isfinite(values).all():
            raise ValueError("a table holds a value that is no finite number")
        template = self.templates.get(plain(group.args[0])) if group.args else None
        axes, names = [], []
        for i in (1, 2):
            source = group if group.get(f"index_{i}") is not None else template
            if source is None or source.get(f"index_{i}") is None or (template is None and values.size == 1):
                continue
            axes.append(_axis(source.get_array(f"index_{i}")))
            names.append(_text(template, f"variable_{i}") if template is not None else "")
        if not axes:  # a scalar
            return Table(np.zeros(1), np.zeros(1), values.reshape(1, 1))
        unknown = [n for n in names if n not in _SLEW_AXES | _LOAD_AXES]
        if unknown:
            came = f"one is over '{unknown[0]}'"
            wanted = "tables over input transition and output load"
            raise LibertyError(wanted, came, "use a library of NLDM tables")
        if len(axes) == 1:
            column = values.reshape(-1, 1)
            if names[0] in _SLEW_AXES:
                return Table(axes[0] * self.time, np.zeros(1), column)
            return Table(np.zeros(1), axes[0] * self.capacitance, column.T)
        values = values.reshape(len(axes[0]), len(axes[1]))
        if names[0] in _LOAD_AXES:
            axes, values = axes[::-1], values.T
        return Table(axes[0] * self.time, axes[1] * self.capacitance, values)
