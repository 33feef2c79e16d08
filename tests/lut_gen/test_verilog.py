"""What pyverilog reads: modules, parameters, ports, instances; and its state after a bad file."""

import pytest

import rtl
from lut_gen.errors import DesignError
from lut_gen.verilog import Module, modules

SOURCE = """`timescale 1ns/1ps
module outer #(parameter W = 4, parameter K = 2) (input [W-1:0] a, input [W-1:0] b, output [2*W-1:0] y);
  genvar i;
  generate for (i = 0; i < K; i = i + 1) begin : g
    inner one (.p(a[i]), .q());
  end endgenerate
  inner two (.p(b[0]), .q());
  assign y = a * b;
endmodule
module inner (p, q);
  input p; output q; parameter N = 3; localparam M = 5;
  assign q = p;
endmodule
"""


def test_modules_of_a_file(tmp_path):
    path = tmp_path / "m.v"
    path.write_text(SOURCE)
    assert modules([path]) == {
        "outer": Module("outer", ("W", "K"), ("a", "b", "y"), ("inner",)),
        "inner": Module("inner", ("N",), ("p", "q"), ()),
    }


def test_a_bad_file_does_not_spoil_the_next(tmp_path):
    bad, good = tmp_path / "bad.v", tmp_path / "good.v"
    bad.write_text("module m (input a;\n\n\n garbage")
    good.write_text(SOURCE)
    for _ in range(2):
        with pytest.raises(DesignError, match=r"bad\.v"):
            modules([bad])
        assert set(modules([good])) == {"outer", "inner"}


def test_all_our_own_sources_are_read():
    sources = sorted((rtl.ROOT / "multipliers").glob("*.v"))
    assert set(modules(sources)) >= {path.stem for path in sources}


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "m.v"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DesignError, match="the parser stopped"):
        modules([path])
