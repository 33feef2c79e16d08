"""Liberty files: tables, units, what is looked for in a library, and nothing but LibertyError for bad ones."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from lut_gen.errors import LibertyError
from lut_gen.library import liberty
from lut_gen.library.boolean import Function
from lut_gen.library.liberty import BUILT_IN
from lut_gen.library.liberty_reader import load, read_cells
from lut_gen.library.nldm import Table, merge
from lut_gen.technologies import cut_liberty

SLEWS, LOADS = (0.01, 0.1, 1.0), (1.0, 4.0)  # ns, fF
DELAYS = np.array([[0.1, 0.2], [0.15, 0.3], [0.4, 0.7]])  # ns, [slew, load]
GATES = {
    "inv": (("A",), "!A"),
    "buf": (("A",), "A"),
    "nand2": (("A", "B"), "!(A & B)"),
    "and2": (("A", "B"), "A & B"),
    "or2": (("A", "B"), "A | B"),
    "xor2": (("A", "B"), "A ^ B"),
}


def small_library(time=1.0, load=1e-3, power=1.0, units=("1ns", "1, pf", "1nW"), swapped=False, without=()) -> str:
    """A library of GATES; `time`, `load`, `power` are the numbers' scale: ns, fF and nW times these are written."""
    axes = {"input_net_transition": np.array(SLEWS) * time, "total_output_net_capacitance": np.array(LOADS) * load}
    names = list(axes)[::-1] if swapped else list(axes)
    template = "".join(
        f'variable_{i} : {name}; index_{i} ("{numbers(axes[name])}"); ' for i, name in enumerate(names, start=1)
    )
    table = (DELAYS.T if swapped else DELAYS) * time
    grid = "(t) { values (" + ", ".join(f'"{numbers(row)}"' for row in table) + "); }"
    energy = "(t) { values (" + ", ".join(f'"{numbers(row)}"' for row in table / time * load) + "); }"
    kinds = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    text = f"""library (small) {{ time_unit : "{units[0]}"; capacitive_load_unit ({units[1]});
  leakage_power_unit : "{units[2]}"; nom_voltage : 1.5;
  lu_table_template (t) {{ {template} }}
"""
    for name, (operands, function) in GATES.items():
        if name in without:
            continue
        pins = "".join(f"pin ({pin}) {{ direction : input; capacitance : {2.0 * load!r}; }} " for pin in operands)
        tables = " ".join(f"{kind} {grid}" for kind in kinds)
        arcs = "".join(
            f'timing () {{ related_pin : "{pin}"; timing_sense : non_unate; {tables} }} '
            f'internal_power () {{ related_pin : "{pin}"; rise_power {energy} fall_power {energy} }} '
            for pin in operands
        )
        text += f"  cell ({name}) {{ area : 3.5; cell_leakage_power : {0.25 * power!r}; {pins}\n"
        text += f'    pin (Y) {{ direction : output; function : "{function}"; {arcs} }} }}\n'
    return text + "}\n"


def numbers(values) -> str:
    return ", ".join(repr(float(value)) for value in values)


def assert_same_cells(one, other) -> None:
    assert one.keys() == other.keys()
    for name, cell in one.items():
        twin = other[name]
        assert twin.area_um2 == cell.area_um2
        assert twin.leakage_nw == pytest.approx(cell.leakage_nw)
        assert twin.input_ff == pytest.approx(cell.input_ff)
        assert twin.energy_fj["Y"].at(0.2, 3.0) == pytest.approx(cell.energy_fj["Y"].at(0.2, 3.0))
        for arc, mirror in zip(cell.arcs, twin.arcs, strict=True):
            assert (arc.input, arc.output, arc.sense) == (mirror.input, mirror.output, mirror.sense)
            for slew, load_ff in ((0.01, 1.0), (0.05, 2.0), (2.0, 9.0)):
                assert mirror.delay_rise.at(slew, load_ff) == pytest.approx(arc.delay_rise.at(slew, load_ff))
                assert mirror.slew_fall.at(slew, load_ff) == pytest.approx(arc.slew_fall.at(slew, load_ff))


@pytest.fixture
def plain_cells(tmp_path):
    return read_cells(small_library(), tmp_path)[2]


def test_values_arrive_in_our_units(plain_cells):
    cell = plain_cells["nand2"]
    assert cell.inputs == ("A", "B") and not cell.sequential
    assert cell.area_um2 == 3.5
    assert cell.leakage_nw == 0.25
    assert cell.input_ff == pytest.approx({"A": 2.0, "B": 2.0})
    assert cell.arcs[0].delay_rise.at(0.1, 4.0) == pytest.approx(0.3)
    assert cell.energy_fj["Y"].at(0.1, 4.0) == pytest.approx(0.3)  # pF V^2 written, fJ read


@pytest.mark.parametrize(
    "kwargs",
    [
        {"time": 1e3, "units": ("1ps", "1, pf", "1nW")},
        {"time": 100.0, "units": ("10ps", "1, pf", "1nW")},
        {"load": 1.0, "units": ("1ns", "1, ff", "1nW")},
        {"load": 0.1, "units": ("1ns", "10.0, FF", "1nW")},
        {"power": 1e-3, "units": ("1ns", "1, pf", "1uW")},
        {"power": 1e3, "units": ("1ns", "1, pf", "1pW")},
        {"swapped": True},
    ],
)
def test_units_and_axis_order_do_not_matter(kwargs, plain_cells, tmp_path):
    assert_same_cells(plain_cells, read_cells(small_library(**kwargs), tmp_path)[2])


def test_a_table_over_slew_alone_or_load_alone_or_nothing(tmp_path):
    text = small_library().replace(
        "cell (inv)",
        """lu_table_template (s) { variable_1 : input_net_transition; index_1 ("0.1, 0.3"); }
  lu_table_template (c) { variable_1 : total_output_net_capacitance; index_1 ("0.001, 0.003"); }
  cell (odd) { pin (A) { direction : input; } pin (Y) { direction : output; function : "A";
    timing () { related_pin : "A"; cell_rise (s) { values ("1, 3"); } cell_fall (c) { values ("1, 5"); }
      rise_transition (scalar) { values ("0.7"); } fall_transition (c) { values ("1, 3"); } } } }
  cell (inv)""",
        1,
    )
    arc = read_cells(text, tmp_path)[2]["odd"].arcs[0]
    assert arc.delay_rise.at(0.2, 77.0) == pytest.approx(2.0)
    assert arc.delay_fall.at(55.0, 2.0) == pytest.approx(3.0)
    assert arc.slew_rise.at(55.0, 77.0) == pytest.approx(0.7)


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (7, 7)])
def test_interpolation_against_scipy(shape):
    rng = np.random.default_rng(sum(shape))
    slews, loads = (np.cumsum(rng.uniform(0.1, 1.0, n)) for n in shape)
    table = Table(slews, loads, rng.normal(size=shape))
    oracle = RegularGridInterpolator((slews, loads), table.values)
    for slew, load_ff in zip(rng.uniform(slews[0], slews[-1], 50), rng.uniform(loads[0], loads[-1], 50), strict=True):
        assert table.at(slew, load_ff) == pytest.approx(float(oracle((slew, load_ff))), abs=1e-12)
    for i, slew in enumerate(slews):
        for j, load_ff in enumerate(loads):
            assert table.at(slew, load_ff) == pytest.approx(table.values[i, j])


def test_a_table_on_another_grid_and_merged_ones():
    table = Table(np.array([1.0, 2.0]), np.array([1.0, 3.0]), np.array([[1.0, 3.0], [2.0, 6.0]]))
    flat = Table(np.zeros(1), np.zeros(1), np.array([[4.0]]))
    row = Table(np.zeros(1), np.array([1.0, 2.0, 3.0]), np.array([[0.0, 5.0, 2.0]]))
    assert table.on(np.array([1.5]), np.array([1.0, 2.0])).tolist() == [[1.5, 3.0]]
    worst = merge([flat, table, row], np.max)
    assert (worst.slews.tolist(), worst.loads.tolist()) == ([1.0, 2.0], [1.0, 2.0, 3.0])
    assert worst.values.tolist() == [[4.0, 5.0, 4.0], [4.0, 5.0, 6.0]]
    assert merge([flat, table], np.mean).values.tolist() == [[2.5, 3.5], [3.0, 5.0]]
    assert merge([flat, flat], np.sum).at(1.0, 1.0) == 8.0


def test_extrapolation_goes_on_linearly():
    slews, loads = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 5.0])
    table = Table(slews, loads, 2.0 + 3.0 * slews[:, None] + 0.5 * loads + 0.25 * slews[:, None] * loads)
    for slew, load_ff in ((0.0, 0.0), (9.0, 4.0), (3.0, 20.0), (8.0, 20.0), (-1.0, 9.0)):
        assert table.at(slew, load_ff) == pytest.approx(2.0 + 3.0 * slew + 0.5 * load_ff + 0.25 * slew * load_ff)


def test_conditions_are_merged_to_the_worst_delay_and_the_mean_energy(tmp_path):
    def timing(value, sense):
        kinds = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        tables = " ".join(f'{kind} (scalar) {{ values ("{value}"); }}' for kind in kinds)
        return f'timing () {{ related_pin : "A"; timing_sense : {sense}; {tables} }}'

    def power(rise, fall):
        return f"""internal_power () {{ related_pin : "A"; rise_power (scalar) {{ values ("{rise}"); }}
          fall_power (scalar) {{ values ("{fall}"); }} }}"""

    text = f"""library (l) {{ nom_voltage : 1; capacitive_load_unit (1, ff); cell (c) {{
      pin (A) {{ direction : input; capacitance : 1; {power(6, 2)} }}
      pin (Y) {{ direction : output; function : "A";
        {timing(1, "positive_unate")} {timing(3, "negative_unate")} {timing(2, "positive_unate")}
        {power(1, 3)} {power(5, 7)} }} }} }}"""
    cell = read_cells(text, tmp_path)[2]["c"]
    delays = {arc.sense: arc.delay_rise.at(0.0, 0.0) for arc in cell.arcs}
    assert delays == {"positive_unate": 2.0, "negative_unate": 3.0}  # the worst of each sense
    assert cell.energy_fj["Y"].at(0.0, 0.0) == 4.0
    assert cell.input_energy_fj == {"A": 4.0}


def test_built_in_library(technology):
    assert BUILT_IN.stat().st_size < 200_000
    assert set(technology.gates) >= {*liberty.REQUIRED}
    expected = {"not": "inv_1", "buffer": "buf_1", "nand": "nand2_1", "nor": "nor2_1", "and": "and2_0",
                "or": "or2_0", "xor": "xor2_1", "xnor": "xnor2_1", "mux": "mux2_1"}  # fmt: skip
    assert {gate: technology.gates[gate][0].name for gate in expected} == expected
    cell, pins = technology.full_adder
    assert cell.name == "fa_1" and set(pins) == {"A", "B", "C", "SUM", "CARRY"}
    assert {name for name, cell in technology.cells.items() if cell.sequential} == {
        "dfxtp_1", "dfrtp_1", "edfxtp_1", "dlclkp_1"
    }
    assert technology.voltage == 1.8
    technology.require()


def test_every_gate_found_computes_its_function(technology):
    for gate, (cell, pins) in technology.gates.items():
        operands, text = liberty.FUNCTIONS[gate]
        own = cell.functions[pins["Y"]].truth_table(tuple(pins[operand] for operand in operands))
        assert own == Function(text).truth_table(operands), gate


def test_the_built_in_file_is_what_the_script_writes(outside_liberty):
    original = gzip.decompress(outside_liberty.read_bytes())
    assert cut_liberty.cut(original).encode() == BUILT_IN.read_bytes()


def test_a_missing_cell_is_named(tmp_path):
    path = tmp_path / "few.lib"
    path.write_text(small_library(without=("xor2", "inv")))
    with pytest.raises(LibertyError, match=r"not \(!A\), xor \(A\^B\)"):
        load(path).require()


def test_a_small_library_will_do(tmp_path):
    path = tmp_path / "small.lib"
    path.write_text(small_library())
    technology = load(path)
    technology.require()
    assert technology.full_adder is None and technology.name == "small" and technology.voltage == 1.5


def test_an_adder_whose_functions_name_other_pins_is_passed_over(tmp_path):
    path = tmp_path / "odd.lib"
    odd = """cell (odd) { pin (A) { direction : input; } pin (B) { direction : input; } pin (C) { direction : input; }
      pin (S) { direction : output; function : "A ^ B ^ IQ"; } pin (X) { direction : output; function : "A & B"; } }
      cell (inv)"""
    path.write_text(small_library().replace("cell (inv)", odd, 1))
    assert load(path).full_adder is None


def test_delays_are_needed_to_build_multipliers(tmp_path):
    path = tmp_path / "untimed.lib"
    path.write_text(small_library().replace("timing ()", "timing_of_old ()"))
    with pytest.raises(LibertyError, match="6 cells have an output without, 'inv'"):
        load(path).require()


def test_no_more_is_unpacked_than_a_library_may_hold(tmp_path, monkeypatch):
    path = tmp_path / "bomb.lib.gz"
    text = small_library().encode()
    path.write_bytes(gzip.compress(text + b" " * 1_000_000))
    monkeypatch.setattr(liberty, "MOST_BYTES", len(text) + 1_000_000)
    assert load(path).name == "small"
    monkeypatch.setattr(liberty, "MOST_BYTES", len(text) + 999_999)
    with pytest.raises(LibertyError, match="at most 0 MiB"):
        load(path)


def test_gzip_is_the_same_technology(tmp_path):
    plain, packed = tmp_path / "small.lib", tmp_path / "small.lib.gz"
    plain.write_text(small_library())
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load(packed).sha256 == load(plain).sha256 == liberty.file_sha256(packed)
    assert load(packed).text() == plain.read_bytes()
    assert_same_cells(load(plain).cells, load(packed).cells)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.lib", b""),
        ("words.lib", b"not a library\n"),
        ("binary.lib", bytes(range(256)) * 8),
        ("cut.lib", small_library().encode()[:900]),
        ("no_cells.lib", b"library (l) { nom_voltage : 1; }"),
        ("no_voltage.lib", small_library().replace("nom_voltage : 1.5;", "").encode()),
        ("unit.lib", small_library(units=("1parsec", "1, pf", "1nW")).encode()),
        ("axis.lib", small_library().replace("input_net_transition", "constrained_pin_transition").encode()),
        ("descending.lib", small_library().replace("0.01, 0.1, 1.0", "0.1, 0.01, 1.0").encode()),
        ("nan.lib", small_library().replace("0.15,", "nan,").encode()),
        ("function.lib", small_library().replace("!(A & B)", "!(A & ").encode()),
        ("words.lib.gz", b"no gzip at all"),
        ("cut.lib.gz", gzip.compress(small_library().encode())[:200]),
        ("flipped.lib.gz", gzip.compress(small_library().encode())[:60] + bytes(300)),
    ],
)
def test_bad_files(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LibertyError, match="wanted"):
        load(path).require()


@pytest.mark.parametrize("name", ["missing.lib", "missing.lib.gz", "."])
def test_unreadable_path(name, tmp_path):
    with pytest.raises(LibertyError, match="a readable Liberty file"):
        load(tmp_path / name)


def piece_of_built_in() -> str:
    text = BUILT_IN.read_text()
    return text[: text.index('cell ("inv_2")')] + "}\n"


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_any_damage_is_a_liberty_error_or_still_a_library(data):
    text = piece_of_built_in()
    start = data.draw(st.integers(600, len(text) - 1))
    stop = data.draw(st.integers(start, min(start + 30, len(text))))
    pieces = ["", "}", "{", "(", '"', ";", "x", "-", "1", "1e999", "nan", "\0", ", ", text[900:950]]
    piece = data.draw(st.sampled_from(pieces))
    try:
        _, voltage, cells = read_cells(text[:start] + piece + text[stop:], BUILT_IN)
    except LibertyError:
        return
    assert np.isfinite(voltage)
    for cell in cells.values():
        assert np.isfinite([cell.area_um2, cell.leakage_nw, *cell.input_ff.values()]).all()
        for arc in cell.arcs:
            assert np.isfinite(arc.delay_rise.at(0.1, 5.0))
