"""A technology's gates as a plain Liberty library: what synthesis reads in place of the user's file.

Synthesis tools stumble over forms that are legal: abc fails where a table brings an index of another size than its
template's, or where rising and falling arcs stand apart, and maps to pads and macros. Here every table has the size of
its template, every arc all four tables, every unit is ours and every cell one that a multiplier may use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from lut_gen.errors import LibertyError
from lut_gen.library.cell import Arc, Cell
from lut_gen.library.nldm import Table

_NAME = re.compile(r'[^\s"\\;{}()/*,:]+')
_HEAD = """library ("gates") {{
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA"; pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1, ff); leakage_power_unit : "1nW"; nom_voltage : {voltage!r};
"""
_TEMPLATE = """  lu_table_template ("t{slews}x{loads}") {{ variable_1 : input_net_transition;
    variable_2 : total_output_net_capacitance; index_1 ("{index_1}"); index_2 ("{index_2}"); }}
"""


def gate_library(every: Iterable[Cell], voltage: float) -> str:
    """The combinational ones of the cells with area, leakage, functions, pin capacitances and delays. Raises
    LibertyError for a name that no tool could read."""
    cells = [cell for cell in every if not cell.sequential]
    tables = [_widened(table) for cell in cells for arc in cell.arcs for table in _kinds(arc).values()]
    templates = [
        _TEMPLATE.format(slews=s, loads=c, index_1=_row(range(1, s + 1)), index_2=_row(range(1, c + 1)))
        for s, c in sorted({table.values.shape for table in tables})
    ]
    lines = (line for cell in cells for line in _cell(cell))
    return "".join([_HEAD.format(voltage=voltage), *templates, *lines, "}\n"])


def _cell(cell: Cell) -> Iterable[str]:
    yield f"  cell ({_name(cell.name)}) {{ area : {cell.area_um2!r}; cell_leakage_power : {cell.leakage_nw!r};\n"
    for pin, load in cell.input_ff.items():
        yield f"    pin ({_name(pin)}) {{ direction : input; capacitance : {load!r}; }}\n"
    for pin, function in cell.functions.items():
        yield f'    pin ({_name(pin)}) {{ direction : output; function : "{function.liberty()}";\n'
        for arc in cell.arcs:
            if arc.output == pin:
                yield f'      timing () {{ related_pin : {_name(arc.input)}; timing_sense : {arc.sense};\n'
                yield from (f"        {kind} {_table(table)}\n" for kind, table in _kinds(arc).items())
                yield "      }\n"
        yield "    }\n"
    yield "  }\n"


def _kinds(arc: Arc) -> dict[str, Table]:
    return {
        "cell_rise": arc.delay_rise,
        "cell_fall": arc.delay_fall,
        "rise_transition": arc.slew_rise,
        "fall_transition": arc.slew_fall,
    }


def _table(table: Table) -> str:
    table = _widened(table)
    slews, loads = table.values.shape
    rows = ", ".join(f'"{_row(row)}"' for row in table.values)
    index = f'index_1 ("{_row(table.slews)}"); index_2 ("{_row(table.loads)}");'
    return f'("t{slews}x{loads}") {{ {index} values ({rows}); }}'


def _widened(table: Table) -> Table:
    """The same with two points or more an axis: not every tool knows scalars."""
    slews, loads = (axis if len(axis) > 1 else np.array([0.0, 1.0]) for axis in (table.slews, table.loads))
    return Table(slews, loads, table.on(slews, loads))


def _row(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.9g}" for value in values)


def _name(name: str) -> str:
    if _NAME.fullmatch(name):
        return f'"{name}"'
    wanted = "names of cells and pins without blanks or Liberty's own signs"
    raise LibertyError(wanted, f"{name[:60]!r} came", "rename it in the library")
