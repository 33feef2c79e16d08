"""Lists of designs and bare Verilog: keys, templates and points, what is found where a list is silent, mistakes."""

import json
from pathlib import Path

import pytest

import rtl
from lut_gen.design import PORT_ROLES, Design, from_verilog, gather, read_list
from lut_gen.errors import DesignError

MODULE = "module {name} (input [3:0] a, input [3:0] b, output [7:0] y);\n  {body}\nendmodule\n"
EXACT = MODULE.format(name="m", body="assign y = a * b;")
ENTRY = {"name": "mine", "files": ["m.v"], "top": "m"}


def toml(*entries: dict) -> str:
    """A list of designs; JSON's values are TOML's too, but for tables."""

    def value(item):
        if isinstance(item, dict):
            return "{ " + ", ".join(f"{key} = {value(part)}" for key, part in item.items()) + " }"
        if isinstance(item, list):
            return "[" + ", ".join(map(value, item)) + "]"
        return json.dumps(item)

    return "".join("[[design]]\n" + "".join(f"{key} = {value(e[key])}\n" for key in e) for e in entries)


@pytest.fixture
def lists(tmp_path):
    """Writes a list into a folder beside other files and gathers it, or its folder."""
    here, outside = tmp_path / "here", tmp_path / "outside"
    for folder in (here / "sub", outside):
        folder.mkdir(parents=True)
    for path in (here / "m.v", here / "plain.txt", here / "sub" / "m.v", outside / "m.v", outside / "passwd"):
        path.write_text(EXACT)
    (here / "link.v").symlink_to(outside / "m.v")
    (here / "secret.v").symlink_to(outside / "passwd")
    (here / "circle.v").symlink_to(here / "circle.v")

    def read(file, folder=False):
        (here / "list.toml").write_text(toml({**ENTRY, "files": [file.format(outside=outside, rtl=rtl.ROOT)]}))
        return gather([here if folder else here / "list.toml"])[0].files[0]

    return read


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("file", ["m.v", "plain.txt", "sub/../m.v", "nothing.v", "{rtl}/multipliers/full_adder_cell.v"])
def test_files_of_a_lists_folder_and_the_toolkits_own(lists, file, folder):
    assert lists(file, folder).name == file.rpartition("/")[2]


@pytest.mark.parametrize("file", ["{outside}/m.v", "../outside/m.v"])
def test_verilog_elsewhere_takes_a_list_given_by_name(lists, file):
    assert lists(file).parent.name == "outside"
    with pytest.raises(DesignError, match=r"(?s)files in the folder of the list.*mine.*give the list by its own name"):
        lists(file, folder=True)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    "file",
    ["/etc/passwd", "{outside}/passwd", "../outside/passwd", "link.v", "secret.v", "../here/secret.v", "circle.v"],
)
def test_files_out_of_reach(lists, file, folder):
    with pytest.raises(DesignError, match=r"(?s)in .*list\.toml, design 'mine'.*to mend: (copy|correct)"):
        lists(file, folder)


@pytest.fixture
def listed(tmp_path):
    """Writes a list of the given entries beside m.v and reads it."""

    def read(*entries):
        (tmp_path / "m.v").write_text(EXACT)
        (tmp_path / "list.toml").write_text(toml(*entries))
        return read_list(tmp_path / "list.toml")

    return read


def test_the_shortest_entry(listed, tmp_path):
    (design,) = listed(ENTRY)
    assert (design.name, design.family, design.top, design.signed) == ("mine", "user", "m", None)
    assert design.files == (tmp_path / "m.v",)
    assert design.parameters == {} and design.ports == PORT_ROLES == {"activation": "a", "weight": "b", "product": "y"}


def test_all_keys(listed):
    ports = {"activation": "x", "weight": "w", "product": "p"}
    (design,) = listed({**ENTRY, "family": "f", "ports": ports, "signed": True, "parameters": {"WIDTH": 4}})
    assert design.family == "f" and design.signed is True and design.parameters == {"WIDTH": 4}
    assert design.ports == ports


def test_what_a_list_leaves_out_is_found(tmp_path):
    source = "module mul4s_two (input [3:0] w, x, output [7:0] p);\n  FAX1 u (.A(w[0]));\nendmodule\n"
    (tmp_path / "two.v").write_text(source + "module tb; mul4s_two u (); endmodule\n")
    entries = [{"name": "n", "files": ["two.v"]}, {"name": "m", "files": ["two.v"], "ports": {"activation": "w"}},
               {"name": "o", "files": ["two.v"], "signed": False, "top": "mul4s_two"}]
    (tmp_path / "list.toml").write_text(toml(*entries))
    found, given, unsigned = read_list(tmp_path / "list.toml")
    assert (found.top, found.signed, unsigned.signed) == ("mul4s_two", True, False)
    assert found.ports == unsigned.ports == {"activation": "x", "weight": "w", "product": "p"}
    assert given.ports == {"activation": "w", "weight": "x", "product": "p"}
    assert [path.name for path in found.files] == ["two.v", "FAX1.v"]


def test_a_list_that_leaves_too_much_out(listed, tmp_path):
    (tmp_path / "two.v").write_text(EXACT.replace("module m", "module p") + EXACT.replace("module m", "module q"))
    with pytest.raises(DesignError, match=r"(?s)one top module.*these could be: p, q.*top = ") as caught:
        listed({"name": "n", "files": ["two.v"]})
    assert "list.toml, design 'n'" in str(caught.value)
    (tmp_path / "three.v").write_text("module m (input [3:0] a, b, c, output [7:0] p); endmodule")
    with pytest.raises(DesignError, match=r"(?s)two inputs.*input a, input b, input c, output p.*wrap it"):
        listed({**ENTRY, "files": ["three.v"]})


def test_one_unreadable_source_does_not_spoil_a_list(listed, tmp_path):
    (tmp_path / "bad.v").write_text("module m (input")
    bad, good = listed({**ENTRY, "name": "bad", "files": ["bad.v"]}, ENTRY)
    assert bad.ports == good.ports == PORT_ROLES
    with pytest.raises(DesignError, match=r"bad\.v"):
        listed({"name": "bad", "files": ["bad.v"]})


def test_points_override_parameters_and_fill_the_name(listed):
    points = [{"K": 1}, {"K": 2, "N": 9}]
    first, second = listed({**ENTRY, "name": "m_{N}_k{K}", "parameters": {"N": 8}, "points": points})
    assert (first.name, first.parameters) == ("m_8_k1", {"N": 8, "K": 1})
    assert (second.name, second.parameters) == ("m_9_k2", {"N": 9, "K": 2})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": None}, "'name' in .*it is missing"),
        ({"files": None}, "'files' in .*mine.*it is missing"),
        ({"file": "m.v"}, "'file' stands there"),
        ({"name": "../x"}, "'../x' came"),
        ({"name": ".hidden"}, "'.hidden' came"),
        ({"name": "a/b"}, "'a/b' came"),
        ({"name": ""}, "'' came"),
        ({"name": "x" * 101}, "a name of letters"),
        ({"name": "m_{K}"}, "asks for 'K'"),
        ({"name": "m_{}"}, "asks for"),
        ({"name": "m_{"}, "asks for"),
        ({"name": "m_{W:>999999999}", "parameters": {"W": 1}}, "asks for a field of more than 99"),
        ({"name": "m_{W:>{N}}", "parameters": {"W": 1, "N": 10**9}}, "asks for a field of more than 99"),
        ({"name": "m_{W.real.x}", "parameters": {"W": 1}}, "asks for"),
        ({"name": "m_{W[0]}", "parameters": {"W": 1}}, "asks for"),
        ({"parameters": {"W": "8"}}, "W = '8' came"),
        ({"parameters": {"W": 1.5}}, "W = 1.5 came"),
        ({"parameters": {"W": True}}, "W = True came"),
        ({"parameters": {"W": -1}}, "W = -1 came"),
        ({"parameters": {"W": 2**31}}, "W = 2147483648 came"),
        ({"parameters": {"a-b": 1}}, "a-b = 1 came"),
        ({"parameters": 3}, "parameters = 3"),
        ({"points": {"K": 1}}, "points = "),
        ({"points": []}, "points = "),
        ({"points": [3]}, "points = "),
        ({"signed": "false"}, "'false' came"),
        ({"signed": 1}, "1 came"),
        ({"ports": "a"}, "'a' came"),
        ({"ports": {"clock": "clk"}}, "ports out of activation, weight, product"),
        ({"ports": {"weight": "a", "activation": "a"}}, "three different ports"),
        ({"ports": {"weight": "w"}}, "'w' came, its ports are: a, b, y"),
        ({"ports": {"weight": "y"}}, "two inputs .operands. and one output"),
        ({"ports": {"weight": "b; exit"}}, "'b; exit' came"),
        ({"ports": {"weight": 3}}, "3 came"),
        ({"top": "m -flatten"}, "'m -flatten' came"),
        ({"top": 3}, "3 came"),
        ({"files": []}, "files = "),
        ({"files": "m.v"}, "files = 'm.v'"),
        ({"files": [3]}, "files = "),
        ({"files": ["\0m.v"]}, "files = "),
    ],
)
def test_a_mistake_in_an_entry(listed, change, words):
    entry = {key: value for key, value in {**ENTRY, **change}.items() if value is not None}
    with pytest.raises(DesignError, match=f"(?s){words}.*to mend: .") as caught:
        listed(entry)
    assert "list.toml" in str(caught.value)


FORMS = ["", "x = 1", "design = 3", "design = [1, 2]", "[[design]\n", "[[designs]]\nname = 'm'\n", "\x00"]


@pytest.mark.parametrize("text", [*FORMS, toml(ENTRY) + "[other]\n"])
def test_a_list_of_another_form(tmp_path, text):
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(DesignError, match=r"list\.toml"):
        read_list(path)


def test_a_list_that_is_no_text(tmp_path):
    path = tmp_path / "list.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DesignError, match="a readable list"):
        gather([path])


@pytest.mark.parametrize("name", ["none.toml", "none.v", "none"])
def test_missing_files(tmp_path, name):
    with pytest.raises(DesignError, match=name):
        gather([tmp_path / name])


def test_a_missing_source_is_named_when_it_is_read(listed, tmp_path):
    (design,) = listed({**ENTRY, "files": ["m.v", "nothing.v"]})
    with pytest.raises(DesignError, match=r"nothing\.v"):
        design.source_sha256()


def test_vhdl_is_no_verilog(tmp_path):
    path = tmp_path / "m.vhd"
    path.write_text("entity m is end;")
    with pytest.raises(DesignError, match="is VHDL"):
        gather([path])


def test_an_empty_folder(tmp_path):
    with pytest.raises(DesignError, match=r"no \.toml list and no \.v file"):
        gather([tmp_path])


def test_a_folder_of_verilog_and_one_of_lists(tmp_path):
    for name in ("p", "q"):
        (tmp_path / f"{name}.v").write_text(EXACT)
    assert [design.name for design in gather([tmp_path])] == ["p", "q"]
    (tmp_path / "list.toml").write_text(toml({**ENTRY, "files": ["p.v"]}))
    assert [design.name for design in gather([tmp_path])] == ["mine"]


def test_two_designs_of_one_name(listed, tmp_path):
    listed(ENTRY, ENTRY)
    with pytest.raises(DesignError, match="'mine' stands twice"):
        gather([tmp_path / "list.toml"])
    with pytest.raises(DesignError, match="'m' stands twice"):
        gather([tmp_path / "m.v", tmp_path / "m.v"])


def test_bare_verilog_takes_the_module_that_nobody_instantiates(tmp_path):
    path = tmp_path / "my circuit (2).v"
    wrapper = MODULE.format(name="outer", body="m inner (.a(a), .b(b), .y(y));")
    path.write_text(EXACT + wrapper)
    (design,) = from_verilog(path)
    assert (design.name, design.top, design.family) == ("my_circuit__2_", "outer", "user")


def test_several_multipliers_of_a_file_are_named_after_their_modules(tmp_path):
    path = tmp_path / "both.v"
    path.write_text(EXACT + EXACT.replace("module m", "module \\n "))
    assert [(design.name, design.top) for design in gather([path])] == [("m", "m"), ("n", "n")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("// nothing here\n", "a multiplier in .*none was found"),
        ("module m (input a, output y; endmodule", "the parser stopped"),
        ("module m (input a, output y);", "the module in line 1 has no endmodule"),
        ("module \\m;exec (input [3:0] a, b, output [7:0] y); endmodule", "'m;exec' came"),
        ("module m (input [3:0] \\a+ , b, output [7:0] y); endmodule", "'a.' came"),
        ("module tb; reg a; endmodule", "'tb' has no ports .a testbench"),
        ("module m (input clk, input [3:0] a, b, output [7:0] y); endmodule", "'m' has 3 inputs and 1 outputs"),
        ("module m (input a, b, output y); endmodule", "'m' has one-bit ports only"),
        ("module add8 (input [7:0] a, b, output [8:0] y); endmodule", "'add8' is an adder by its name"),
    ],
)
def test_bare_verilog_without_a_multiplier(tmp_path, text, words):
    path = tmp_path / "odd.v"
    path.write_text(text)
    with pytest.raises(DesignError, match=f"(?s){words}.*to mend: ."):
        from_verilog(path)


def test_hash_depends_on_every_source_and_its_place(tmp_path):
    for name, text in (("p.v", "ab"), ("q.v", "c"), ("r.v", "a"), ("s.v", "bc")):
        (tmp_path / name).write_text(text)

    def sha(*names):
        (tmp_path / "list.toml").write_text(toml({**ENTRY, "files": list(names)}))
        return read_list(tmp_path / "list.toml")[0].source_sha256()

    assert len({sha("p.v", "q.v"), sha("q.v", "p.v"), sha("r.v", "s.v"), sha("p.v")}) == 4


def test_description_tells_all_but_the_sources(listed):
    entries = [ENTRY, {**ENTRY, "name": "other"}, {**ENTRY, "family": "f"}, {**ENTRY, "parameters": {"K": 1}},
               {**ENTRY, "signed": False}, {**ENTRY, "ports": {"activation": "b", "weight": "a"}}]
    assert len({design.description() for design in listed(*entries)}) == len(entries)


def test_the_built_in_list():
    designs = gather([rtl.MULTIPLIERS])
    assert len(designs) > 100
    assert all(path.is_file() for design in designs for path in design.files)
    used = {path for design in designs for path in design.files}
    unused = set((Path(rtl.ROOT) / "multipliers").glob("*.v")) - used
    assert {path.name for path in unused} >= {"sign_magnitude.v"}


def test_a_folder_stands_for_the_list_that_is_called_like_it():
    names = [design.name for design in gather([rtl.ROOT / "multipliers"])]
    assert names == [design.name for design in gather([rtl.MULTIPLIERS])] and len(names) >= 60


def test_two_headers_that_swap_their_contents_are_another_source(tmp_path):
    def hashed(first: str, second: str, order: tuple[str, str]) -> str:
        for name, text in {"m.v": '`include "a/k.vh"\n', "a/k.vh": first, "b/k.vh": second}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return Design("m", "user", tuple(tmp_path / name for name in ("m.v", *order)), "m").source_sha256()

    assert hashed("`define K 1", "`define K 2", ("a/k.vh", "b/k.vh")) != hashed(
        "`define K 2", "`define K 1", ("b/k.vh", "a/k.vh")
    )
