"""Folders of a user's Verilog: every multiplier with exactly its files, and a word about everything else."""

import os

import pytest

from lut_gen.design import gather
from lut_gen.errors import DesignError
from lut_gen.sources.source import LARGEST_SOURCE

MUL = "module {0} (input [3:0] a, b, output [7:0] y); {1} endmodule\n"
HALF = "module half (input a, b, output s, c); assign {c, s} = a + b; endmodule\n"


@pytest.fixture
def folder(tmp_path):
    """Writes files and gathers the folder: designs by name, and what was left out."""

    def read(**texts):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        left_out: list[str] = []
        return {design.name: design for design in gather([tmp_path], left_out)}, left_out

    return read


def files(design):
    return [path.name for path in design.files]


def test_each_top_takes_exactly_its_files(folder):
    designs, left_out = folder(
        one__v=MUL.format("one", "half h (.a(a[0]));"), two__v=MUL.format("two", "part p ();"),
        part__v=MUL.format("part", "half h ();"), half__v=HALF, unused__v=HALF.replace("half", "other"),
    )
    assert {name: files(design) for name, design in designs.items()} == {
        "one": ["one.v", "half.v"], "two": ["two.v", "part.v", "half.v"],
    }
    assert left_out == ["unused.v: 'other' has 2 inputs and 2 outputs, where two inputs and one output are wanted"]


def test_testbenches_and_machines_around_a_multiplier(folder):
    clocked = "module mac (input clk, input [3:0] a, b, output [7:0] y); mul m (); endmodule\n"
    bench = 'module tb; reg [3:0] a; initial begin $readmemh("x", a); $dumpfile("y"); end mul m (); endmodule\n'
    designs, left_out = folder(mul__v=MUL.format("mul", "assign y = a * b;"), mac__v=clocked, tb__v=bench)
    assert list(designs) == ["mul"] and files(designs["mul"]) == ["mul.v"]
    assert "mac.v: 'mac' has 3 inputs and 1 outputs, where two inputs and one output are wanted" in left_out
    assert any(line.startswith("tb.v: wanted no system tasks") for line in left_out)


def test_a_bad_file_does_not_stop_the_others(folder):
    designs, left_out = folder(
        good__v=MUL.format("good", ""), broken__v="module x (input", binary__v=b"\xff\xfe\x00",
        huge__v=b" " * (LARGEST_SOURCE + 1), hardware__vhd="entity e is end;", modern__sv="module m (input logic a);",
        logic__v="module q (input logic a); endmodule",
    )
    assert list(designs) == ["good"]
    named = {line.split(":")[0] for line in left_out}
    assert named == {"broken.v", "binary.v", "huge.v", "hardware.vhd", "modern.sv", "logic.v"}
    assert all("mend" in line or "convert" in line or "translate" in line for line in left_out)


def test_a_name_means_the_same_file_first(folder):
    cell = "module cell (input a, b, output y); assign y = a {} b; endmodule\n"
    designs, left_out = folder(
        p__v=MUL.format("p", "cell c ();") + cell.format("&"), q__v=MUL.format("q", "cell c ();") + cell.format("|"),
        r__v=MUL.format("r", "cell c ();"),
    )
    assert {name: files(design) for name, design in designs.items()} == {"p": ["p.v"], "q": ["q.v"]}
    assert left_out == ["r.v: wanted one file with the module 'cell', but p.v, q.v define it; "
                        "to mend: list the design's files in a .toml list"]


def test_several_multipliers_in_a_file_and_names_twice(folder):
    designs, notes = folder(p__v=MUL.format("q", "") + MUL.format("r", ""), q__v=MUL.format("other", ""))
    assert {name: design.top for name, design in designs.items()} == {"q": "q", "r": "r", "q_other": "other"}
    assert notes == ["q.v: 'other' is called q_other, for the name q is taken"]


def test_names_that_clash_count_up(folder):
    mul = MUL.format("mul", "")
    designs, notes = folder(**{"\u4e58__v": mul, "\u52a0__v": mul, "\u9664__v": mul, "_mul__v": mul})
    assert {name: design.files[0].stem for name, design in designs.items()} == {
        "mul": "_mul", "design": "\u4e58", "design_2": "\u52a0", "design_3": "\u9664"}
    assert len(notes) == 2 and notes[0].endswith("'mul' is called design_2, for the name design is taken")


def test_a_guessed_signedness_is_told(folder):
    designs, notes = folder(
        p__v=MUL.format("mult_signed_mag", ""), q__v=MUL.format("mul", ""),
        r__v=MUL.format("mul4s", "").replace("input", "input signed"),
    )
    assert [design.signed for design in designs.values()] == [True, None, None]
    assert notes == ["p.v: 'mult_signed_mag' is taken as two's complement because of its name; "
                     "say signed = false in a list"]


def test_directives_beside_a_module_and_files_without_one(folder):
    cell = "`celldefine module HAX1(input A, B, output YS, YC); assign {YC, YS} = A + B; endmodule `endcelldefine"
    designs, notes = folder(m__v=MUL.format("m", "HAX1 h ();"), HAX1__v=cell, empty__v="// nothing\n",
                            part__v="wire t;", p__v='`include "part.v"\n' + MUL.format("p", ""))
    assert files(designs["m"]) == ["m.v", "HAX1.v"] and files(designs["p"]) == ["p.v", "part.v"]
    assert notes == ["empty.v: no module stands in it"]


def test_what_is_no_ordinary_file_of_the_folder_is_told(folder, tmp_path_factory, tmp_path):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.v").write_text(MUL.format("secret", ""))
    (outside / "secret.toml").write_text("[[design]]\n")
    (tmp_path / "out.v").symlink_to(outside / "secret.v")
    (tmp_path / "out.toml").symlink_to(outside / "secret.toml")
    (tmp_path / "nowhere.v").symlink_to(tmp_path / "nothing.v")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "inside.v").symlink_to(tmp_path / "m.v")
    os.mkfifo(tmp_path / "pipe.v")
    designs, notes = folder(m__v=MUL.format("m", ""), other__txt="no Verilog")
    assert list(designs) == ["inside", "m"]
    assert [note.split(";")[0] for note in notes] == [
        "out.toml: a link that leads out of the folder",
        "nowhere.v: it is a link that leads nowhere", "out.v: a link that leads out of the folder",
        "pipe.v: it is no ordinary file", "sub: a folder in the folder is not searched",
    ]


def test_only_lists_of_designs_are_taken_in_a_folder(folder):
    designs, notes = folder(m__v=MUL.format("m", ""), pyproject__toml='[project]\nname = "design"\n')
    assert list(designs) == ["m"] and notes == ["pyproject.toml: it holds no [[design]] table"]
    designs, notes = folder(list__toml='  [[ design ]]\nname = "mine"\nfiles = ["m.v"]\n', broken__toml="[[[")
    assert list(designs) == ["mine"]
    assert [note.split(":")[0] for note in notes] == ["broken.toml", "pyproject.toml"]
    with pytest.raises(DesignError, match=r"bad\.toml"):
        folder(bad__toml="[[design]]\nname = ")


def test_macros_and_headers_of_the_folder(folder):
    designs, left_out = folder(
        defs__v="`define W 4\n", sizes__vh="`define V 8\n",
        m__v='`include "sizes.vh"\nmodule m (input [`W-1:0] a, b, output [`V-1:0] y); assign y = a * b; endmodule\n',
    )
    assert files(designs["m"]) == ["defs.v", "m.v", "sizes.vh"] and left_out == []
    assert "[4-1:0] a" in next(text for path, text in designs["m"].texts().items() if path.name == "m.v")


def test_cells_are_added_where_the_source_lacks_them(folder):
    own = "module HAX1 (input A, B, output YS, YC); assign {YC, YS} = A + B; endmodule\n"
    use = "AND2X1 g (); HAX1 h (); FAX1 f (); UNKNOWN u ();"
    designs, _ = folder(m__v=MUL.format("m", use) + own)
    assert files(designs["m"]) == ["m.v", "AND2X1.v", "FAX1.v"]


def test_the_cell_of_two_meanings(folder):
    use = MUL.format("m", "MUX2X1 g ();")
    designs, _ = folder(m__v=use, n__v="/* This code is a part of EvoApproxLib library */" + use.replace("m (", "n ("))
    assert list(designs) == ["n"] and files(designs["n"]) == ["n.v", "MUX2X1.v"]
    with pytest.raises(DesignError, match="a definition of MUX2X1"):
        gather([designs["n"].files[0].parent / "m.v"])


def test_a_module_that_holds_itself_is_a_top(folder):
    designs, _ = folder(m__v=MUL.format("m", "generate if (0) m again (); endgenerate"))
    assert list(designs) == ["m"]


def test_nothing_to_find_names_everything(folder):
    with pytest.raises(DesignError, match=r"(?s)a multiplier in .*p\.v: 'tb' has no ports.*q\.v: .*has no endmodule"):
        folder(p__v="module tb; endmodule", q__v="module x (input a);")


def test_a_folder_of_other_languages(folder):
    with pytest.raises(DesignError, match=r"m\.vhdl is VHDL"):
        folder(m__vhdl="entity m is end;")
