"""Circuits in the form in which EvoApproxLib publishes them, and the library's own files where a user has them.

Thirteen of its signed multipliers and two unsigned ones are arrays without some of their partial products; our
arrays of the same products, written in the library's two forms, must come to the same tables.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from lut_gen.design import from_verilog, gather
from lut_gen.metrics import error_metrics, exact_table
from lut_gen.synthesis import synthesise

ARRAYS = {
    "mul8u_1JFF": (0, 0, 0), "mul8s_1KV8": (0, 0, 0), "mul8s_1KR8": (1, 0, 0), "mul8s_1KTY": (3, 0, 0),
    "mul8s_1KR3": (6, 0, 0), "mul8s_1L2H": (1, 1, 0), "mul8s_1L2D": (2, 2, 0), "mul8s_1L1G": (3, 3, 0),
    "mul8s_1KVA": (0, 0, 2), "mul8s_1KVB": (0, 0, 3), "mul8s_1KX2": (0, 0, 4), "mul8s_1KR6": (1, 0, 3),
    "mul8s_1KRC": (1, 0, 4), "mul8s_1KVL": (2, 0, 5), "mul8u_E9R": (8, 0, 0),
}
"""Rows of A, rows of B and columns whose partial products are left out, found in the published tables."""
FEW = ("mul8u_1JFF", "mul8s_1KR3", "mul8s_1KRC")
DEFINITIONS = """
/* mod */
module PDKGENAND2X1(input A, input B, output Y );
     assign Y = A & B;
endmodule
/* mod */
module PDKGENHAX1( input A, input B, output YS, output YC );
    assign YS = A ^ B;
    assign YC = A & B;
endmodule
/* mod */
module PDKGENFAX1( input A, input B, input C, output YS, output YC );
    assign YS = (A ^ B) ^ C;
    assign YC = (A & B) | (B & C) | (A & C);
endmodule
/* mod */
module PDKGENOAI21X1( input A, input B, input C, output Y );
    assign Y = ~((A | B) & C);
endmodule
"""


def kept(name: str) -> list[tuple[int, int]]:
    rows, columns, diagonal = ARRAYS[name]
    return [(i, j) for i in range(rows, 8) for j in range(columns, 8) if i + j >= diagonal]


def minus(name: str, i: int, j: int) -> bool:
    """Whether a partial product counts negatively: one sign bit of two's complement."""
    return name.startswith("mul8s") and (i == 7) != (j == 7)


def expected(name: str) -> np.ndarray:
    """The sum of the kept partial products, int32 [256, 256]."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    weights = np.zeros((8, 8), np.int64)
    for i, j in kept(name):
        weights[i, j] = (-1 if minus(name, i, j) else 1) << (i + j)
    return (bits @ weights @ bits.T).astype(np.int32)


def array(name: str, prefix: str) -> str:
    """An array of half and full adders (Baugh-Wooley where signed) on slices of one wide vector."""
    lines, columns = [], [[] for _ in range(17)]
    net = 32
    for i, j in kept(name):
        lines.append(f"  {prefix}AND2X1 n{net}(.A(N[{2 * i}]), .B(N[{2 * j + 16}]), .Y(N[{net}]));")
        columns[i + j].append(f"~N[{net}]" if minus(name, i, j) else f"N[{net}]")
        net += 2
    constant = -sum(1 << (i + j) for i, j in kept(name) if minus(name, i, j)) & 0xFFFF
    for column in range(16):
        columns[column] += ["1'b1"] * (constant >> column & 1)
        bits = columns[column]
        while len(bits) > 1:
            taken = [bits.pop(0) for _ in range(min(3, len(bits)))]
            pins = ", ".join(f".{pin}({bit})" for pin, bit in zip("ABC", taken, strict=False))
            adder = f"{prefix}{'FAX1' if len(taken) == 3 else 'HAX1'}"
            lines.append(f"  {adder} n{net}({pins}, .YS(N[{net}]), .YC(N[{net + 1}]));")
            bits.append(f"N[{net}]")
            columns[column + 1].append(f"N[{net + 1}]")
            net += 2
    inputs = [f"  assign N[{2 * k + half}] = {'AB'[k // 8]}[{k % 8}];" for k in range(16) for half in (0, 1)]
    outputs = [f"  assign O[{k}] = {(columns[k] or [chr(49) + chr(39) + 'b0'])[0]};" for k in range(16)]
    head = f"module {name}(A, B, O);\n  input [7:0] A;\n  input [7:0] B;\n  output [15:0] O;\n  wire [2031:0] N;\n"
    return "\n".join([head, *inputs, "", *lines, "", *outputs, "", "endmodule", ""])


FORMS = {"plain": ("PDKGEN", DEFINITIONS), "pdk45": ("", "")}


def written(name: str, form: str, folder: Path) -> Path:
    prefix, definitions = FORMS[form]
    path = folder / f"{name}{'_pdk45' if form == 'pdk45' else ''}.v"
    path.write_text(array(name, prefix) + definitions)
    return path


MARKED = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in ARRAYS]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MARKED)
def test_arrays_in_both_published_forms(name, form, technology, tmp_path):
    (design,) = from_verilog(written(name, form, tmp_path))
    assert design.ports == {"activation": "A", "weight": "B", "product": "O"}
    assert design.signed is (True if name.startswith("mul8s") else None)
    mapped = synthesise(design, technology, tmp_path / "work")
    for recipe, netlist in mapped.netlists.items():
        table = netlist.table(technology.cells, mapped.signed)
        assert np.array_equal(table, expected(name)), recipe
    if name in ("mul8u_1JFF", "mul8s_1KV8"):
        assert np.array_equal(table, exact_table(8, 8, name == "mul8s_1KV8"))
        adders = [gate for gate in mapped.netlists["direct"].gates if gate.cell == "fa_1"]
        assert len(adders) >= 40  # the netlist's own full adders are the library's


@pytest.mark.parametrize("name", ARRAYS)
def test_the_library_has_these_tables(name, evoapprox):
    assert np.array_equal(np.load(evoapprox / "tables.npz")[name], expected(name))


def test_a_folder_of_both_forms(tmp_path):
    for form in FORMS:
        written("mul8s_1KR3", form, tmp_path)
    plain, bare = gather([tmp_path])
    assert (plain.name, bare.name) == ("mul8s_1KR3", "mul8s_1KR3_pdk45")
    assert [path.name for path in plain.files] == ["mul8s_1KR3.v"]
    assert [path.name for path in bare.files] == ["mul8s_1KR3_pdk45.v", "AND2X1.v", "FAX1.v", "HAX1.v"]


@pytest.mark.slow
def test_the_librarys_own_files(evoapprox, technology, tmp_path):
    """All .v files in the folder `verilog`, named as the library names them, against its tables and figures."""
    folder = evoapprox / "verilog"
    if not folder.is_dir():
        pytest.skip("AGN_HW_EVOAPPROX has no folder `verilog` with the library's files")
    left_out: list[str] = []
    designs = gather([folder], left_out)
    assert not [line for line in left_out if "two's complement" not in line]
    tables = np.load(evoapprox / "tables.npz")
    with (evoapprox / "figures.csv").open() as file:
        figures = {row["name"]: row for row in csv.DictReader(file)}
    for design in designs:
        name = design.name.removesuffix("_pdk45")
        mapped = synthesise(design, technology, tmp_path / design.name)
        for netlist in mapped.netlists.values():
            table = netlist.table(technology.cells, mapped.signed)
            assert np.array_equal(table, tables[name]), design.name
        published = float(figures[name]["mae_percent"])
        assert error_metrics(table, mapped.signed)["mae_percent"] == pytest.approx(published, rel=0.1, abs=1e-4)
