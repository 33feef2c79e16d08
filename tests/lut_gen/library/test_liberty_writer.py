"""The plain form of a library: the same gates, in a form that synthesis can read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rtl
from lut_gen.design import gather
from lut_gen.errors import LibertyError
from lut_gen.library.cell import Cell
from lut_gen.library.liberty import BUILT_IN, Technology
from lut_gen.library.liberty_reader import load, read_cells
from lut_gen.library.liberty_writer import gate_library
from lut_gen.synthesis import synthesise
from lut_gen.timing import delay_ns
from tests.lut_gen.styles import STYLES, two_bit_multiplier


def original(name: str, folder: Path) -> Technology:
    if name == "built-in":
        return load(BUILT_IN)
    path = folder / "style.lib"
    path.write_text(STYLES[name]())
    return load(path)


def assert_same_gate(one: Cell, other: Cell) -> None:
    assert (one.name, one.area_um2, one.leakage_nw) == (other.name, other.area_um2, other.leakage_nw)
    assert one.input_ff == other.input_ff and one.functions.keys() == other.functions.keys()
    for pin, function in one.functions.items():
        assert function.truth_table(one.inputs) == other.functions[pin].truth_table(one.inputs)
    twins = {(arc.input, arc.output, arc.sense): arc for arc in other.arcs}
    assert len(twins) == len(one.arcs) == len(other.arcs)
    for arc in one.arcs:
        twin = twins[arc.input, arc.output, arc.sense]
        for kind in ("delay_rise", "delay_fall", "slew_rise", "slew_fall"):
            for slew, load_ff in ((0.01, 1.0), (0.07, 6.0), (3.0, 50.0)):
                mine, theirs = getattr(arc, kind).at(slew, load_ff), getattr(twin, kind).at(slew, load_ff)
                assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["built-in", *STYLES])
def test_the_same_gates_are_read_back(name, tmp_path):
    technology = original(name, tmp_path)
    _, voltage, cells = read_cells(technology.gate_text.decode(), tmp_path)
    gates = {name: cell for name, cell in technology.cells.items() if not cell.sequential}
    assert voltage == technology.voltage and list(cells) == list(gates)
    for name, cell in gates.items():
        assert_same_gate(cell, cells[name])


@pytest.mark.parametrize("style", STYLES)
def test_synthesis_reads_every_style(style, tmp_path):
    path = tmp_path / "gates.lib"
    path.write_bytes(original(style, tmp_path).gate_text)
    technology = load(path)
    design = next(design for design in gather([rtl.MULTIPLIERS]) if design.name == "exact_3x3")
    for netlist in synthesise(design, technology, tmp_path / "job").netlists.values():
        assert netlist.table(technology.cells, False).tolist() == np.outer(range(8), range(8)).tolist()
        assert delay_ns(netlist, technology) > delay_ns(two_bit_multiplier(), technology)


def test_scalars_become_tables(tmp_path):
    arc = " ".join(
        f'{kind} (scalar) {{ values ("{i}"); }}'
        for i, kind in enumerate(("cell_rise", "cell_fall", "rise_transition", "fall_transition"))
    )
    text = f"""library (l) {{ nom_voltage : 1; cell (c) {{ pin (A) {{ direction : input; }}
      pin (Y) {{ direction : output; function : "A"; timing () {{ related_pin : "A"; {arc} }} }} }} }}"""
    cell = read_cells(text, tmp_path)[2]["c"]
    written = gate_library([cell], 1.0)
    assert "scalar" not in written and '"t2x2"' in written
    assert_same_gate(cell, read_cells(written, tmp_path)[2]["c"])


@pytest.mark.parametrize("name", ["two words", 'quo"te', "back\\slash", "semi;colon", "new\nline", "(", ""])
def test_names_that_no_tool_could_read(name, technology):
    cell = technology.cells["inv_1"]
    with pytest.raises(LibertyError, match="rename it"):
        gate_library([replace(cell, name=name)], 1.0)
    with pytest.raises(LibertyError, match="rename it"):
        gate_library([replace(cell, input_ff={name: 1.0})], 1.0)
