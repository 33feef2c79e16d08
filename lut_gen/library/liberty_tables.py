"""Liberty's units, and its characterisation tables as Tables over transition and load in ours.

A table may be over input transition and output load in either order, over one of them, or a scalar. Where
there is a third axis, the load of another output of the cell, the slice at its smallest load is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lut_gen.errors import LibertyError
from lut_gen.library.liberty_text import Group
from lut_gen.library.nldm import Table

_TIME_NS = {"fs": 1e-6, "ps": 1e-3, "ns": 1.0, "us": 1e3}
_CAPACITANCE_FF = {"af": 1e-3, "ff": 1.0, "pf": 1e3, "nf": 1e6}
_POWER_NW = {"fw": 1e-6, "pw": 1e-3, "nw": 1.0, "uw": 1e3, "mw": 1e6}
_VOLTAGE_V = {"uv": 1e-6, "mv": 1e-3, "v": 1.0}
_LARGEST = 1e15
_FINEST_STEP = 1e-12
"""Numbers up to the one, axis points no closer than the other: no table can overflow."""

_SLEW_AXES = {"input_net_transition", "input_transition_time"}
_LOAD_AXES = {"total_output_net_capacitance"}
_TEMPLATES = ("lu_table_template", "power_lut_template")
_OTHER_LOAD_AXES = {"related_out_total_output_net_capacitance", "equal_or_opposite_output_net_capacitance"}


def number(text: str) -> float:
    """A number as Liberty writes it. Raises ValueError for another text and for one that no library needs."""
    value = float(text)
    if not abs(value) <= _LARGEST:
        raise ValueError(f"'{text[:40]}' stands where a number of any library was due")
    return value


def numbers(texts: Iterable[str]) -> np.ndarray:
    """Numbers of strings such as "0.1, 0.2" or "0.1 0.2", all in one row."""
    return np.array([number(word) for text in texts for word in text.replace(",", " ").split()])


@dataclass(frozen=True)
class Units:
    """What one unit of the library is in ours: ns, fF, nW, V, fJ."""

    time: float
    capacitance: float
    power: float
    voltage: float
    energy: float

    @classmethod
    def of(cls, library: Group) -> Units:
        """Units of a library. Energies are capacitance times voltage squared, as the format defines them."""
        load = library.values("capacitive_load_unit") or ["1", "pf"]
        capacitance = _unit(" ".join(load), _CAPACITANCE_FF)
        voltage = _unit(library.text("voltage_unit", "1V"), _VOLTAGE_V)
        return cls(
            _unit(library.text("time_unit", "1ns"), _TIME_NS),
            capacitance,
            _unit(library.text("leakage_power_unit", "1nW"), _POWER_NW),
            voltage,
            capacitance * voltage**2,
        )


def _unit(text: str, units: Mapping[str, float]) -> float:
    match = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)\s*([a-z]+)", text.lower())
    if match is None or match[2] not in units or not 1e-6 <= float(match[1]) <= 1e6:
        mend = "correct the library's unit attributes"
        raise LibertyError(f"a unit of {', '.join(units)}", f"'{text[:40]}' came", mend)
    return float(match[1]) * units[match[2]]


class Tables:
    """Reads tables with a library's templates and units."""

    def __init__(self, library: Group, units: Units) -> None:
        self.units = units
        self.templates = {
            kind: {name: group for group in library.of(kind) for name in group.names()} for kind in _TEMPLATES
        }

    def read(self, group: Group, unit: float) -> Table:
        """The table, its values times `unit`. Raises LibertyError or ValueError."""
        axes, values = self._read(group, unit)
        if not axes:
            return Table(np.zeros(1), np.zeros(1), values.reshape(1, 1))
        return _oriented(axes, values, self.units)

    def constraint(self, group: Group) -> Table:
        """A setup or hold time, ns, over the transitions of data (`slews`) and clock (`loads`), both in ns. Raises
        LibertyError or ValueError."""
        axes, values = self._read(group, self.units.time)
        found = {variable: _axis(index * self.units.time) for variable, index in axes}
        data, clock = (found.pop(f"{pin}_pin_transition", np.zeros(1)) for pin in ("constrained", "related"))
        if found:
            raise ValueError(f"a constraint is over '{next(iter(found))[:60]}'")
        if axes and axes[0][0].startswith("related"):
            values = values.T
        return Table(data, clock, values.reshape(len(data), len(clock)))

    def _read(self, group: Group, unit: float) -> tuple[list[tuple[str, np.ndarray]], np.ndarray]:
        """Variable and index of each axis, and the values on them; a scalar has no axis."""
        values = numbers(group.values("values")) * unit
        name = " ".join(group.names())
        axes = self._axes(group, name)
        if not axes and values.size == 1:
            return axes, values
        if not axes:
            came = f"'{name[:40]}' is missing or lacks them"
            wanted = "a template with variables and indices for every table"
            raise LibertyError(wanted, came, "add what is missing to the library")
        shape = [len(axis) for _, axis in axes]
        if values.size != np.prod(shape):
            raise ValueError(f"a table holds {values.size} values where {' x '.join(map(str, shape))} were due")
        return axes, values.reshape(shape)

    def _axes(self, group: Group, name: str) -> list[tuple[str, np.ndarray]]:
        """Variable and index of each axis; an index in the table itself comes before its template's."""
        first, second = _TEMPLATES[:: -1 if group.kind.endswith("power") else 1]  # one name may stand for both
        template = self.templates[first].get(name) or self.templates[second].get(name)
        if template is None:
            return []
        axes = []
        for i in ("1", "2", "3"):
            index = group.values(f"index_{i}") or template.values(f"index_{i}")
            variable = template.text(f"variable_{i}")
            if variable and index:
                axes.append((variable, numbers(index)))
        return axes


def _oriented(axes: list[tuple[str, np.ndarray]], values: np.ndarray, units: Units) -> Table:
    """The table over (slew, load); an axis that is missing has one point."""
    found: dict[str, np.ndarray] = {}
    for variable, index in reversed(axes):  # backwards, so that a slice moves no axis that is still to come
        if variable in _OTHER_LOAD_AXES:
            values = values.take(np.argmin(_axis(index)), axis=[name for name, _ in axes].index(variable))
        elif variable in _SLEW_AXES:
            found = {"slew": _axis(index * units.time), **found}
        elif variable in _LOAD_AXES:
            found = {"load": _axis(index * units.capacitance), **found}
        else:
            wanted = "tables over input transition and output load"
            raise LibertyError(wanted, f"one is over '{variable[:60]}'", "use a library of NLDM tables")
    if values.ndim != len(found):
        raise ValueError("a table has the same axis twice")
    if list(found) == ["load", "slew"]:
        values = values.T
    slews, loads = (found.get(name, np.zeros(1)) for name in ("slew", "load"))
    return Table(slews, loads, values.reshape(len(slews), len(loads)))


def _axis(index: np.ndarray) -> np.ndarray:
    if not (index.size and (np.diff(index) > _FINEST_STEP).all()):
        raise ValueError(f"a table's index does not ascend: {index[:9].tolist()}")
    return index
