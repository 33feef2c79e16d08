"""Which port is what, by names and declaration order; which modules are no multipliers."""

import pytest

from lut_gen.errors import DesignError
from lut_gen.sources.roles import find_roles, find_signed, why_not
from lut_gen.sources.verilog import Module, Port


def module(*names, name="m", width=4, signed=False):
    """A module of inputs and, last, an output."""
    ports = [Port(port, "input", width, signed) for port in names[:-1]] + [Port(names[-1], "output", 2 * width, signed)]
    return Module(name, (), tuple(ports), ())


@pytest.mark.parametrize(
    ("inputs", "activation"),
    [
        ("a b", "a"), ("b a", "a"), ("A B", "A"), ("B A", "A"), ("x w", "x"), ("w x", "x"), ("x y", "x"), ("y x", "x"),
        ("in1 in2", "in1"), ("in2 in1", "in1"), ("in_10 in_9", "in_9"), ("op0 op1", "op0"), ("opb opa", "opa"),
        ("multiplicand multiplier", "multiplicand"), ("multiplier multiplicand", "multiplicand"),
        ("b_in a_in", "a_in"), ("i_b i_a", "i_a"), ("data_b data_a", "data_a"), ("weight act", "act"),
        ("coeff data", "data"), ("kernel pixel", "pixel"), ("w_in data_in", "data_in"), ("x2 x1", "x1"),
        ("foo bar", "foo"), ("bar foo", "bar"), ("in_a in_b", "in_a"), ("Y X", "X"), ("in in2", "in"),
        ("a1 a1_", "a1"), ("second first", "second"), ("99999999999999999999 1", "99999999999999999999"),
    ],
)
def test_the_activation(inputs, activation):
    first, second = inputs.split()
    ports = find_roles(module(first, second, "out"), {})
    other = second if activation == first else first
    assert ports == {"activation": activation, "weight": other, "product": "out"}


def test_given_roles_stay():
    assert find_roles(module("a", "b", "p"), {"activation": "b"}) == {"activation": "b", "weight": "a", "product": "p"}
    assert find_roles(module("a", "b", "p"), {"weight": "a", "product": "p"})["activation"] == "b"


@pytest.mark.parametrize("names", ["a y", "a b c y"])
def test_candidates_are_named(names):
    with pytest.raises(DesignError) as caught:
        find_roles(module(*names.split()), {})
    assert all(f"put {name}" in caught.value.came for name in names.split())


@pytest.mark.parametrize(
    ("name", "signed"),
    [("mul8s_1KV8", True), ("mul8u_1JFF", None), ("mul8x4s_2", True), ("mul4s", True), ("booth_signed", True),
     ("signed_mul", True), ("unsigned_mul", None), ("mul_unsigned", None), ("MultSigned", True), ("muls", None),
     ("designed", None)],
)
def test_signedness_by_name(name, signed):
    ports = {"activation": "a", "weight": "b", "product": "y"}
    assert find_signed(module("a", "b", "y", name=name), ports) is signed
    assert find_signed(module("a", "b", "y", name=name, signed=True), ports) is None


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (module("a", "b", "y"), None),
        (module("a", "b", "y", name="mul_with_adder"), None),
        (module("a", "b", "y", name="ripple_adder"), "is an adder"),
        (module("a", "b", "c", "y"), "has 3 inputs and 1 outputs"),
        (Module("tb", (), (), ()), "has no ports"),
        (Module("m", (), (Port("a", "undeclared", None),), ()), "without directions"),
        (Module("m", (), (Port("a", "input"), Port("b", "input"), Port("y", "output")), ()), "one-bit"),
    ],
)
def test_what_is_no_multiplier(one, reason):
    found = why_not(one)
    assert found is None if reason is None else found is not None and reason in found
