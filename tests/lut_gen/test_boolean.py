"""Liberty's Boolean functions: precedence, an independent parser as oracle, and nothing but LibertyError."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liberty.boolean_functions import parse_boolean_function

from lut_gen.boolean import Function
from lut_gen.errors import LibertyError


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
        ("1", (), (1,)),
        ("0", (), (0,)),
    ],
)
def test_known_functions(text, pins, expected):
    assert Function(text).truth_table(pins) == expected


names = st.sampled_from(["A", "B", "C1", "D"])
expressions = st.recursive(
    names,
    lambda inner: st.one_of(
        inner.map(lambda x: f"!({x})"),
        st.tuples(inner, st.sampled_from(["&", "|", "^", "*", "+"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=10,
)


@given(expressions)
def test_agrees_with_another_parser(text):
    function = Function(text)
    other = parse_boolean_function(text.replace("*", "&").replace("+", "|"))
    for bits in itertools.product([0, 1], repeat=len(function.pins)):
        values = {pin: np.array([-bit], dtype=np.int64).view(np.uint64) for pin, bit in zip(function.pins, bits, strict=True)}
        expected = bool(other.subs({pin: bool(bit) for pin, bit in zip(function.pins, bits, strict=True)}))
        assert int(function.evaluate(values)[0]) == (2**64 - 1 if expected else 0)


@given(st.text(alphabet="AB01()!'&|^*+ $\n", max_size=40))
def test_any_text_parses_or_raises_liberty_error(text):
    try:
        function = Function(text)
        function.truth_table(function.pins)
    except LibertyError:
        pass


@pytest.mark.parametrize("text", ["", "A &", "(A", "A)", "A $ B", "(" * 5000 + "A", "!" * 5000 + "A"])
def test_malformed(text):
    with pytest.raises(LibertyError, match="wanted"):
        _ = Function(text).pins
