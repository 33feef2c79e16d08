"""Synthesis: every mapping computes the same, and every mistake in a user's Verilog gets its own message."""

import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rtl
from lut_gen import synthesis, yosys
from lut_gen.design import Design
from lut_gen.errors import DesignError, ToolError
from lut_gen.metrics import exact_table
from lut_gen.synthesis import RECIPES, synthesise

PORTS = "input [2:0] a, b, output [5:0] y"


@pytest.fixture
def synthesised(tmp_path, technology):
    """Synthesises a module m with the given port list and body."""

    def run(body, declared=PORTS, name="user.v", header="", more="", **description):
        path = tmp_path / name
        path.write_text(f"module m {header} ({declared});\n{body}\nendmodule\n{more}")
        design = Design(**{"name": "d", "family": "f", "files": (path,), "top": "m", **description})
        return synthesise(design, technology, tmp_path / "work")

    return run


def built_in(top: str, *helpers: str, **parameters: int) -> Design:
    names = (top, *helpers, "carry_save_reducer", "full_adder_cell")
    files = tuple(rtl.ROOT / "multipliers" / f"{name}.v" for name in names)
    return Design(top, top, files, top, parameters)


def assert_every_recipe_gives(mapped, table, technology):
    assert list(mapped.netlists) == list(RECIPES)
    for recipe, netlist in mapped.netlists.items():
        assert np.array_equal(netlist.table(technology.cells, mapped.signed), table), recipe


@pytest.mark.parametrize("signed", [False, True])
def test_a_behavioural_multiplier(synthesised, technology, signed):
    word = "signed" if signed else ""
    mapped = synthesised("assign y = a * b;", f"input {word} [4:0] a, input {word} [2:0] b, output {word} [7:0] y")
    assert mapped.signed is signed
    assert_every_recipe_gives(mapped, exact_table(5, 3, signed), technology)


def test_signedness_may_be_given_for_plain_ports(synthesised, technology):
    mapped = synthesised("assign y = $signed(a) * $signed(b);", signed=True)
    assert_every_recipe_gives(mapped, exact_table(3, 3, signed=True), technology)


@pytest.mark.parametrize(
    "design",
    [
        built_in("exact_array_multiplier", A_BITS=4, B_BITS=3),
        built_in("baugh_wooley_multiplier", A_BITS=4, B_BITS=4, DROP=2),
        built_in("kulkarni_multiplier", A_BITS=4, B_BITS=4),
        built_in("truncated_multiplier", A_BITS=5, B_BITS=4, DROP=3, COMPENSATE=1),
    ],
    ids=lambda design: design.name,
)
def test_recipes_agree_on_built_in_designs(design, technology, tmp_path):
    mapped = synthesise(design, technology, tmp_path / "work")
    table = mapped.netlists["abc"].table(technology.cells, mapped.signed)
    assert_every_recipe_gives(mapped, table, technology)
    if design.name.startswith("exact"):
        assert np.array_equal(table, exact_table(4, 3, signed=False))


def test_full_adders_are_used_where_they_are_to_be(technology, tmp_path):
    mapped = synthesise(built_in("exact_array_multiplier", A_BITS=4, B_BITS=4), technology, tmp_path / "work")
    adders = {name: sum(gate.cell == "fa_1" for gate in net.gates) for name, net in mapped.netlists.items()}
    assert adders["abc"] == 0 and adders["full_adders"] >= 4 and adders["direct"] >= 4


def test_two_runs_give_the_same_bytes(synthesised):
    texts = [[net.to_json() for net in synthesised("assign y = a * b;").netlists.values()] for _ in range(2)]
    assert texts[0] == texts[1]


def test_ports_of_other_names_and_the_wider_operand_second(synthesised, technology):
    ports = {"activation": "x", "weight": "w", "product": "p"}
    mapped = synthesised("assign p = x * w;", "input [3:0] w, output [5:0] p, input [1:0] x", ports=ports)
    assert_every_recipe_gives(mapped, exact_table(2, 4, signed=False), technology)


def test_descending_and_offset_ranges(synthesised, technology):
    mapped = synthesised("assign y = a * b;", "input [0:2] a, input [4:2] b, output [5:0] y")
    assert_every_recipe_gives(mapped, exact_table(3, 3, signed=False), technology)


def test_modules_named_like_ours_and_like_cells(synthesised, technology):
    more = "module top (input x, output q); fa_1 u (x, q); endmodule\n"
    more += "module fa_1 (input x, output q); assign q = x; endmodule\n"
    mapped = synthesised("wire q; top t (a[0], q); assign y = {a[2:1], q} * b;", more=more)
    assert_every_recipe_gives(mapped, exact_table(3, 3, signed=False), technology)


def test_file_names_of_any_kind(technology, tmp_path):
    names = ["with space.v", "it's.v", 'quo"te.v', "semi;colon.v", "$(exit).v", "-dash.v", "ü.v", "source_0.v"]
    for i, name in enumerate(names):
        text = f"module m{i} ({PORTS}); {f'm{i + 1} n (a, b, y);' if i < 7 else 'assign y = a ^ b;'} endmodule\n"
        (tmp_path / name).write_text(text)
    design = Design("d", "f", tuple(tmp_path / name for name in names), "m0")
    a, b = np.meshgrid(range(8), range(8), indexing="ij")
    assert_every_recipe_gives(synthesise(design, technology, tmp_path / "work"), a ^ b, technology)


def test_parameters_reach_the_top(synthesised, technology):
    header, declared = "#(parameter W = 2, K = 0)", "input [W-1:0] a, b, output [5:0] y"
    mapped = synthesised("assign y = a * b + K;", declared, header=header, parameters={"W": 3, "K": 5})
    assert_every_recipe_gives(mapped, exact_table(3, 3, signed=False) + 5 & 63, technology)


@pytest.mark.parametrize(
    ("body", "kwargs", "words"),
    [
        ("assign y = a *;", {"name": "my file.v"}, r"my file\.v:2: ERROR: syntax error"),
        ("assign y = a * b;", {"top": "n"}, "a module 'n'.*the sources hold: m"),
        ("assign y = a * b;", {"parameters": {"K": 1}}, "'K' came, and it has no parameters"),
        ("assign y = a * b;", {"header": "#(parameter W = 1, V = 2)", "parameters": {"K": 1}}, "it has W, V"),
        ("assign y = x * b;", {"declared": PORTS.replace("a, b", "x, b")}, r"port 'a' .activation.*input x \[3 bit\]"),
        ("assign y = a * b;", {"declared": "input [2:0] a, b, inout [5:0] y"}, "an output port 'y'"),
        ("assign y = a * b;", {"declared": "input [8:0] a, input [2:0] b, output [11:0] y"}, "port 'a' has 9"),
        ("assign y = a * b;", {"declared": "input [2:0] a, b, output [31:0] y"}, "port 'y' has 32"),
        ("assign y = a * b;", {"declared": PORTS + ", input mode"}, "m also has: mode"),
        ("assign y = a * b;", {"declared": PORTS + ", input clk"}, "also has: clk.*no clock"),
        ("reg [5:0] r; always @(posedge clk) r <= a * b; assign y = r;", {"declared": PORTS + ", input clk"}, "clk"),
        ("reg [5:0] r; always @(posedge a[0]) r <= a * b; assign y = r;", {}, "holds a .*(DFF|dfxtp)"),
        ("reg q; always @* if (a[0]) q = b[0]; assign y = a * b + q;", {}, "holds a .*(DLATCH|dlatch)"),
        ("wire q; assign q = ~(q & a[0]); assign y = a * b + q;", {}, "a combinational loop"),
        ("assign y = a * b; assign y = a & b;", {}, r"one driver.*y .*in m has several"),
        ("assign y = a * x;", {}, "a driver for every net.*x in m has none"),
        ("assign y[4:0] = a * b;", {}, r"a driver for every net.*y \[5\] in m has none"),
        ("nosuch n (a, b, y);", {}, "a definition of every module.*'nosuch', which m instantiates.*FAX1"),
        ("q #(3) n (a, b, y);", {"more": "module q #(parameter W = 1) (input a, b, y); nosuch #(W) n (a); endmodule"},
         "'nosuch', which q instantiates"),
        ("", {}, "the module 'm' is empty"),
        ("nosuch n (); initial $display(\"source_99.v\");", {}, "'nosuch'"),
        ("agn_hw_top n (a);", {"more": "module agn_hw_top (input a); endmodule"}, "'agn_hw_top' came"),
        ("assign y = a * b; assign a = 1;", {}, "inputs that are only read|one driver"),
        ("wire [2:0] q; assign q = a; assign q = b; assign y = q;", {}, "inputs that are only read.*m drives or joins"),
        ("assign y[0] = a[0] ? b[0] : 1'bz; assign y[0] = a[0] ? 1'bz : b[1]; assign y[5:1] = 0;", {},
         r"one driver.*user\.v:2 in m has several.*tri-state"),
        ("assign y = a * b;", {"declared": "input signed [2:0] a, input [2:0] b, output [5:0] y"}, "both signed or"),
        ("assign y = a * b; initial $finish(;", {}, "syntax error"),
        ("\x80\x81", {}, r"the character .* stands in user\.v:2"),
    ],
)
def test_mistakes_in_a_users_design(synthesised, body, kwargs, words):
    with pytest.raises(DesignError, match=f"(?s){words}"):
        synthesised(body, **kwargs)


@pytest.mark.parametrize(
    "odd",
    [
        {"top": "m; exec -- touch mark"}, {"top": "m\nexec -- touch mark"}, {"top": "m -flatten"}, {"top": "\\m "},
        {"parameters": {"W 3; exec -- touch mark; #": 3}}, {"parameters": {"W": "3; exec -- touch mark"}},
        {"parameters": {"W": True}}, {"ports": {"activation": "a", "weight": "b; exit", "product": "y"}},
    ],
)
def test_no_name_gets_into_a_script(synthesised, tmp_path, odd):
    with pytest.raises(DesignError, match="plain Verilog names"):
        synthesised("assign y = a * b;", header="#(parameter W = 1)", **odd)
    assert not (tmp_path / "work").exists()


def test_names_inside_may_be_odd(synthesised, technology):
    more = "module \\x;exec (input [2:0] a, b, output [5:0] y); wire [5:0] \\w;# ; assign \\w;#  = a * b;\n"
    body = "\\x;exec  \\u\'n (.a(a), .b(b), .y(y));"
    mapped = synthesised(body, more=f"{more}assign y = \\w;# ;\nendmodule\n", name="odd; exec -- touch 'x' \"$(y)\n.v")
    assert_every_recipe_gives(mapped, exact_table(3, 3, signed=False), technology)


def test_mixed_signedness_can_be_settled(synthesised):
    assert synthesised("assign y = a * b;", "input signed [2:0] a, input [2:0] b, output [5:0] y", signed=False)


def test_a_mistake_that_pyverilog_cannot_follow_keeps_yosys_words(synthesised):
    with pytest.raises(DesignError, match="nosuch"):
        synthesised("`define WIDTH 3\nwire [`WIDTH-1:0] q;\nnosuch n (a, b, y);")


def test_missing_second_file(technology, tmp_path):
    design = Design("d", "f", (tmp_path / "none.v",), "m")
    with pytest.raises(DesignError, match=r"none\.v"):
        synthesise(design, technology, tmp_path / "work")


def test_yosys_that_is_not_there(synthesised, monkeypatch):
    monkeypatch.setenv("AGN_HW_YOSYS", "/nonexistent")
    with pytest.raises(ToolError, match=r"(?s)'/nonexistent', which is no program.*pip install pyosys"):
        synthesised("assign y = a * b;")
    with pytest.raises(ToolError, match="/nonexistent"):
        yosys.version()


@pytest.fixture
def fake_yosys(tmp_path, monkeypatch):
    """Puts a shell script in Yosys' place."""

    def install(text):
        path = tmp_path / "fake-yosys"
        path.write_text(text)
        path.chmod(0o755)
        monkeypatch.setenv("AGN_HW_YOSYS", str(path))

    return install


def test_yosys_that_crashes(synthesised, fake_yosys, tmp_path):
    fake_yosys("#!/bin/sh\nfor i in $(seq 30); do echo line $i; done\necho the last words >&2\nexit 3\n")
    with pytest.raises(ToolError, match=r"(?s)status 3:.*line 30.*the last words.*yosys\.log") as caught:
        synthesised("assign y = a * b;")
    assert "line 20" not in str(caught.value)
    assert caught.value.log == tmp_path / "work" / "yosys.log" and "line 1\n" in caught.value.log.read_text()


def test_yosys_that_is_killed(synthesised, fake_yosys):
    fake_yosys("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(ToolError, match=r"(?s)signal SIGKILL.*\(no output\)"):
        synthesised("assign y = a * b;")


def test_yosys_that_never_ends_goes_with_its_children(synthesised, fake_yosys, monkeypatch, tmp_path):
    pid_file = tmp_path / "child"
    fake_yosys(f"#!/bin/sh\necho at work\nsleep 600 &\necho $! > '{pid_file}'\nwait\n")
    monkeypatch.setattr(synthesis.yosys, "run", functools.partial(yosys.run, timeout_s=2.0))
    with pytest.raises(ToolError, match=r"(?s)more than 2 s:.*at work.*yosys\.log"):
        synthesised("assign y = a * b;")
    deadline = time.monotonic() + 20
    while alive(int(pid_file.read_text())):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs (an ended one whom nobody has waited for yet does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("text", ["no program at all\n", "#!/nonexistent/shell\n"])
def test_yosys_that_cannot_start(synthesised, fake_yosys, text):
    fake_yosys(text)
    with pytest.raises(ToolError, match="Yosys to start"):
        synthesised("assign y = a * b;")
    with pytest.raises(ToolError, match="Yosys' version"):
        yosys.version()


def test_version_of_a_program(fake_yosys):
    fake_yosys("#!/bin/sh\necho 'Yosys 9.99 (git sha1 0)'\n")
    assert yosys.version() == "9.99"


def test_a_relative_program_works_from_the_runs_folder(synthesised, tmp_path, monkeypatch):
    wrapper = f"""#!/bin/sh
exec '{sys.executable}' -c "from pyosys import libyosys as ys; ys.run_pass('script script.ys', ys.Design())"
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "my-yosys").write_text(wrapper)
    (tmp_path / "bin" / "my-yosys").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGN_HW_YOSYS", "bin/my-yosys")
    assert list(synthesised("assign y = a * b;").netlists) == list(RECIPES)


def test_a_run_can_be_replayed(synthesised, tmp_path):
    synthesised("assign y = a * b;")
    work = tmp_path / "work"
    before = (work / "direct.json").read_text()
    (work / "direct.json").unlink()
    code = "from pyosys import libyosys as ys; ys.run_pass('script script.ys', ys.Design())"
    subprocess.run([sys.executable, "-c", code], cwd=work, check=True, capture_output=True, env=dict(os.environ))
    assert (work / "direct.json").read_text() == before


def test_an_include_is_named(synthesised):
    with pytest.raises(DesignError, match="include") as caught:
        synthesised('`include "elsewhere.vh"\nassign y = a * b;')
    assert "add the included file" in caught.value.mend


BODIES = {
    "x is 0": ("assign y = a[0] ? 6'bx : a * b;", lambda a, b: a * b * (1 - a % 2)),
    "z is 0": ("assign y = a[0] ? 6'bz : a * b;", lambda a, b: a * b * (1 - a % 2)),
    "one tri-state gate": ("bufif1 (y[0], b[0], a[0]); assign y[5:1] = 0;", lambda a, b: a & b & 1),
    "all cases": ("reg [5:0] r; assign y = r; always @* case (b) 0: r = 0; 1: r = a; 2: r = a << 1; 3: r = a * 3; "
                  "4: r = a << 2; 5: r = a * 5; 6: r = a * 6; 7: r = a * 7; default: r = 6'bx; endcase",
                  lambda a, b: a * b),
    "an unused operand": ("assign y = a;", lambda a, b: a + 0 * b),
    "a constant": ("assign y = 5;", lambda a, b: 0 * a * b + 5),
    "a message": ("assign y = a * b; always @* $display(a); initial $display(1);", lambda a, b: a * b),
    "a function": ("function [5:0] f; input [2:0] p, q; f = p * q; endfunction assign y = f(a, b);",
                   lambda a, b: a * b),
    "full_case": ("reg [5:0] r; assign y = r; always @* case (b[0]) // synopsys full_case\n 1'b1: r = a; 1'b0: r = 0; "
                  "endcase", lambda a, b: a * (b & 1)),
}


@pytest.mark.parametrize("name", BODIES)
def test_odd_bodies_come_out_right(synthesised, technology, name):
    body, function = BODIES[name]
    table = function(*np.meshgrid(range(8), range(8), indexing="ij"))
    assert_every_recipe_gives(synthesised(body), table, technology)


@pytest.mark.parametrize(("a_bits", "b_bits"), [(1, 1), (1, 8), (8, 1), (8, 8)])
@pytest.mark.parametrize("width", [1, 3, 16, 20])
def test_products_of_any_width(synthesised, technology, a_bits, b_bits, width):
    declared = f"input [{a_bits - 1}:0] a, input [{b_bits - 1}:0] b, output [{width - 1}:0] y"
    table = exact_table(a_bits, b_bits, signed=False) % 2**width
    assert_every_recipe_gives(synthesised("assign y = a * b;", declared), table, technology)


def test_a_wide_signed_product(synthesised, technology):
    mapped = synthesised("assign y = a * b;", "input signed [3:0] a, b, output signed [12:0] y")
    assert_every_recipe_gives(mapped, exact_table(4, 4, signed=True), technology)
