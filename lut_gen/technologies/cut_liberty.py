"""Writes the built-in technology from the SKY130 library that anyone can fetch.

    python -m lut_gen.technologies.cut_liberty sky130_fd_sc_hd__tt_025C_1v80.lib[.gz] [OUTPUT]

Figures: SkyWater SKY130 open PDK, high-density standard cells, typical corner, 25 C, 1.80 V (Google and
SkyWater Technology, Apache-2.0). The file written is our own form of a few cells' figures: one arc an input
and output (worst delay, mean energy over the `when` conditions), four of seven grid points an axis, four
digits.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lut_gen.library.liberty import BUILT_IN, read_bytes
from lut_gen.library.liberty_cells import Reader
from lut_gen.library.liberty_text import Group, parse
from lut_gen.library.nldm import Table, merge

PREFIX = "sky130_fd_sc_hd__"
CELLS = """inv_1 inv_2 buf_1 buf_2 nand2_1 nand3_1 nand4_1 nand2b_1 nor2_1 nor3_1 nor4_1 nor2b_1
and2_0 and2_2 and2b_1 and3_1 or2_0 or2b_1 or3_1 a21oi_1 a21o_1 a21boi_0 a22oi_1 a22o_1 a31oi_1 a211oi_1
o21ai_0 o21ai_1 o21a_1 o21bai_1 o22ai_1 o31ai_1 o211ai_1 xor2_1 xnor2_1 xor3_1 maj3_1 mux2_1 fa_1 ha_1
dfxtp_1 dfrtp_1 edfxtp_1 dlclkp_1""".split()  # noqa: SIM905
"""Gates and adders for multipliers; flip-flops and a clock gate for the processing element."""
KEPT = [0, 2, 4, 6]
TIMING_TYPES = ("combinational", "rising_edge")
TIMING = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
CLOCK_GATE = ("clock_gate_clock_pin", "clock_gate_enable_pin", "clock_gate_out_pin")
ATTRIBUTES = ("function", "state_function", "internal_node", *CLOCK_GATE)
POWER = ("rise_power", "fall_power")

HEADER = """/* Built-in technology of agn-hw, written by lut_gen/technologies/cut_liberty.py.
   Figures: SkyWater SKY130 open PDK, sky130_fd_sc_hd, typical corner 25 C 1.80 V
   (https://github.com/google/skywater-pdk, Apache-2.0); sha256 of that Liberty file:
   {sha256}
   One arc an input and output: worst delay and transition, mean internal energy over the `when` \
conditions. */
library ("agn_hw_sky130hd_tt") {{
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA"; pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1, ff); leakage_power_unit : "1nW";
  nom_process : 1; nom_temperature : 25; nom_voltage : 1.8;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
  lu_table_template (t) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("{slews}"); index_2 ("1, 2, 3, 4"); }}
  power_lut_template (p) {{ variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("{slews}"); index_2 ("1, 2, 3, 4"); }}
  power_lut_template (i) {{ variable_1 : input_transition_time; index_1 ("{slews}"); }}
"""


def cut(data: bytes) -> str:
    """The built-in technology's text from the original file's bytes."""
    library = parse(data.decode())
    reader = Reader(library)
    groups = {group.args[0]: group for group in library.of("cell")}
    cells = [_cell(reader, groups[PREFIX + name], name) for name in CELLS]
    slews = _numbers(_slews(reader, groups[PREFIX + "inv_1"]))
    return HEADER.format(sha256=hashlib.sha256(data).hexdigest(), slews=slews) + "".join(cells) + "}\n"


def _numbers(values: Any) -> str:
    return ", ".join(f"{value + 0.0:.4g}" for value in np.ravel(values))


def _slews(reader: Reader, inverter: Group) -> np.ndarray:
    output = next(p for p in inverter.of("pin") if p.text("direction") == "output")
    return reader.tables.read(output.of("timing")[0].of("cell_rise")[0], reader.units.time).slews[KEPT]


def _cell(reader: Reader, group: Group, name: str) -> str:
    cell = reader.cell(group)
    lines = [f'  cell ("{name}") {{ area : {cell.area_um2:.6g}; cell_leakage_power : {cell.leakage_nw:.4g};']
    if group.text("clock_gating_integrated_cell"):
        lines.append(f'    clock_gating_integrated_cell : "{group.text("clock_gating_integrated_cell")}";')
    for kind in ("ff", "latch", "statetable"):
        for state in group.of(kind):
            lines.append("    " + kind + " (" + ", ".join(f'"{arg}"' for arg in state.args) + ") {")
            lines += [f'      {key} : "{state.text(key)}";' for key in state.items]
            lines.append("    }")
    for pin in group.of("pin"):
        lines += ["    " + line for line in _pin(reader, pin)]
    return "\n".join([*lines, "  }\n"])


def _pin(reader: Reader, pin: Group) -> list[str]:
    name, direction = pin.args[0], pin.text("direction")
    lines = [f'pin ("{name}") {{ direction : {direction};']
    if direction == "input":
        lines[0] += f" capacitance : {float(pin.text('capacitance')) * reader.units.capacitance:.4g};"
        if pin.text("clock") == "true":
            lines[0] += " clock : true;"
    for key in ATTRIBUTES:
        if pin.text(key):
            lines[0] += f' {key} : "{pin.text(key)}";'
    if direction == "input":
        lines += _input_power(reader, pin)
    if direction == "output":
        lines += _output_arcs(reader, pin)
    return [*lines, "}"]


def _by_related(pin: Group, kind: str) -> dict[str, list[Group]]:
    related: dict[str, list[Group]] = {}
    for group in pin.of(kind):
        if kind != "timing" or group.text("timing_type", "combinational") in TIMING_TYPES:
            related.setdefault(group.text("related_pin"), []).append(group)
    return related


def _merged(reader: Reader, groups: list[Group], kind: str, unit: float, how: Any) -> Table:
    return merge([reader.tables.read(group, unit) for outer in groups for group in outer.of(kind)], how)


def _input_power(reader: Reader, pin: Group) -> list[str]:
    lines = []
    for groups in _by_related(pin, "internal_power").values():
        lines.append("  internal_power () {")
        for kind in POWER:
            values = _merged(reader, groups, kind, reader.units.energy, np.mean).values[KEPT, 0]
            lines.append(f'    {kind} (i) {{ values ("{_numbers(values)}"); }}')
        lines.append("  }")
    return lines


def _output_arcs(reader: Reader, pin: Group) -> list[str]:
    lines = []
    grid = _merged(reader, pin.of("timing"), "cell_rise", reader.units.time, np.max)
    for related, groups in _by_related(pin, "timing").items():
        senses = {group.text("timing_sense", "non_unate") for group in groups}
        kinds = {group.text("timing_type", "combinational") for group in groups}
        sense = senses.pop() if len(senses) == 1 else "non_unate"
        head = f'related_pin : "{related}"; timing_sense : {sense}; timing_type : {kinds.pop()};'
        lines.append(f"  timing () {{ {head}")
        for kind in TIMING:
            if any(group.of(kind) for group in groups):
                lines.append(_grid(kind, "t", _merged(reader, groups, kind, reader.units.time, np.max)))
        lines.append("  }")
    for related, groups in _by_related(pin, "internal_power").items():
        lines.append("  internal_power () {" + (f' related_pin : "{related}";' if related else ""))
        for kind in POWER:
            table = _merged(reader, groups, kind, reader.units.energy, np.mean)
            if table.values.size == 1:  # an edge that costs the same everywhere
                table = Table(grid.slews, grid.loads, table.on(grid.slews, grid.loads))
            lines.append(_grid(kind, "p", table))
        lines.append("  }")
    return lines


def _grid(kind: str, template: str, table: Table) -> str:
    rows = ", ".join(f'"{_numbers(row)}"' for row in table.values[np.ix_(KEPT, KEPT)])
    return f'    {kind} ({template}) {{ index_2 ("{_numbers(table.loads[KEPT])}"); values ({rows}); }}'


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    output = Path(sys.argv[2]) if len(sys.argv) == 3 else BUILT_IN
    output.write_text(cut(read_bytes(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
