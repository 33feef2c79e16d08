"""Verilog that could give a wrong table without a word: it is right, or refused."""

import numpy as np
import pytest

from lut_gen.design import Design
from lut_gen.errors import DesignError
from lut_gen.metrics import exact_table
from lut_gen.synthesis import synthesise

CELL = "module nand2_1 (input A, B, output Y); assign Y = A & B; endmodule\n"
USE = "wire t; nand2_1 u (.A(a[0]), .B(b[0]), .Y(t)); assign y = {a, b} & {4{t}};"
PORTS = "input [1:0] a, b, output [3:0] y"


@pytest.fixture
def tables(tmp_path, technology):
    """Tables of module m by recipe."""

    def run(body: str, more: str = "", ports: str = PORTS) -> list[np.ndarray]:
        path = tmp_path / "m.v"
        path.write_text(f"module m ({ports});\n{body}\nendmodule\n{more}")
        mapped = synthesise(Design("m", "user", (path,), "m"), technology, tmp_path / "work")
        return [netlist.table(technology.cells, mapped.signed) for netlist in mapped.netlists.values()]

    return run


@pytest.mark.parametrize("attribute", ["", "(* keep_hierarchy *) "])
@pytest.mark.parametrize("place", ["module", "instance"])
def test_a_module_called_like_a_cell_is_the_users_own(tables, attribute, place):
    more, body = (attribute + CELL, USE) if place == "module" else (CELL, USE.replace("nand2_1", attribute + "nand2_1"))
    a, b = np.indices((4, 4))
    assert all(np.array_equal(table, (a << 2 | b) * (a & b & 1)) for table in tables(body, more))


@pytest.mark.parametrize("attribute", ["blackbox", "whitebox", "lib_whitebox"])
def test_a_box_is_refused_or_opened(tables, attribute):
    a, b = np.indices((4, 4))
    try:
        found = tables(USE, f"(* {attribute} *) {CELL}")
    except DesignError as error:
        assert "nand2_1" in str(error)
    else:
        assert attribute == "lib_whitebox" and all(np.array_equal(t, (a << 2 | b) * (a & b & 1)) for t in found)


@pytest.mark.parametrize(
    "body",
    [
        "assign y = a * b; assign y[0] = 1'b1;",
        "assign y = 4'd7; assign y = a * b;",
        "assign y = a * b; assign y[0] = a[0];",
        "wire [3:0] t = a * b; assign y = t; assign y[3] = ~t[0];",
    ],
)
def test_two_drivers_of_a_net(tables, body):
    with pytest.raises(DesignError, match="one driver for every net"):
        tables(body)


def test_a_table_of_constants(tables):
    fill = "reg [5:0] t [0:63]; integer i; initial for (i = 0; i < 64; i = i + 1) t[i] = (i >> 3) * (i & 7);"
    found = tables(f"{fill} assign y = t[{{a, b}}];", ports="input [2:0] a, b, output [5:0] y")
    assert all(np.array_equal(table, exact_table(3, 3, signed=False)) for table in found)


def test_a_module_with_a_name_of_ours(tables):
    with pytest.raises(DesignError, match="'agn_hw_top' came"):
        tables("agn_hw_top u (a, b, y);", "module agn_hw_top (input [1:0] a, b, output [3:0] y); endmodule\n")
