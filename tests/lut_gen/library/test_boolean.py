"""Liberty's Boolean functions: precedence, an independent parser as oracle, and nothing but LibertyError."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liberty.boolean_functions import parse_boolean_function

from lut_gen.errors import LibertyError
from lut_gen.library.boolean import Function


@pytest.mark.parametrize(
    ("text", "pins", "expected"),
    [
        ("A", ("A",), (0, 1)),
        ("!A", ("A",), (1, 0)),
        ("A'", ("A",), (1, 0)),
        ("A B", ("A", "B"), (0, 0, 0, 1)),
        ("A*B + C", ("A", "B", "C"), (0, 0, 0, 1, 1, 1, 1, 1)),
        ("A | B & C", ("A", "B", "C"), (0, 1, 0, 1, 0, 1, 1, 1)),
        ("A & B ^ C", ("A", "B", "C"), (0, 0, 0, 1, 0, 1, 0, 0)),  # xor binds tighter than and
        ("(!A1&!B1) | (!A2&!B1)", ("A1", "A2", "B1"), (1, 1, 1, 0, 0, 0, 0, 0)),
        ("(A B)'", ("A", "B"), (1, 1, 1, 0)),
        ("A B' + A' B", ("A", "B"), (0, 1, 1, 0)),
        ("!A !B", ("A", "B"), (1, 0, 0, 0)),
        ("(A+B)(A'+B')", ("A", "B"), (0, 1, 1, 0)),
        ("!(A)' * (B)", ("A", "B"), (0, 0, 0, 1)),
        ("A[0] & B[1]", ("A[0]", "B[1]"), (0, 0, 0, 1)),
        ("1", (), (1,)),
        ("0", (), (0,)),
    ],
)
def test_known_functions(text, pins, expected):
    assert Function(text).truth_table(pins) == expected


operators = st.sampled_from(["&", "|", "^", "*", "+"])
expressions = st.recursive(
    st.sampled_from(["A", "B", "C1", "D"]),
    lambda inner: st.one_of(
        inner.map(lambda x: f"!({x})"),
        st.tuples(inner, operators, inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=10,
)


@settings(derandomize=True, deadline=None)
@given(expressions)
def test_agrees_with_another_parser(text):
    function = Function(text)
    other = parse_boolean_function(text.replace("*", "&").replace("+", "|"))
    for bits in itertools.product([0, 1], repeat=len(function.pins)):
        row = dict(zip(function.pins, bits, strict=True))
        words = {pin: np.full(1, bit * (2**64 - 1), dtype=np.uint64) for pin, bit in row.items()}
        expected = bool(other.subs({pin: bool(bit) for pin, bit in row.items()}))
        assert int(function.evaluate(words)[0]) == (2**64 - 1 if expected else 0)


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet="AB01()!'&|^*+ $\n", max_size=40))
def test_any_text_parses_or_raises_liberty_error(text):
    try:
        function = Function(text)
        function.truth_table(function.pins)
    except LibertyError:
        pass


LONG = ["(" * 5000 + "A", "(" * 100 + "A", "!" * 5000 + "A", "A" + "'" * 5000, "A|" * 5000 + "A"]


@pytest.mark.parametrize("text", ["", "A &", "(A", "A)", "A $ B", *LONG])
def test_malformed(text):
    with pytest.raises(LibertyError, match="wanted"):
        _ = Function(text).pins


def test_long_and_deep_functions():
    assert Function("A" + "'" * 401).truth_table(("A",)) == (1, 0)
    assert Function("|".join(["A"] * 250)).truth_table(("A",)) == (0, 1)
    nested = "A"
    for _ in range(39):
        nested = f"(B | C & D ^ {nested})'"
    assert len(Function(nested).truth_table(("A", "B", "C", "D"))) == 16


def test_a_function_survives_pickling_after_use():
    function = Function("!(A & B)")
    function.truth_table(("A", "B"))
    assert pickle.loads(pickle.dumps(function)).truth_table(("A", "B")) == (1, 1, 1, 0)


def test_a_pin_named_like_python_code_is_only_a_name():
    assert Function("__import__ & exec").truth_table(("__import__", "exec")) == (0, 0, 0, 1)


@given(st.sampled_from(["(A & B) | !C", "A'B + C^A", "1", "0", "!0 * A", "(A ^ B) ^ C'", "!(1 ^ A) B"]))
def test_a_function_is_written_as_the_same_function_in_liberty(text):
    function = Function(text)
    written = function.liberty()
    assert not set(written) & set("'*+ ")
    assert Function(written).truth_table(("A", "B", "C")) == function.truth_table(("A", "B", "C"))


@given(st.sampled_from(["(A & B) | !C", "A'B + C^A", "1", "!0 * A", "(A ^ B) ^ C'"]))
def test_a_function_is_written_as_the_same_function_in_verilog(text):
    function = Function(text)
    written = function.verilog(lambda pin: f"x[{'ABC'.index(pin)}]")
    for row in range(8):
        x = [row >> i & 1 for i in range(3)]
        value = eval(written.replace("1'b", ""), {"x": x})
        assert value == function.truth_table(("A", "B", "C"))[row]
