"""Mutated lists of designs and mutated Verilog: DesignError may come out, nothing else. No Yosys."""

import pytest
from hypothesis import given

import rtl
from lut_gen.design import from_verilog, gather, read_list
from lut_gen.errors import DesignError
from lut_gen.sources.verilog import modules
from tests.fuzz.mutations import TRIES, mutated

LISTS = [
    b"""[[design]]
name = "mine_{K}"
family = "f"
files = ["m.v", "n.v"]
top = "m"
ports = { activation = "a", weight = "b", product = "y" }
signed = true
parameters = { WIDTH = 4 }
points = [ { K = 1 }, { K = 2 } ]
""",
    b"""[[design]]
name = "found"
files = ["m.v"]

[[design]]
name = "cells"
files = ["n.v"]
top = "mul4s_n"
ports = { product = "O" }
""",
]
LIST_WORDS = [
    b"[[design]]", b"top", b'"""', b"\\u0000", b'"/dev/zero"', b'"../../x.v"', b'"m.v\\nexit"', b"{}", b"{K.real}",
    b"-1", b"1e999", b"true", b"[[[[[[[[", b"'", b"\xff", b"\n", b'"."', b"[design]", b"{ a.b = 1 }",
]

VERILOG = [
    b"""`timescale 1ns/1ps
`define W 4
`define PRODUCT(p, q) (p * q)
// a multiplier
module m #(parameter WIDTH = `W, parameter integer K = 1 ? 2 : 3) (
    input  [WIDTH-1:0] a, b, /* both */ output reg [2*WIDTH-1:0] y);
  (* keep *) wire q;
  localparam [3:0] L = {4{1'b1}};
  `ifdef SYNTHESIS
  always @* y = `PRODUCT(a, b);
  `else
  initial begin $display("%d", a); #10 $finish; end
  `endif
  genvar i;
  generate for (i = 0; i < K; i = i + 1) begin : g
    cell #(.N(3)) c [1:0] (.p(a[i +: 1]), .q(\\q[0] ));
  end endgenerate
endmodule
module cell (p, q); parameter N = 8 'd3; input p; output q; function f; input x; f = x; endfunction
  assign q = f(p); endmodule
""",
    b"""module mul4s_n(A, B, O);
  input [3:0] A;
  input [3:0] B;
  output [7:0] O;
  wire [2031:0] N;
  AND2X1 n32(.A(A[0]), .B(B[0]), .Y(N[32]));
  FAX1 n34(.A(N[32]), .B(~(A[1] & B[1])), .C(1'b1), .YS(N[34]), .YC(N[35]));
  assign O = {N[35], N[34], N[32], 5'b0};
endmodule
/* mod */
primitive p(o, i); output o; input i; table 0 : 1; 1 : 0; endtable endprimitive
""",
    *((rtl.ROOT / "multipliers" / f"{name}.v").read_bytes() for name in ("exact_array_multiplier", "full_adder_cell")),
]
WORDS = [
    b"`define", b'`include "m.v"', b"`ifdef W", b"`else", b"`endif", b"`W", b"`PRODUCT(", b"`define A `A`A", b"`A",
    b"module", b"endmodule", b"primitive", b"endprimitive", b"input", b"output", b"parameter", b"#(", b"[", b"]",
    b"(", b")", b"((((((((", b"{", b"/*", b"*/", b"//", b'"', b"\\", b"\\x ", b"$readmemh", b"$signed", b"import",
    b"logic", b"2**99999999", b"1/0", b"1<<9999", b"8'hzz", b"'", b"?", b":", b";", b",", b".", b"\n", b"\r", b"\x00",
    b"\xff", b"// synopsys translate_off\n", b"// synopsys translate_on\n", b"function", b"endfunction", b"(*", b"*)",
    b"MUX2X1 u(", b"integer", b"signed", b"-1", b"`", b"\\\n", b"999999999999999999999999", b"0.5", b"1e99",
    b"m m(m)",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with sound sources m.v and n.v; each try overwrites what it changes."""
    path = tmp_path_factory.mktemp("designs")
    (path / "n.v").write_bytes(VERILOG[1])
    return path


@TRIES
@given(data=mutated(LISTS, LIST_WORDS))
def test_lists_of_designs(folder, data):
    (folder / "m.v").write_bytes(VERILOG[0])
    (folder / "list.toml").write_bytes(data)
    try:
        designs = read_list(folder / "list.toml")
    except DesignError as error:
        assert error.wanted and error.came and error.mend
    else:
        assert all(design.top and len(design.ports) == 3 and "/" not in design.name for design in designs)


@TRIES
@given(data=mutated(VERILOG, WORDS))
def test_verilog(folder, data):
    (folder / "list.toml").unlink(missing_ok=True)
    path = folder / "m.v"
    path.write_bytes(data)
    for read in (lambda: modules([path]), lambda: from_verilog(path), lambda: gather([folder], [])):
        try:
            read()
        except DesignError as error:
            assert error.wanted and error.came and error.mend
