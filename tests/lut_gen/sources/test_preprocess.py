"""The preprocessor: macros, conditions, includes and comments, and that nothing makes it hang."""

import pytest

from lut_gen.errors import DesignError
from lut_gen.sources import preprocess
from lut_gen.sources.preprocess import plain_texts


@pytest.fixture
def plain(tmp_path):
    """The plain text of the first of some files; the others follow by name."""

    def read(text, **others):
        paths = [tmp_path / "m.v"]
        paths[0].write_text(text)
        for name, content in others.items():
            paths.append(tmp_path / f"{name}.v")
            paths[-1].write_text(content)
        return next(iter(plain_texts(paths).values()))

    return read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a // b\nc", "a c"),
        ("a /* b\n c */ d", "a d"),
        ('"// no comment" x', '"// no comment" x'),
        ("\\a/b/c d", "\\a/b/c d"),
        ("`define W 8\nwire [`W-1:0] a;", "wire [8-1:0] a;"),
        ("`define W 8 // eight\n`W", "8"),
        ("`define LONG a + \\\n b\n`LONG", "a + b"),
        ("`define A `B\n`define B 3\n`A", "3"),
        ("`define P(x, y) (x * y)\n`P((1, 2), {3, 4})", "((1, 2) * {3, 4})"),
        ("`define P(x) x + xx + \"x\"\n`P (a)", 'a + xx + "x"'),
        ("`define W 8\n`undef W\n`ifdef W a `else b `endif", "b"),
        ("`define W 8\n`undef\tW // gone\n`ifdef W a `else b `endif", "b"),
        ("`define W 8\n`undef /* 1 */ W /* 2\n */\n`ifdef W a `else b `endif", "b"),
        ("`define N(a)(a)\n`N(3)", "(3)"),
        ("`define N (a)\n`N(3)", "(a)(3)"),
        ("`ifdef SYNTHESIS a `else b `endif", "a"),
        ("`ifndef YOSYS a `elsif SYNTHESIS b `else c `endif", "b"),
        ("`ifdef X `ifdef SYNTHESIS a `else b `endif `undefined `else c `endif", "c"),
        ("`timescale 1ns/1ps\na `celldefine\n`resetall\nb", "a b"),
        ("`default_nettype wire\na", "a"),
        ("`default_nettype none a", "`default_nettype none a"),
        ("`celldefine module m; endmodule `endcelldefine b", "module m; endmodule b"),
        ("`resetall`timescale 1 ns / 100ps a `unconnected_drive pull0 b `nounconnected_drive c", "a b c"),
        ('`begin_keywords "1364-2005" a `end_keywords b\n`line 3 "x.v" 0\nc\n`pragma protect d\ne', "a b c e"),
        ("`define G re\nx`celldefine`G y`endcelldefine z", "x re y z"),
        ("a // synopsys translate_off\nb\n// synopsys translate_on\nc", "a c"),
        ("/* synthesis translate_off */ a /* synthesis translate_on */ b", "b"),
        ("// synopsys translate_off\na /* synopsys translate_on\n */ b\nc", "b c"),
        ("/* synopsys translate_off */ a\nb // synopsys translate_on */ c\nd", "d"),
        ("case (x) // synopsys full_case parallel_case\n", "case (x) /* synopsys full_case parallel_case */"),
        ("`define G re\n`G`G x`G", "re re x re"),
        ("`define S /\n`S`S b", "/ / b"),
    ],
)
def test_texts(plain, text, words):
    assert plain(text).split() == words.split()


def test_lines_stay(plain):
    text = "`define W \\\n 8\n/* 1\n2 */ `ifdef NO\n`W\n`endif\nlast"
    assert plain(text).splitlines()[6].strip() == "last"


def test_macros_reach_the_next_file(tmp_path):
    (tmp_path / "first.v").write_text("`define W 8\n")
    (tmp_path / "second.v").write_text("`W")
    assert plain_texts([tmp_path / "first.v", tmp_path / "second.v"])[tmp_path / "second.v"] == "8"


def test_includes_find_the_designs_own_files_only(plain, tmp_path):
    assert plain('`include "some/where/other.v"\n`W', other="`define W 8\n").split() == ["8"]
    (tmp_path / "outside.v").write_text("secret")
    for name in ("outside.v", "../outside.v", str(tmp_path / "outside.v"), "/etc/passwd"):
        with pytest.raises(DesignError, match=r"`include of .*stands in m\.v:2"):
            plain(f'\n`include "{name}"')


@pytest.fixture
def two_headers(tmp_path):
    """The text of m.v beside a/c.vh and b/c.vh."""

    def read(text, *files):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "c.vh").write_text(f"{name}\n`include \"d.vh\"\n" if name == "b" else name)
        (tmp_path / "d.vh").write_text("d")
        (tmp_path / "m.v").write_text(text)
        paths = [tmp_path / file for file in (*files, "m.v", "a/c.vh", "b/c.vh", "d.vh")]
        return {path.relative_to(tmp_path).as_posix(): text.split() for path, text in plain_texts(paths).items()}

    return read


def test_an_include_means_the_file_that_shares_most_folders(two_headers):
    assert two_headers('`include "a/c.vh"\nm')["m.v"] == ["a", "m"]
    assert two_headers('`include "../b/c.vh"\nm') == {"m.v": ["b", "d", "m"], "a/c.vh": ["a"]}


def test_an_include_of_two_files_is_refused(two_headers):
    with pytest.raises(DesignError, match=r'(?s)of "c\.vh" stands in m\.v:2; it could be .*a/c\.vh, .*b/c\.vh'):
        two_headers('\n`include "c.vh"')
    with pytest.raises(DesignError, match="it could be"):
        two_headers('`include "x/c.vh"')
    assert two_headers('`ifdef NO\n`include "c.vh"\n`endif\nm')["m.v"] == ["m"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a /* b", r"a comment that does not end stands in m\.v:1"),
        ('\na "b\n"', r"a string that does not end on its line stands in m\.v:2"),
        ("`define A``B\n`A", "a lone backquote"),
        ('"`include"', "without backquotes"),
        ("\\a`include\"/etc/passwd\" ;", "without backquotes"),
        ("\\a\"b ", "without backquotes"),
        ("\\a//b ", "without backquotes"),
        ("`W", "`W without a `define"),
        ("`define P(x) x\n`P", "in parentheses"),
        ("`define P(x) x\n`P(1, 2)", "1 arguments of `P.*with 2"),
        ("`define P(x) x\n`P((1)", "in parentheses"),
        ("`define 3", "a macro's name"),
        ("`define include x", "a macro's name"),
        ("`undef", "one macro's name after `undef"),
        ("`define W\n`undef W V", "`undef of 'W V'"),
        ("`define W\n`undef W;", "`undef of 'W;'"),
        ("`define P(x, k=2) x*k\n`P(1)", r"plain names as parameters of `P.*`define P\(x, k=2\) stands in m\.v:1"),
        ("`define P(x, k=(2)) x*k\n`P(1)", "plain names as parameters"),
        ("`define P(x,) x", "plain names as parameters"),
        ("`timescale 1ns", "the arguments of `timescale"),
        ("`unconnected_drive up", "the arguments of `unconnected_drive"),
        ("`default_nettype", "the arguments of `default_nettype"),
        ("`ifdef", "a macro's name"),
        ("`else", "an `ifdef before it"),
        ("`ifdef A", "an `endif for every `ifdef"),
        ("`define A `A\n`A", "macros and includes that end"),
        ("// synopsys translate_off\n", "a translate_on comment"),
        ("// synopsys translate_off\n/* synopsys translate_on", "a translate_on comment"),
        ("`include", "an `include of nothing"),
        ("`include `W", "includes of the design's own files"),
    ],
)
def test_mistakes(plain, text, words):
    with pytest.raises(DesignError, match=f"(?s){words}"):
        plain(text)


def test_an_include_of_itself(plain):
    with pytest.raises(DesignError, match=r"n\.v go deeper than 30"):
        plain('`include "n.v"', n='`include "n.v"')


def test_includes_that_do_not_count(tmp_path):
    texts = {"m": '`ifdef NO\n`include "n.v"\n`endif\n// `include "o.v"\nm',
             "n": '`ifdef NO\n`include "m.v"\n`endif\nn',
             "o": 'o /* `include "m.v" */'}
    for name, text in texts.items():
        (tmp_path / f"{name}.v").write_text(text)
    found = plain_texts([tmp_path / f"{name}.v" for name in texts])
    assert {path.stem: text.split() for path, text in found.items()} == {"m": ["m"], "n": ["n"], "o": ["o"]}


def test_an_included_file_is_no_text_of_its_own(tmp_path):
    guarded = "`ifndef H\n`define H\nhalf\n`endif\n"
    (tmp_path / "h.vh").write_text(guarded)
    (tmp_path / "m.v").write_text('`include "h.vh"\nm')
    found = plain_texts([tmp_path / "h.vh", tmp_path / "m.v"])
    assert {path.name: text.split() for path, text in found.items()} == {"m.v": ["half", "m"]}


@pytest.mark.parametrize("first", ["x", ""])
def test_billions_of_laughs_end(plain, first):
    """Thirty macros, each twice the one before: text that explodes, and expansions of nothing."""
    lines = [f"`define A0 {first}"] + [f"`define A{i} `A{i - 1} `A{i - 1}" for i in range(1, 29)]
    with pytest.raises(DesignError, match="macros that make at most"):
        plain("\n".join([*lines, "`A28"]))


@pytest.mark.parametrize("piece", ["/*", '"', "`define A /*", "(", "`ifdef A\n", "\\", "//  synopsys  ", "`define A(x",
                                   '\\"'])
def test_long_texts_are_read_in_time(plain, monkeypatch, piece):
    """A regular expression that went back and forth would take hours here."""
    with pytest.raises(DesignError):
        plain(piece * (900_000 // len(piece)) + "\n`undefined")


def test_a_text_that_is_made_too_long_by_includes(plain, monkeypatch):
    monkeypatch.setattr(preprocess, "LARGEST_TEXT", 1000)
    with pytest.raises(DesignError, match="at most 1000 characters"):
        plain('`include "n.v"\n' * 100, n="wire a;\n" * 100)
