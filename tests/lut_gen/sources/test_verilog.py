"""What pyverilog reads: modules, parameters, ports, instances; and its state after a bad file."""

import pytest

import rtl
from lut_gen.errors import DesignError
from lut_gen.sources import verilog
from lut_gen.sources.verilog import Module, Port, modules

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
        "outer": Module("outer", ("W", "K"), (input_("a", 4), input_("b", 4), output("y", 8)), ("inner",)),
        "inner": Module("inner", ("N",), (input_("p", 1), output("q", 1)), ()),
    }


def input_(name, width, signed=False):
    return Port(name, "input", width, signed)


def output(name, width, signed=False):
    return Port(name, "output", width, signed)


@pytest.fixture
def module(tmp_path):
    """The one module of a text."""

    def read(text):
        path = tmp_path / "one.v"
        path.write_text(text)
        (found,) = modules([path]).values()
        return found

    return read


@pytest.mark.parametrize(
    ("header", "ports"),
    [
        ("(a, y); input [7:0] a; output y", [input_("a", 8), output("y", 1)]),
        ("(a, y); input a; output signed [1:3] y; reg signed [1:3] y", [input_("a", 1), output("y", 3, True)]),
        ("(input signed [3:0] a, b, output reg y = 0)", [input_("a", 4, True), input_("b", 4, True), output("y", 1)]),
        ("(input wire a, output tri [1:0] y, inout z)", [input_("a", 1), output("y", 2), Port("z", "inout")]),
        ("#(parameter W = 2 ** 3, localparam V = W / 3 + (1 << 2)) (input [V-1:0] a)", [input_("a", 6)]),
        ("#(parameter integer W = 8 'h1f, parameter real R = 0.5) (input [W:0] a)", [input_("a", 32)]),
        ("(a); parameter A = 3, B = A * 2 - 1; localparam C = $clog2(B); input [C:0] a", [input_("a", 4)]),
        ("#(parameter W = (1 ? 2 : 3)) (input [W-1:0] a)", [input_("a", None)]),
        ("#(parameter W = 2 ** 999999999999) (input [W-1:0] a)", [input_("a", None)]),
        ("#(parameter W = 1 / 0) (input [W-1:0] a)", [input_("a", None)]),
        ("(input [7:0] a [3:0])", [input_("a", None)]),
        ("(a)", [Port("a", "undeclared", None)]),
        ("(input \\a+b , output \\y )", [input_("a+b", 1), output("y", 1)]),
        ("(* keep *) (input (* x = 1 *) a)", [input_("a", 1)]),
        ("", []),
        ("()", []),
    ],
)
def test_ports(module, header, ports):
    assert module(f"module m {header}; endmodule").ports == tuple(ports)


@pytest.mark.parametrize(
    ("body", "instances"),
    [
        ("p u (a);", ["p"]),
        ("p #(3) u (a), v (b);", ["p"]),
        ("p #(.W(f(3)), .V(2)) u [3:0] (.a(a));", ["p"]),
        ("p #(3) (a);", ["p"]),
        ("\\p$1 u (a); \\q \\u.v (a);", ["p$1", "q"]),
        ("if (x) begin : g p u (a); end else q v (b);", ["p", "q"]),
        ("for (i = 0; i < 3; i = i + 1) p u (a[i]);", ["p"]),
        ("and (y, a, b); xor #2 g (y, a, b); nand g [1:0] (y, a, b);", []),
        ("function [3:0] f (input x); f = g(x); endfunction assign y = f (a); always @* t (a);", []),
        ("initial begin $display (a); #10 $finish; end defparam u.W = 3; specify (a => y) = 1; endspecify", []),
        ("task t; input x; begin y = x; end endtask integer i; reg [3:0] m [0:3]; wire x = f (a);", []),
        ("(* keep = \"p q (\" *) wire w; // p u (a);\n assign y = \"p u (\";", []),
        ("always @(posedge c or a) case (a) 2'b0?: y = 1; default : y = b; endcase", []),
    ],
)
def test_instances(module, body, instances):
    assert module(f"module m (input a, output y); {body} endmodule").instances == tuple(instances)


def test_long_and_deep_texts(module):
    terms = " + ".join(["1"] * 5000)
    assert module(f"module m #(parameter W = {terms}) (input [W:0] a); endmodule").ports == (input_("a", None),)
    brackets = "(" * 20000 + "1" + ")" * 20000
    assert module(f"module m (input [{brackets}:0] a); endmodule").name == "m"
    cells = "".join(f"c #(#( n{i} (.A(a), .Y(y[{i}]));\n" for i in range(20000))
    assert module(f"module m (input a); {cells} endmodule").name == "m"


def test_pyverilog_that_takes_too_long(module, monkeypatch):
    monkeypatch.setattr(verilog, "LONGEST_PARSE_S", -1.0)
    with pytest.raises(DesignError, match="took more than"):
        module("module m (input a); endmodule")
    monkeypatch.undo()
    assert module("module m (input a); endmodule").name == "m"


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
    with pytest.raises(DesignError, match=r"the character .* stands in m\.v:1"):
        modules([path])
