"""Liberty's text: groups and attributes, against another parser, and nothing but LibertyError for what is none."""

import pytest
from liberty.parser import parse_liberty
from liberty.types import EscapedString

from lut_gen.errors import LibertyError
from lut_gen.library.liberty import BUILT_IN
from lut_gen.library.liberty_text import Group, parse
from tests.lut_gen.styles import STYLES


def plain(value) -> str:
    return " ".join(str(value).strip('"').replace("\\\n", " ").split())


def assert_same(own: Group, other) -> None:
    """The same heads and the same lists of strings, all the way down."""
    assert (own.kind, own.args) == (other.group_name, [plain(arg) for arg in other.args])
    assert {*own.items} == {attribute.name for attribute in other.attributes} | ({"define"} if other.defines else set())
    for name, occurrences in own.items.items():
        theirs = [value for value in other.get_attributes(name) if isinstance(value, list)]
        strings = [[plain(v) for v in value] for value in theirs if all(isinstance(v, EscapedString) for v in value)]
        assert not strings or [[" ".join(v.split()) for v in values] for values in occurrences] == strings
    for mine, theirs in zip(own.groups, other.groups, strict=True):
        assert_same(mine, theirs)


def test_the_built_in_library_reads_as_another_parser_reads_it():
    text = BUILT_IN.read_text()
    assert_same(parse(text), parse_liberty(text))


@pytest.mark.parametrize("style", STYLES)
def test_styles_read_as_another_parser_reads_them(style):
    text = STYLES[style]()
    assert_same(parse(text), parse_liberty(text))


def test_attributes_of_all_forms():
    group = parse(
        """library ("l") { a : 1.5; b : "two words"; c (1, "x y", z); c (2); d : VDD * 0.5 + 0.1 ;
        e : A[3:0] ; f (B[1:0]) { } ; g : 1ns; h : - 2 ; i (); j : 3
        k : "a;}b" ; include_file (/etc/passwd); l : ; m : x }"""
    )
    assert group.args == ["l"]
    assert group.text("a") == "1.5" and group.text("b") == "two words"
    assert group.all("c") == [["1", "x y", "z"], ["2"]] and group.values("c") == ["2"]
    assert group.text("d") == "VDD * 0.5 + 0.1"
    assert group.of("f")[0].args == ["B[1:0]"]
    assert group.text("g") == "1ns" and group.text("h") == "- 2" and group.values("i") == []
    assert group.text("j") == "3" and group.text("k") == "a;}b" and group.text("m") == "x"
    assert group.values("include_file") == ["/etc/passwd"]
    assert group.text("l", "none") == "none" == group.text("nothing", "none")


def test_the_last_of_two_attributes_counts():
    assert parse("library (l) { a : 1; a : 2; }").text("a") == "2"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_comments_and_continued_lines(newline):
    text = """\ufeff/* a ** comment */ # another
library (l) { // to the end
  values ("1, 2, \\
           3", \\
          "4"); /**/ x /* here */ : /* there */ 5 ; function : "A /* no */ // comment";
  y : \\
    6;
}
"""
    group = parse(text.replace("\n", newline))
    assert [value.split() for value in group.values("values")] == [["1,", "2,", "3"], ["4"]]
    assert (group.text("x"), group.text("y")) == ("5", "6")
    assert group.text("function") == "A /* no */ // comment"


def test_names_in_the_head_of_a_group():
    assert [parse(f"pin ({head}) {{ }}").names() for head in ("A", '"A B"', "A, B", "A B", "")] == [
        ["A"], ["A", "B"], ["A", "B"], ["A", "B"], []]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("", "0 groups"),
        ("a : 1;", "0 groups"),
        ("a () {} b () {}", "2 groups"),
        ("a () { b", "'\\(' or ':' was due after 'b'"),
        ("a () {\n\n b (", "a value or '\\)' was due, near line 3"),
        ("a () { b () {", "within 'b'"),
        ("a () { } }", "a '}' closes nothing"),
        ('a () { b : "c', "not closed, near line 1"),
        ("a () { /* b", "not closed"),
        ("a () { { } }", "a name was due"),
        ("a (:b) { }", "stands alone"),
        ("(" * 100_000, "a name was due"),
        ("a () {" * 100_000, "within 'a'"),
        ("library (l) { x : - }" + "\n" * 9 + "y (" * 9, "a value"),
    ],
)
def test_what_is_no_liberty_text(text, came):
    with pytest.raises(LibertyError, match=came):
        parse(text)


def test_deep_groups_are_read():
    group = parse("a () {" * 50_000 + "}" * 50_000)
    for _ in range(49_999):
        (group,) = group.groups
    assert group.groups == []
