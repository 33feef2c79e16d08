"""The wrapper's text, and which designs share a simulation."""

from dataclasses import replace
from pathlib import Path

import pytest

from lut_gen.design import Design
from lut_gen.errors import DesignError
from sim import wrapper

CELL = "module cell_{0} (input a, b, output y);\n  assign y = a {1} b;\nendmodule\n"


def design(folder: Path, name: str, *texts: str) -> Design:
    files = []
    for i, text in enumerate(texts):
        files.append(folder / f"{name}_{i}.v")
        files[-1].write_text(text)
    return Design(name, "test", tuple(files), "top")


def groups(*designs: Design) -> list[list[str]]:
    return [[member.name for member in group] for group in wrapper.share(list(designs))]


def test_designs_without_common_names_share(tmp_path: Path) -> None:
    one, two = (design(tmp_path, name, CELL.format(name, "&")) for name in ("one", "two"))
    assert groups(one, two) == [["one", "two"]]


def test_one_name_with_two_texts_does_not_share(tmp_path: Path) -> None:
    one = design(tmp_path, "one", CELL.format("x", "&"))
    two = design(tmp_path, "two", CELL.format("x", "|"))
    three = design(tmp_path, "three", CELL.format("y", "&"), CELL.format("x", "|"))
    assert groups(one, two, three) == [["one"], ["two", "three"]]


def test_layout_and_comments_do_not_matter(tmp_path: Path) -> None:
    text = CELL.format("x", "&")
    other = "/* module x (of\n another kind) endmodule */\n" + text.replace("\n", " // module x is new\n  ")
    assert groups(design(tmp_path, "one", text), design(tmp_path, "two", other)) == [["one", "two"]]


def test_every_kind_of_definition_counts(tmp_path: Path) -> None:
    texts = ["macromodule m(a);{} endmodule", "module \\m+ (a);{}endmodule", "primitive m(a);{} endprimitive"]
    for i, text in enumerate(texts):
        one = design(tmp_path, f"one{i}", text.format(" "))
        two = design(tmp_path, f"two{i}", text.format(" wire b; "))
        assert groups(one, two) == [[one.name], [two.name]], text


def test_macros_of_one_design_do_not_reach_another(tmp_path: Path) -> None:
    """What counts is the text after the preprocessor, which is also what the simulator gets."""
    macro = "`define GATE {1}\nmodule m_{0} (input a, b, output y);\n  assign y = a `GATE b;\nendmodule\n"
    one, two = design(tmp_path, "one", macro.format("x", "&")), design(tmp_path, "two", macro.format("y", "|"))
    assert groups(one, two, design(tmp_path, "three", macro.format("x", "|"))) == [["one", "two"], ["three"]]
    texts = [text.decode() for text in wrapper.sources([one, two]).values()]
    assert ["a & b" in text and "a | b" not in text for text in texts] == [True, False]
    assert not any("GATE" in text for text in texts)


@pytest.mark.parametrize(
    "unsafe",
    [
        '  initial $readmemh("/etc/passwd", y);',
        '  integer f;\n  initial f = $fopen("here", "w");',
        '  initial $dumpfile("here");',
        '  import "DPI-C" function int system(input string s);',
        '`include "/etc/passwd"',
        '`define HIDE fopen\n  integer f;\n  initial f = $`HIDE ("here");',
        '  initial \\$readmemh ("/etc/passwd", y);',
    ],
)
def test_unsafe_sources_reach_no_simulator(tmp_path: Path, unsafe: str) -> None:
    unsound = design(tmp_path, "unsound", f"module top (input a, b, output y);\n{unsafe}\nendmodule\n")
    for use in (wrapper.share, wrapper.sources, wrapper.original_names):
        with pytest.raises(DesignError):
            use([unsound])


def test_sources_get_fixed_names_once_each(tmp_path: Path) -> None:
    cell = CELL.format("x", "&")
    designs = [design(tmp_path, "one", "module one; endmodule", cell), design(tmp_path, "two", cell)]
    expected = {"source_0.v": "module one; endmodule\n`resetall\n", "source_1.v": f"{cell}\n`resetall\n"}
    assert {name: text.decode() for name, text in wrapper.sources(designs).items()} == expected
    assert wrapper.original_names(designs) == {"source_0.v": "one_0.v", "source_1.v": "one_1.v"}


def test_the_wrapper_connects_low_bits_and_extends_products() -> None:
    ports = {"activation": "x", "weight": "w", "product": "p"}
    signed = Design("1; drop", "test", (), "mine", {"K": 3, "N": -1}, ports)
    plain = Design("two", "test", (), "other")
    text = wrapper.text([wrapper.Instance(signed, 4, 2, 6, True), wrapper.Instance(plain, 3, 5, 40, False)])
    assert "input  [8:0] operands" in text and "output [63:0] products" in text
    assert "mine #(.K(3), .N(-1)) design_0 (" in text
    assert ".x(operands[8:5])" in text and ".w(operands[1:0]), .p(y0)" in text
    assert "products[0 +: 32] = {{26{y0[5]}}, y0};" in text
    assert ".a(operands[7:5])" in text and "products[32 +: 32] = y1[31:0];" in text
    assert "drop" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"top": "m; initial $finish"},
        {"parameters": {"K(1), .L": 2}},
        {"ports": {"activation": "a", "weight": "b)", "product": "y"}},
        {"top": "m\n"},
    ],
)
def test_names_that_are_no_names_are_refused(change: dict) -> None:
    unsound = replace(Design("unsound", "test", (), "top"), **change)
    with pytest.raises(DesignError, match="plain Verilog names in the design 'unsound'"):
        wrapper.text([wrapper.Instance(unsound, 2, 2, 4, False)])
