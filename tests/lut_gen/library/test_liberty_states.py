"""Flip-flops and clock gates: which cells of a library are such, which pin is what, and their setup times."""

import pytest

from lut_gen.library.cell import ClockGate, FlipFlop
from lut_gen.library.liberty import Technology
from lut_gen.library.liberty_reader import load

HEAD = """library (l) { time_unit : "1ps"; voltage_unit : "1V"; capacitive_load_unit (1, ff); nom_voltage : 1;
  lu_table_template (s) { variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;
    index_1 ("10, 30"); index_2 ("20, 40, 80"); }
  lu_table_template (t) { variable_1 : constrained_pin_transition; variable_2 : related_pin_transition;
    index_1 ("20, 40, 80"); index_2 ("10, 30"); }
  lu_table_template (odd) { variable_1 : input_net_transition; index_1 ("1, 2"); }
  cell (INV) { area : 1; pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
"""
SETUP = """timing () { related_pin : "CK"; timing_type : setup_rising;
  rise_constraint (s) { values ("1, 2, 3", "4, 5, 6"); } fall_constraint (t) { values ("1, 4", "2, 5", "3, 6"); } }"""


def flip_flop(state: str, outputs: str = 'pin (Q) { direction : output; function : "IQ"; }', more: str = "",
              name: str = "X", area: int = 9, setup: str = "") -> str:  # fmt: skip
    return f"""cell ({name}) {{ area : {area}; ff (IQ, IQN) {{ {state} }} {more} {outputs}
      pin (D) {{ direction : input; {setup} }} pin (CK) {{ direction : input; clock : true; }} }}"""


def clock_gate(kind: str = "latch_posedge", marks: str = "clock enable out", more: str = "") -> str:
    pins = {"clock": "CK", "enable": "E", "out": "G"}
    text = f'cell (X) {{ area : 9; clock_gating_integrated_cell : "{kind}"; {more}'
    for role, pin in pins.items():
        mark = f"clock_gate_{role}_pin : true;" if role in marks.split() else ""
        text += f"pin ({pin}) {{ direction : {'output' if role == 'out' else 'input'}; {mark} }}"
    return text + "}"


def read(tmp_path, cells: str) -> Technology:
    path = tmp_path / "l.lib"
    path.write_text(HEAD + cells + "}\n")
    return load(path)


PLAIN = 'next_state : "D"; clocked_on : "CK";'


@pytest.mark.parametrize("outputs", [
    'pin (Q) { direction : output; function : "IQ"; }',
    'pin (QN) { direction : output; function : "IQN"; } pin (Q) { direction : output; function : "(IQ)"; }',
])  # fmt: skip
def test_a_plain_flip_flop(tmp_path, outputs):
    found = read(tmp_path, flip_flop(PLAIN, outputs))
    assert found.cells["X"].state == FlipFlop("D", "CK", "Q") and found.flip_flop == (found.cells["X"], FlipFlop(
        "D", "CK", "Q"))  # fmt: skip
    assert found.cells["INV"].state is None and found.clock_gate is None


@pytest.mark.parametrize("cell", [
    flip_flop('next_state : "!D"; clocked_on : "CK";'), flip_flop('next_state : "D"; clocked_on : "!CK";'),
    flip_flop(PLAIN + 'clear : "!R";', more="pin (R) { direction : input; }"),
    flip_flop('next_state : "(D E) + (IQ !E)"; clocked_on : "CK";', more="pin (E) { direction : input; }"),
    flip_flop(PLAIN, more="pin (S) { direction : input; }"), flip_flop(PLAIN + 'preset : "1";'),
    flip_flop(PLAIN, 'pin (QN) { direction : output; function : "IQN"; }'),
    flip_flop(PLAIN, 'pin (Q) { direction : output; function : "!IQ"; }'),
    flip_flop('clocked_on : "CK";'), flip_flop('next_state : "D";'), flip_flop('next_state : "&"; clocked_on : "CK";'),
    clock_gate("latch_negedge"), clock_gate("none"), clock_gate(marks="clock enable"), clock_gate(marks="enable out"),
    clock_gate(more="pin (T) { direction : input; }"),
])  # fmt: skip
def test_cells_that_no_register_is_made_of(tmp_path, cell):
    found = read(tmp_path, cell)
    assert found.cells["X"].state is None and found.flip_flop is None and found.clock_gate is None


def test_clock_gates(tmp_path):
    assert read(tmp_path, clock_gate()).cells["X"].state == ClockGate("E", "CK", "G")
    test_pin = "pin (T) { direction : input; clock_gate_test_pin : true; }"
    found = read(tmp_path, clock_gate("latch_posedge_precontrol", more=test_pin))
    assert found.clock_gate == (found.cells["X"], ClockGate("E", "CK", "G", ("T",)))


def test_the_smallest_is_taken(tmp_path):
    cells = flip_flop(PLAIN, name="B", area=7) + flip_flop(PLAIN, name="C", area=8) + flip_flop(PLAIN, name="A", area=7)
    found = read(tmp_path, cells).flip_flop
    assert found is not None and found[0].name == "A"


def test_setup_times(tmp_path):
    """Over data, then clock, whichever comes first in the file; in ns."""
    state = read(tmp_path, flip_flop(PLAIN, setup=SETUP)).cells["X"].state
    assert isinstance(state, FlipFlop) and state.setup is not None
    for table in state.setup:
        assert table.values.ravel().tolist() == pytest.approx([0.001, 0.004, 0.002, 0.005, 0.003, 0.006])
        assert table.at(0.04, 0.01) == pytest.approx(0.002) and table.at(0.02, 0.03) == pytest.approx(0.004)


@pytest.mark.parametrize("setup", [
    SETUP.replace("setup_rising", "hold_rising"), SETUP.replace('"CK"', '"D"'), SETUP.replace("(s)", "(odd)"),
    SETUP.replace("(s)", "(nosuch)"), SETUP.replace('"1, 2, 3", ', ""), SETUP.replace("rise_constraint", "other"),
])  # fmt: skip
def test_setup_times_that_cannot_be_read_are_none(tmp_path, setup):
    assert read(tmp_path, flip_flop(PLAIN, setup=setup)).cells["X"].state == FlipFlop("D", "CK", "Q")


def test_the_built_in_library():
    technology = load()
    assert technology.flip_flop is not None and technology.clock_gate is not None
    assert technology.flip_flop[1] == FlipFlop("D", "CLK", "Q")
    assert technology.clock_gate[1] == ClockGate("GATE", "CLK", "GCLK")
    assert {name for name, cell in technology.cells.items() if cell.state} == {"dfxtp_1", "dlclkp_1"}


def test_the_original_library(outside_liberty):
    technology = load(outside_liberty)
    assert technology.flip_flop is not None and technology.clock_gate is not None
    cell, state = technology.flip_flop
    assert cell.name.endswith("dfxtp_1") and state.setup is not None
    assert state.setup[1].at(0.01, 0.01) == pytest.approx(0.1033184)
    assert technology.clock_gate[0].name.endswith("__dlclkp_1") and technology.clock_gate[1].setup is not None
    scan = next(cell for name, cell in technology.cells.items() if name.endswith("sdlclkp_1"))
    assert isinstance(scan.state, ClockGate) and scan.state.tied == ("SCE",)
