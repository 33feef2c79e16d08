"""Cells from libraries of all styles: hand-computed figures, and what the format allows one at a time."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from lut_gen import timing
from lut_gen.energy import power
from lut_gen.errors import LibertyError
from lut_gen.library.cell import Cell
from lut_gen.library.liberty import Technology
from lut_gen.library.liberty_reader import load, read_cells
from lut_gen.netlist import Gate, Netlist, all_operands
from tests.lut_gen.styles import GATES, STYLES, two_bit_multiplier


@pytest.mark.parametrize("style", STYLES)
def test_figures_of_a_multiplier_worked_out_by_hand(style, tmp_path):
    path = tmp_path / "style.lib"
    path.write_text(STYLES[style]())
    technology = load(path)
    technology.require()
    netlist, cells = two_bit_multiplier(), technology.cells
    words = netlist.evaluate(cells, *all_operands(2, 2))
    # and, rising: 0.03 + 0.2 x 0.05 + 0.004 x 4 fF = 0.056, transition 0.02 + 0.006 x 4 = 0.044;
    # and: 0.03 + 0.2 x 0.044 + 0.016 = 0.0548; exclusive or: 0.05 + 0.2 x 0.044 + 0.004 x 5 = 0.0788
    assert timing.delay_ns(netlist, technology) == pytest.approx(0.1896, rel=1e-9)
    # a toggle: 0.72 x load + 0.1 for each pin driven + 0.8 + 0.025 x load; 3.08 for each operand bit (4 fF, half
    # the time), 3.98 within (4 fF), 4.525 at the product (5 fF), by the toggles 2 p (1 - p) of p = 1/4, 3/8, 3/16, 1/16
    within = 3.98 * (3 * 0.375 + 30 / 256)
    product = 4.525 * (0.375 + 0.46875 + 78 / 256 + 30 / 256)
    assert within + product == pytest.approx(10.670859375)
    energy = power.energy_fj(netlist, technology, words, 16)
    assert energy == pytest.approx(4 * 0.5 * 3.08 + within + product, rel=1e-9)
    assert power.area_um2(netlist, cells) == pytest.approx(6 * 2.0 + 2 * 3.0)
    assert power.leakage_nw(netlist, cells) == pytest.approx(6 * 0.5 + 2 * 0.75)
    assert netlist.table(cells, False).tolist() == np.outer(range(4), range(4)).tolist()


@pytest.mark.parametrize("style", STYLES)
def test_cells_of_no_use_are_left_out(style, tmp_path):
    cells = read_cells(STYLES[style](), tmp_path)[2]
    assert [name for name, cell in cells.items() if not cell.sequential] == list(GATES)
    assert not {"probe_1", "PADVDD", "SRAM4", "INV4"} & set(cells)


@pytest.mark.parametrize("style", STYLES)
def test_line_ends_packing_and_foreign_letters_do_not_matter(style, tmp_path):
    text = STYLES[style]()
    path = tmp_path / "style.lib.gz"
    changed = text.replace("in the way", "d'apr\xe8s la mani\xe8re").replace("\n", "\r\n")
    path.write_bytes(gzip.compress(changed.encode("latin-1")))
    expected = read_cells(text, path)[2]
    for name, cell in load(path).cells.items():
        assert cell.area_um2 == expected[name].area_um2
        for arc, twin in zip(cell.arcs, expected[name].arcs, strict=True):
            assert (arc.delay_rise.values == twin.delay_rise.values).all()


ARC = """cell_rise (scalar) { values ("1"); } cell_fall (scalar) { values ("2"); }
rise_transition (scalar) { values ("3"); } fall_transition (scalar) { values ("4"); }"""


def read(cell: str, library: str = "", voltage: str = "nom_voltage : 1;") -> dict[str, Cell]:
    """The cells of a library of fF, ns and nW."""
    text = f"library (l) {{ {voltage} capacitive_load_unit (1, ff); {library}\n {cell} }}"
    return read_cells(text, Path("given.lib"))[2]


def gate(output: str, function: str = "A & B", pins: str = "", rest: str = "") -> str:
    pins = pins or "pin (A) { direction : input; } pin (B) { direction : input; }"
    return f'cell (c) {{ {rest} {pins} pin (Y) {{ direction : output; function : "{function}"; {output} }} }}'


@pytest.mark.parametrize(
    ("function", "senses"),
    [
        ("A & B", {"A": "positive_unate", "B": "positive_unate"}),
        ("!A | B", {"A": "negative_unate", "B": "positive_unate"}),
        ("A ^ B", {"A": "non_unate", "B": "non_unate"}),
        ("A B' + A' B", {"A": "non_unate", "B": "non_unate"}),
        ("A", {"A": "positive_unate", "B": "non_unate"}),
    ],
)
def test_a_sense_left_out_is_the_functions(function, senses):
    cell = read(gate(f'timing () {{ related_pin : "A B"; {ARC} }}', function))["c"]
    assert {arc.input: arc.sense for arc in cell.arcs} == senses


def test_timing_of_other_kinds_and_pins_is_passed_over():
    kinds = ("three_state_enable", "setup_rising", "clear", "non_seq_hold_rising", "min_pulse_width")
    others = "".join(f'timing () {{ related_pin : "A"; timing_type : {kind}; {ARC} }}' for kind in kinds)
    cell = read(gate(f'{others} timing () {{ related_pin : "VDD B"; {ARC} }}'))["c"]
    assert [arc.input for arc in cell.arcs] == ["B"]


def test_arcs_that_know_one_edge_a_sense_make_one_of_any_sense():
    def half(edge: str, sense: str) -> str:
        return f"""timing () {{ related_pin : "A"; timing_type : combinational_{edge}; timing_sense : {sense};
          cell_{edge} (scalar) {{ values ("1"); }} {edge}_transition (scalar) {{ values ("2"); }} }}"""

    cell = read(gate(half("rise", "positive_unate") + half("fall", "negative_unate")))["c"]
    assert [(arc.input, arc.sense) for arc in cell.arcs] == [("A", "non_unate")]
    with pytest.raises(LibertyError, match=r"readable cell 'c'(.|\n)*lacks a table"):
        read(gate(half("rise", "positive_unate")))


GRID = """lu_table_template (three) { variable_1 : related_out_total_output_net_capacitance;
  variable_2 : input_net_transition; variable_3 : total_output_net_capacitance;
  index_1 ("1, 9"); index_2 ("0.1 0.2"); index_3 ("2, 4, 8"); }
lu_table_template (flat) { variable_1 : input_transition_time; index_1 ("0.1, 0.2"); }"""


def delay(table: str):
    arc = ARC.replace('cell_rise (scalar) { values ("1"); }', table)
    return read(gate(f'timing () {{ related_pin : "A"; {arc} }}'), GRID)["c"].arcs[0].delay_rise


def test_a_third_axis_is_read_at_the_other_outputs_smallest_load():
    table = delay('cell_rise (three) { values ("1, 2, 3", "4, 5, 6", "101, 102, 103", "104, 105, 106"); }')
    assert table.values.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (table.slews.tolist(), table.loads.tolist()) == ([0.1, 0.2], [2, 4, 8])


def test_a_tables_own_index_may_have_another_size():
    table = delay('cell_rise (flat) { index_1 ("1, 2, 3"); values (10, 20, 30); }')
    assert table.at(1.5, 77.0) == 15.0 and table.slews.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("table", "came"),
    [
        ('cell_rise (none) { index_1 ("1, 2"); values ("1, 2"); }', "'none' is missing"),
        ('cell_rise (flat) { values ("1, 2, 3"); }', "holds 3 values where 2 were due"),
        ('cell_rise (flat) { index_1 ("2, 1"); values ("1, 2"); }', "does not ascend"),
        ('cell_rise (flat) { index_1 ("1, 1"); values ("1, 2"); }', "does not ascend"),
        ('cell_rise (flat) { values ("1, 1e999"); }', "1e999"),
        ('cell_rise (flat) { values ("1, two"); }', "two"),
        ('cell_rise (flat) { index_1 (""); values (""); }', "does not ascend|holds 0"),
    ],
)
def test_tables_that_cannot_be_read_are_named(table, came):
    with pytest.raises(LibertyError, match=f"readable cell 'c'(.|\n)*({came})"):
        delay(table)


def energy(power_text: str, library: str = "") -> float:
    return read(gate(power_text), library)["c"].energy_fj["Y"].at(0.05, 3.0)


def test_energy_of_edges_conditions_and_rails():
    def group(rise: str, fall: str, rest: str = "") -> str:
        edges = [(kind, value) for kind, value in (("rise", rise), ("fall", fall)) if value]
        tables = " ".join(f'{kind}_power (scalar) {{ values ("{value}"); }}' for kind, value in edges)
        return f"internal_power () {{ {rest} {tables} }}"

    assert energy(group("4", "-1")) == 1.5
    assert energy(group("4", "")) == 2.0  # falling costs nothing
    assert energy(group("4", "0", 'when : "B";') + group("8", "0", 'related_pin : "B";')) == 3.0
    rails = group("4", "2", "related_pg_pin : VDD;") + group("8", "2", "related_pg_pin : VDD;")
    assert energy(rails + group("1", "1", "related_pg_pin : VSS;")) == 5.0
    assert energy('internal_power () { power (scalar) { values ("7"); } }') == 7.0


def test_energies_are_in_capacitance_times_voltage_squared():
    text = 'internal_power () { power (scalar) { values ("7"); } }'
    assert energy(text, 'voltage_unit : "100mV";') == pytest.approx(0.07)
    assert energy(text, 'voltage_unit : "1V"; capacitive_load_unit (0.1, pf);') == pytest.approx(700.0)


def test_tables_on_different_grids_are_averaged_where_they_stand():
    table = 'rise_power (flat) { values ("1, 3"); } fall_power (scalar) { values ("1"); }'
    cell = read(gate(f"internal_power () {{ {table} }}"), GRID)["c"]
    assert cell.energy_fj["Y"].at(0.15, 5.0) == pytest.approx(1.5)


def test_pins_in_one_group_and_their_capacitances():
    pins = """pin (A, B) { direction : input; rise_capacitance : 3; fall_capacitance : 5; }
      pin ("C D") { direction : input; capacitance : 7; rise_capacitance : 6; } pin (E) { direction : input; }"""
    cell = read(gate("", "A B C D E", pins), "default_input_pin_cap : 2;")["c"]
    assert cell.input_ff == {"A": 4.0, "B": 4.0, "C": 7.0, "D": 7.0, "E": 2.0}
    assert cell.edge_ff == {"A": (3.0, 5.0), "B": (3.0, 5.0), "C": (6.0, 7.0), "D": (6.0, 7.0)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cell_leakage_power : 5; leakage_power () { value : 9; }", 5.0),
        ('leakage_power () { value : 2; when : "A"; } leakage_power () { value : 4; when : "!A"; }', 3.0),
        ('leakage_power () { value : 2; when : "A"; } leakage_power () { value : 4; }', 4.0),
        ("leakage_power () { value : 2; related_pg_pin : VDD; } "
         "leakage_power () { value : 4; related_pg_pin : VSS; }", 6.0),
        ("", 8.0),
    ],
)  # fmt: skip
def test_leakage(text, expected):
    assert read(gate("", rest=text), "default_cell_leakage_power : 8;")["c"].leakage_nw == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nom_voltage : 1.1; operating_conditions (a) { voltage : 2; }", 1.1),
        ("operating_conditions (a) { voltage : 2; } operating_conditions (b) { voltage : 3; }", 2.0),
        ("operating_conditions (a) { voltage : 2; } operating_conditions (b) { voltage : 3; } "
         "default_operating_conditions : b;", 3.0),
        ("voltage_map (VSS, 0); voltage_map (VDD, 0.7); voltage_map (VNW, 0.7);", 0.7),
    ],
)  # fmt: skip
def test_the_voltage(text, expected):
    assert read_cells(f"library (l) {{ {text} {gate('')} }}", Path())[1] == expected


def test_a_library_without_voltage():
    with pytest.raises(LibertyError, match="nom_voltage, operating_conditions"):
        read(gate(""), voltage="")


@pytest.mark.parametrize(
    "cell",
    [
        gate("", rest="dont_use : true;"),
        gate("", rest="pad_cell : TRUE;"),
        gate("is_pad : true;"),
        gate("", rest="is_macro_cell : true;"),
        gate("", rest="bus (D) { }"),
        'cell () { area : 1; pin (Y) { direction : output; function : "1"; } }',
    ],
)
def test_cells_that_do_not_count(cell):
    with pytest.raises(LibertyError, match="no cell of use"):
        read(cell)


@pytest.mark.parametrize(
    "cell",
    [
        gate("", rest="ff (IQ, IQN) { }"),
        gate("", rest='statetable ("A", "Q") { table : "-"; }'),
        gate('three_state : "A";'),
        gate("", function="A & IQ"),
        gate("", pins="pin (A) { direction : inout; } pin (B) { direction : input; }"),
    ],
)
def test_cells_that_no_multiplier_may_use(cell):
    assert read(cell)["c"].sequential


def test_a_state_whose_tables_are_strange_is_left_out_and_a_gate_is_not():
    strange = 'timing () { related_pin : "A"; cell_rise (none) { values ("1, 2"); } }'
    cells = read(gate(strange, rest="ff (IQ, IQN) { }") + gate("").replace("cell (c)", "cell (d)"))
    assert list(cells) == ["d"]
    with pytest.raises(LibertyError, match="readable cell 'c'"):
        read(gate(strange))


def test_a_function_that_cannot_be_read_names_its_cell():
    with pytest.raises(LibertyError, match=r"readable cell 'c'(.|\n)*left over"):
        read(gate("", function="A & B )"))


def test_nothing_is_included(tmp_path):
    (tmp_path / "other.lib").write_text(gate("").replace("cell (c)", "cell (other)"))
    cells = read(f'include_file ("{tmp_path}/other.lib"); {gate("")}')
    assert list(cells) == ["c"]


SMALL = """library (l) { time_unit : "1ns"; capacitive_load_unit (1, ff); %s
  lu_table_template (t) { variable_1 : total_output_net_capacitance; index_1 ("0, 10"); }
  power_lut_template (t) { variable_1 : input_net_transition; index_1 ("0, 10"); }
  cell (inv) { area : 1;
    pin (A) { direction : input; capacitance : 2; }
    pin (Y) { direction : output; function : "!A"; %s
      timing () { related_pin : A; timing_sense : negative_unate;
        cell_rise (t) { values ("0, 10"); } cell_fall (t) { values ("0, 10"); }
        rise_transition (t) { values ("0, 0"); } fall_transition (t) { values ("0, 0"); } }
      internal_power () { related_pin : A; rise_power (t) { values ("3, 3"); } fall_power (t) { values ("3, 3"); } }
    } }
  cell (tie) { area : 1; pin (Y) { direction : output; function : "1"; } }
}"""


def read_small(head: str = "nom_voltage : 1;", pin: str = "") -> tuple[float, dict[str, Cell]]:
    return read_cells(SMALL % (head, pin), Path("small.lib"))[1:]


@pytest.mark.parametrize(
    ("head", "voltage"),
    [
        ("nom_voltage : 1.8;", 1.8),
        ('voltage_unit : "1mV"; nom_voltage : 900;', 0.9),
        ('voltage_unit : "100mV"; operating_conditions (tt) { voltage : 9; }', 0.9),
        ('voltage_unit : "1mV"; voltage_map (VDD, 1100); voltage_map (VSS, 0);', 1.1),
    ],
)
def test_voltages_are_in_the_librarys_unit(head, voltage):
    assert read_small(head)[0] == pytest.approx(voltage)


TOO_LITTLE, TOO_MUCH, NEGATIVE = 'voltage_unit : "1mV"; nom_voltage : 1.8;', "nom_voltage : 1800;", "nom_voltage : -1;"


@pytest.mark.parametrize("head", [TOO_LITTLE, TOO_MUCH, NEGATIVE])
def test_voltages_of_no_logic_are_refused(head):
    with pytest.raises(LibertyError, match=r"0\.1 to 20 V"):
        read_small(head)


def test_delay_and_power_templates_of_one_name_are_two(tmp_path):
    inverter = read_small()[1]["inv"]
    assert inverter.arcs[0].delay_rise.at(0.0, 7.0) == pytest.approx(7.0)  # over the load
    assert inverter.energy_fj["Y"].slews.tolist() == [0, 10]  # over the transition


def test_an_outputs_own_capacitance_loads_its_net(tmp_path):
    netlist = Netlist((2,), (3,), (5,), (Gate("inv", {"A": 2}, {"Y": 4}), Gate("inv", {"A": 4}, {"Y": 5})))
    delays, loads = [], []
    for pin in ("", "capacitance : 3;"):
        voltage, cells = read_small(pin=pin)
        technology = Technology("l", voltage, cells, "", Path("small.lib"))
        delays.append(timing.delay_ns(netlist, technology))
        loads.append(power.net_loads(netlist, cells)[2:].tolist())
    assert delays == pytest.approx([2 + 5, 2 + 3 + 5 + 3])
    assert loads == [[2, 0, 2, 5], [2, 0, 5, 8]]


def test_a_tie_cell_is_a_constant():
    voltage, cells = read_small()
    technology = Technology("l", voltage, cells, "", Path("small.lib"))
    tied = Netlist((2,), (3,), (5,), (Gate("tie", {}, {"Y": 4}), Gate("inv", {"A": 4}, {"Y": 5})))
    assert timing.delay_ns(tied, technology) == 0.0
