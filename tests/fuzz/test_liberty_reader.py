"""Damaged Liberty files: LibertyError or a sound technology, in bounded time and memory."""

import gzip
import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lut_gen import timing
from lut_gen.energy import power
from lut_gen.errors import LibertyError
from lut_gen.library.liberty import FUNCTIONS, Technology
from lut_gen.library.liberty_reader import load, read_cells
from lut_gen.netlist import Gate, Netlist
from tests.fuzz.mutations import TRIES, mutated
from tests.lut_gen.styles import STYLES

ORIGINALS = [style().encode() for style in STYLES.values()]
WORDS = [
    *(b"{", b"}", b"(", b")", b";", b":", b",", b'"', b"\\", b"\n", b"\\\n", b"/*", b"*/", b"//", b"#", b"\xff", b"\0"),
    *(b"-", b"0", b"-1", b"1e999", b"-1e308", b"1e-320", b"nan", b"inf", b"1_0", b"0x1", b"9" * 40, b"1e15", b"1e-300"),
    *(b"index_1", b"index_3 (\"1, 2\");", b"values ()", b"scalar", b"variable_2 : input_net_transition;", b"1fF"),
    *(b"timing () { }", b"internal_power () { }", b"related_pin : \"A B Y\";", b"timing_type : combinational_fall;"),
    *(b"pin (A) { }", b"direction : input;", b"direction : output;", b"function : \"A' (B)\";", b"function : \"Y\";"),
    *(b"cell (x) { }", b"library (l) {", b"!" * 600, b"(" * 200, b"a () {" * 50, b"include_file (\"/dev/zero\");"),
    *(b"nom_voltage : 1e15;", b"voltage_map (a, b);", b"capacitive_load_unit (0, ff);", b"time_unit : \"1e9ps\";"),
]


def use(technology: Technology) -> None:
    """What synthesis and the cost figures do with a technology; every figure must be finite."""
    assert math.isfinite(technology.voltage)
    assert set(technology.gates) <= set(FUNCTIONS)
    for cell in technology.cells.values():
        assert math.isfinite(cell.area_um2) and math.isfinite(cell.leakage_nw)
        if not cell.sequential:
            inputs = {pin: 2 + i % 2 for i, pin in enumerate(cell.inputs)}
            outputs = {pin: 4 + i for i, pin in enumerate(cell.functions)}
            netlist = Netlist((2,), (3,), tuple(outputs.values()), (Gate(cell.name, inputs, outputs),))
            assert math.isfinite(timing.delay_ns(netlist, technology))
            assert all(math.isfinite(value) for value in power.toggle_energies(netlist, technology))
            netlist.table(technology.cells, False)
    assert technology.full_adder is None
    assert read_cells(technology.gate_text.decode(), Path("any.lib"))
    technology.require()


@TRIES
@given(mutated(ORIGINALS, WORDS))
def test_damaged_libraries(data):
    with suppress(LibertyError):
        name, voltage, cells = read_cells(data.decode("utf-8", errors="replace"), Path("any.lib"))
        use(Technology(name, voltage, cells, "", Path("any.lib")))


@TRIES
@given(mutated([gzip.compress(original, mtime=0) for original in ORIGINALS], [b"\x1f\x8b", b"\0", b"\xff" * 9]))
def test_damaged_packed_files(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "packed.lib.gz"
    path.write_bytes(data)
    with suppress(LibertyError):
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        "library (l) { x : - }",  # some parsers wait for the `;` for ever
        "library (l) { " + "lu_table_template (t) { } " * 100_000 + "}",
        "library (l) { nom_voltage : 1; cell (c) { " + 'pin (A) { direction : input; } ' * 20_000 + "} }",
        "a () {" * 50_000,
        "a () {" * 50_000 + "}" * 50_000,
        "library (l) { nom_voltage : 1; cell (c) { "
        + "".join(f"pin (A{i}) {{ direction : input; }} " for i in range(3_000))
        + f'pin (Y) {{ direction : output; function : "{" ".join(f"A{i}" for i in range(240))}";'
        + ' timing () { related_pin : "A0"; } } } }',
        "library (l) { x : " + "1 " * 300_000 + "; }",
        'library (l) { x ("' + "1," * 300_000 + '"); }',
        "/*" * 300_000,
        "\\" * 300_000,
        '"\\' * 300_000,
        "library (l) { nom_voltage : " + "9" * 5_000 + "; }",
        "library (l) { nom_voltage : 1; lu_table_template (t) { variable_1 : input_net_transition; index_1 (\""
        + ", ".join(map(str, range(1_000)))
        + "\"); } cell (c) { pin (Y) { direction : output; function : \"1\"; "
        + ('internal_power () { rise_power (t) { index_1 ("1, 2"); values ("1, 2"); } }' * 1_000)
        + "} } }",
    ],
    ids=range(13),
)  # fmt: skip
def test_extremes_end(text):
    with suppress(LibertyError):
        read_cells(text, Path("any.lib"))


def test_a_packed_file_that_unpacks_without_end(tmp_path):
    """256 MiB and no more are unpacked of a thousandth of it."""
    path = tmp_path / "bomb.lib.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(260):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 21
    with pytest.raises(LibertyError, match="at most 256 MiB"):
        load(path)


@given(st.binary(max_size=400))
@TRIES
def test_any_bytes(data):
    with pytest.raises(LibertyError):
        read_cells(data.decode("utf-8", errors="replace"), Path("any.lib"))
