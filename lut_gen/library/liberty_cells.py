"""Cells of a Liberty library in our units: areas, loads, functions, delay arcs and energies.

Cells that no multiplier may be built of are no obstacle: those marked `dont_use`, pads, macros and cells with bus
ports are left out, and so is a flip-flop or another state whose tables cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lut_gen.errors import LibertyError
from lut_gen.library.boolean import Function
from lut_gen.library.cell import Arc, Cell
from lut_gen.library.liberty import INPUT_SLEW_NS
from lut_gen.library.liberty_states import state
from lut_gen.library.liberty_tables import Tables, Units, number
from lut_gen.library.liberty_text import Group
from lut_gen.library.nldm import Table, merge

_EDGES = {
    "combinational": ("rise", "fall"),
    "combinational_rise": ("rise",),
    "combinational_fall": ("fall",),
    "rising_edge": ("rise", "fall"),
    "falling_edge": ("rise", "fall"),
}
"""The timing types that are read, and the edges at the output that they are about."""
_KINDS = {"cell_rise": "rise", "cell_fall": "fall", "rise_transition": "rise", "fall_transition": "fall"}
_STATES = ("ff", "latch", "ff_bank", "latch_bank", "statetable", "memory")
_SENSES = ("positive_unate", "negative_unate", "non_unate")
_MOST_PINS = 12
"""Of a function whose sense is worked out; a wider one counts as non-unate."""


class Reader:
    """Holds the library-wide units and table templates while its cells are read."""

    def __init__(self, library: Group) -> None:
        self.units = Units.of(library)
        self.tables = Tables(library, self.units)
        self.default_leakage = number(library.text("default_cell_leakage_power", "0"))
        self.default_pin = number(library.text("default_input_pin_cap", "0"))

    def cells(self, group: Group) -> list[tuple[str, Cell]]:
        """The cell by name, or nothing where it is of no use here. Raises LibertyError that names the cell."""
        name = " ".join(group.args)
        if not name or _excluded(group):
            return []
        try:
            return [(name, self.cell(group))]
        except (LibertyError, ValueError) as error:
            if _holds_state(group):
                return []
            came = f"{error.came} ({error.wanted})" if isinstance(error, LibertyError) else str(error)
            raise LibertyError(f"a readable cell '{name[:60]}'", came, "correct the cell") from None

    def cell(self, group: Group) -> Cell:
        pins = [(name, pin) for pin in group.of("pin") for name in pin.names()]
        inputs = {name: pin for name, pin in pins if pin.text("direction") == "input"}
        outputs = {name: pin for name, pin in pins if pin.text("direction") == "output"}
        functions = {name: Function(pin.text("function")) for name, pin in outputs.items() if pin.text("function")}
        sequential = _holds_state(group) or not functions
        if not sequential:
            sequential = any(not set(function.pins) <= set(inputs) for function in functions.values())
        energies = {name: self._internal_energy(pin) for name, pin in outputs.items()}
        return Cell(
            name=" ".join(group.args),
            area_um2=number(group.text("area", "0")),
            leakage_nw=self._leakage(group) * self.units.power,
            input_ff={name: self._capacitance(pin) for name, pin in inputs.items()},
            functions=functions,
            arcs=tuple(
                arc
                for name, pin in outputs.items()
                for arc in self._arcs(name, pin, None if sequential else functions.get(name), inputs)
            ),
            energy_fj={name: energy for name, energy in energies.items() if energy is not None},
            input_energy_fj={name: self._input_energy(pin) for name, pin in inputs.items()},
            sequential=sequential,
            edge_ff={name: edges for name, pin in inputs.items() if (edges := self._edge_capacitances(pin))},
            output_ff={name: load for name, pin in outputs.items() if (load := self._output_load(pin))},
            state=state(group, inputs, outputs, self.tables),
        )

    def _leakage(self, group: Group) -> float:
        """The cell's own figure, else the mean over conditions of each supply rail, in the library's unit."""
        if group.text("cell_leakage_power"):
            return number(group.text("cell_leakage_power"))
        rails = _by_rail(group.of("leakage_power"))
        if not rails:
            return self.default_leakage
        total = 0.0
        for groups in rails:
            free = [g for g in groups if not g.text("when")] or groups
            total += float(np.mean([number(g.text("value", "0")) for g in free]))
        return total

    def _capacitance(self, pin: Group) -> float:
        edges = [pin.text(key) for key in ("rise_capacitance", "fall_capacitance") if pin.text(key)]
        own = [pin.text("capacitance")] if pin.text("capacitance") else edges
        return self.units.capacitance * (float(np.mean([number(c) for c in own])) if own else self.default_pin)

    def _output_load(self, pin: Group) -> float:
        return self.units.capacitance * number(pin.text("capacitance", "0"))

    def _edge_capacitances(self, pin: Group) -> tuple[float, float] | None:
        """Capacitance for rising and falling edges, where the pin tells them apart."""
        rise, fall = pin.text("rise_capacitance"), pin.text("fall_capacitance")
        own = self._capacitance(pin)
        edges = tuple(number(text) * self.units.capacitance if text else own for text in (rise, fall))
        return (edges[0], edges[1]) if rise or fall else None

    def _arcs(self, output: str, pin: Group, function: Function | None, inputs: Iterable[str]) -> list[Arc]:
        """One arc for each input and sense; one non-unate arc for an input whose senses know one edge only."""
        by_input: dict[str, dict[str, list[Group]]] = {name: {} for name in inputs}
        for timing in pin.of("timing"):
            if timing.text("timing_type", "combinational") in _EDGES:
                for name in by_input.keys() & set(timing.text("related_pin").split()):
                    by_input[name].setdefault(_sense(timing, name, function), []).append(timing)
        arcs: list[Arc] = []
        for name, by_sense in by_input.items():
            found = {sense: self._arc_tables(timings) for sense, timings in by_sense.items()}
            if not all(all(tables) for tables in found.values()):
                found = {"non_unate": self._arc_tables([t for timings in by_sense.values() for t in timings])}
            for sense, tables in found.items():
                if not all(tables):
                    raise ValueError(f"the arc from {name[:40]} to {output[:40]} lacks a table of delay or transition")
                arcs.append(Arc(name, output, sense, *(merge(kind, np.max) for kind in tables)))
        return arcs

    def _arc_tables(self, timings: list[Group]) -> list[list[Table]]:
        """Tables of rising and falling delay, rising and falling transition."""
        return [
            [
                self.tables.read(table, self.units.time)
                for timing in timings
                if edge in _EDGES[timing.text("timing_type", "combinational")]
                for table in timing.of(kind)
            ]
            for kind, edge in _KINDS.items()
        ]

    def _internal_energy(self, pin: Group) -> Table | None:
        """Mean of rise and fall energy over all inputs and conditions, added up over supply rails; an edge that
        nothing is said about costs nothing."""
        rails = []
        for groups in _by_rail(pin.of("internal_power")):
            edges = []
            for kind in ("rise_power", "fall_power"):
                found = [self.tables.read(table, self.units.energy) for g in groups for table in g.of(kind, "power")]
                edges.append(merge(found, np.mean) if found else _nothing())
            rails.append(merge(edges, np.mean))
        return merge(rails, np.sum) if rails else None

    def _input_energy(self, pin: Group) -> float:
        table = self._internal_energy(pin)
        return 0.0 if table is None else table.at(INPUT_SLEW_NS, 0.0)


def _nothing() -> Table:
    return Table(np.zeros(1), np.zeros(1), np.zeros((1, 1)))


def _by_rail(groups: Iterable[Group]) -> list[list[Group]]:
    """Groups by the supply pin that they are about (most libraries name none)."""
    rails: dict[str, list[Group]] = {}
    for group in groups:
        rails.setdefault(group.text("related_pg_pin"), []).append(group)
    return list(rails.values())


def _true(group: Group, *keys: str) -> bool:
    return any(group.text(key).lower() in ("true", "1") for key in keys)


def _excluded(group: Group) -> bool:
    pads = any(_true(pin, "is_pad") for pin in group.of("pin"))
    return pads or _true(group, "dont_use", "pad_cell", "is_macro_cell") or bool(group.of("bus", "bundle"))


def _holds_state(group: Group) -> bool:
    """Whether a state, a tristate output or a pin of two directions takes the cell out of Boolean logic."""
    pins = group.of("pin")
    directions = {pin.text("direction") for pin in pins}
    tristate = any(pin.values("three_state") for pin in pins)
    return tristate or bool(group.of(*_STATES)) or not directions <= {"input", "output"}


def _sense(timing: Group, name: str, function: Function | None) -> str:
    """The arc's sense; where the library leaves it out, that of the output's function."""
    given = timing.text("timing_sense")
    if given in _SENSES or function is None or name not in function.pins or len(function.pins) > _MOST_PINS:
        return given if given in _SENSES else "non_unate"
    rest = tuple(pin for pin in function.pins if pin != name)
    table = np.array(function.truth_table((*rest, name)))
    low, high = table[: len(table) // 2], table[len(table) // 2 :]
    if (low <= high).all():
        return "positive_unate"
    return "negative_unate" if (low >= high).all() else "non_unate"
