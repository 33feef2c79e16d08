"""What a source may not do: reach a file, run a program, or be something else than Verilog."""

import os

import numpy as np
import pytest

from lut_gen.design import Design, from_verilog
from lut_gen.errors import DesignError
from lut_gen.sources import source
from lut_gen.synthesis import synthesise

MODULE = "module m (input [1:0] a, b, output [3:0] y);\n{0}\nassign y = a * b;\nendmodule\n"


def refused(tmp_path, text, words):
    path = tmp_path / "m.v"
    path.write_text(text)
    for read in (lambda: Design("m", "f", (path,), "m").texts(), lambda: from_verilog(path)):
        with pytest.raises(DesignError, match=words):
            read()


@pytest.mark.parametrize(
    "name",
    ["readmemh", "readmemb", "sreadmemh", "fopen", "fwrite", "fdisplay", "fscanf", "fgets", "fread", "system",
     "dumpfile", "value$plusargs", "c", "sformat", "", "READMEMH", "psl"],
)
def test_system_tasks_that_reach_out(tmp_path, name):
    refused(tmp_path, MODULE.format(f'initial ${name}("x");'), r"\$.* stands in m\.v:2")


@pytest.mark.parametrize(
    "body",
    [
        "`define T $readmemh\ninitial `T (\"x\", r);",
        "`define T(n) $readmem``n\ninitial `T(h) (\"x\", r);",
        "`define T(n) $readmem n\ninitial `T(h) (\"x\", r);",
        "`define A $read\n`define B memh\ninitial `A`B(\"x\", r);",
        "`define D $\n`define B readmemh\ninitial `D`B(\"x\", r);",
        "`define D $\ninitial `D/**/readmemh(\"x\", r);",
        "initial $read/**/memh(\"x\", r);",
        "initial $read\\\nmemh(\"x\", r);",
        "initial \\$readmemh (\"x\", r);",
        "initial \\$readmemh\t(\"x\", r);",
        "wire \\a\f\" ; initial $readmemh(\"x\", r); //\"\n",
        "/* \" */ initial $readmemh(\"x\", r); // \"",
        "`ifdef SYNTHESIS\ninitial $readmemh(\"x\", r);\n`endif",
        "function f; input i; f = $fopen(\"x\"); endfunction",
        "wire \\b`include\"x\" ;",
        "localparam P = $fopen(\"x\");",
    ],
)
def test_hidden_ones(tmp_path, body):
    refused(tmp_path, MODULE.format(body), "stands in|backquote|lone")


HARMLESS = ["// $readmemh(x)", "/* $fopen */", 'initial $display("$readmemh %d", 1);', "wire \\$abc$1 ;",
            "wire \\$readmemh$1 ;", "localparam C = $clog2(8);", "wire \\$0\\y[3:0] ;"]


@pytest.mark.parametrize("body", HARMLESS)
def test_harmless_ones(tmp_path, body, technology):
    path = tmp_path / "m.v"
    path.write_text(MODULE.format(body))
    (design,) = from_verilog(path)
    table = synthesise(design, technology, tmp_path / "work").netlists["abc"].table(technology.cells, False)
    assert np.array_equal(table, np.outer(range(4), range(4)))


@pytest.mark.parametrize(
    "text",
    ['import "DPI-C" function int system(string x);\n', 'import"DPI-C"function int f(int x);\n',
     "module \\$_AND_ (input A, B, output Y); endmodule\n"],
)
def test_imported_functions_and_yosys_own_cells(tmp_path, text):
    refused(tmp_path, text + MODULE.format(""), "(import|begins with .) stands in")


def test_two_macros_make_no_keyword(tmp_path):
    path = tmp_path / "m.v"
    path.write_text("`define I im\n`define P port\n`I`P \"DPI-C\" function int system(string x);\n" + MODULE.format(""))
    (text,) = Design("m", "f", (path,), "m").texts().values()
    assert "im port" in text


def test_a_file_outside_is_never_read(tmp_path, technology):
    """A pipe that nobody writes to: whoever opens it waits for ever (and Yosys would be ended by its limit)."""
    os.mkfifo(tmp_path / "secret")
    outside = tmp_path / "secret"
    for body in (f'reg [1:0] r [0:3]; initial $readmemh("{outside}", r);', f'`include "{outside}"',
                 f'reg [1:0] r [0:3]; initial \\$readmemb ("{outside}", r);'):
        path = tmp_path / "m.v"
        path.write_text(MODULE.format(body))
        with pytest.raises(DesignError):
            synthesise(Design("m", "f", (path,), "m"), technology, tmp_path / "work")
    with pytest.raises(DesignError, match="no ordinary file"):
        from_verilog(outside)


@pytest.mark.parametrize(
    ("body", "word"),
    [("always_comb q = 1;", "always_comb"), ("always_ff @(posedge a) ;", "always_ff"), ("typedef int t;", "typedef"),
     ("; logic [3:0] q;", "logic"), ("endmodule\ninterface i; endinterface\nmodule n;", "interface"),
     ("endmodule\npackage p; endpackage\nmodule n;", "package")],
)
def test_systemverilog_in_a_verilog_file(tmp_path, body, word):
    refused(tmp_path, MODULE.format(body), rf"(?s)`{word}` \(SystemVerilog\) stands in m\.v:\d.*sv2v")


def test_ports_of_type_logic(tmp_path):
    refused(tmp_path, "module m (input logic [1:0] a, b, output logic [3:0] y); assign y = a * b; endmodule", "sv2v")


def test_words_of_systemverilog_are_names_in_verilog(tmp_path):
    path = tmp_path / "m.v"
    path.write_text(MODULE.format("wire bit, byte, int; wire logic; assign logic = a[0];"))
    assert from_verilog(path)[0].top == "m"


LANGUAGES = [("vhd", "VHDL.*GHDL"), ("VHDL", "VHDL.*GHDL"), ("sv", "sv2v"), ("svh", "sv2v")]


@pytest.mark.parametrize(("ending", "words"), LANGUAGES)
def test_other_languages(tmp_path, ending, words):
    path = tmp_path / f"m.{ending}"
    path.write_text("entity m is end;")
    with pytest.raises(DesignError, match=f"(?s){words}"):
        from_verilog(path)


def test_a_source_that_is_too_large(tmp_path):
    path = tmp_path / "m.v"
    with path.open("wb") as file:
        file.truncate(source.LARGEST_SOURCE * 100)
    with pytest.raises(DesignError, match="at most 1000000 bytes"):
        from_verilog(path)


@pytest.mark.parametrize("byte", [b"\x00", b"\xff", b"\x0c", b"\x0b", "ü".encode(), b"\r"])
def test_bytes_that_are_no_verilog(tmp_path, byte):
    path = tmp_path / "m.v"
    path.write_bytes(MODULE.format("").encode() + b"\n" + byte + b"x")
    with pytest.raises(DesignError, match=r"stands in m\.v:6"):
        from_verilog(path)
    path.write_bytes(b"\xef\xbb\xbf// \xff \x00\r\n" + MODULE.format('initial $display("\u00fc");').encode())
    assert from_verilog(path)[0].top == "m"
