"""Folded tables against multiplier, sign logic and zero points simulated one pair of codes at a time."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw import codes
from agn_hw.codes import SIGNED, UNSIGNED, Codes
from agn_hw.mapping import AFFINE, SIGN_MAGNITUDE, TWOS_COMPLEMENT, WEIGHTS, Mapping, MappingError, affine, default
from lut_gen.catalog import Multiplier
from lut_gen.energy.sign_logic import with_sign_logic
from lut_gen.library import liberty_reader
from tests.agn_hw import mapping_oracle as oracle
from tests.agn_hw.tables import exact_lut, multiplier, patterns, random_lut

KINDS = [(8, 8, False), (8, 8, True), (4, 3, False), (3, 4, False), (5, 5, True), (8, 3, True), (2, 2, False)]
WIDTHS = st.tuples(st.integers(2, 8), st.integers(2, 8))
PORTS = st.sampled_from("ab")
PRESCALES = st.sampled_from([1.0, 1.25, 2.0, 3.5])
BITS = st.integers(2, 8)
LARGEST = BITS.map(lambda bits: 2 ** (bits - 1) - 1)
RANGES = st.one_of(
    BITS.map(codes.unsigned),
    BITS.map(codes.signed),
    BITS.map(lambda bits: Codes(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)),
    BITS.flatmap(lambda bits: st.integers(0, 2**bits - 1).map(lambda zero: codes.affine(bits, zero))),
)
"""Unsigned, signed, symmetric and affine activation codes of 2 to 8 bits."""
MANY = settings(max_examples=60, deadline=None, derandomize=True)


def crooked(a: int, b: int) -> int:
    """An approximate product that is not commutative, nor symmetric in signs, nor zero for zero."""
    return (a - a % 3) * b + (a & 5) - 2 * (b & 3)


def crooked_lut(a_bits: int, b_bits: int, signed: bool) -> np.ndarray:
    """Its table by raw bit patterns."""
    a, b = np.meshgrid(patterns(a_bits, signed), patterns(b_bits, signed), indexing="ij")
    return (a - a % 3) * b + (a & 5) - 2 * (b & 3)


def every_pair(made: Mapping, lut: np.ndarray, expected) -> None:
    """table8 at the bytes of all pairs of codes, and its gain, against (pair function, gain)."""
    pair, gain = expected
    table = made.table8(lut)
    assert table.dtype == np.int32 and table.shape == (256, 256)
    assert made.gain == pytest.approx(float(gain), rel=1e-12)
    weights = range(-made.largest_weight, made.largest_weight + 1)
    for x in range(made.codes.low, made.codes.high + 1):
        assert table[x & 255, [w & 255 for w in weights]].tolist() == [pair(x, w) for w in weights], x


@MANY
@given(WIDTHS, PORTS, PRESCALES, RANGES, LARGEST)
def test_sign_magnitude(widths, port, prescale, found, largest):
    lut, bits = crooked_lut(*widths, False), widths if port == "a" else widths[::-1]
    made = default(multiplier(lut), port, prescale, found, largest)
    assert made.encoding == SIGN_MAGNITUDE
    every_pair(made, lut, oracle.sign_magnitude(crooked, bits, port, prescale, found, largest))


@MANY
@given(WIDTHS, PORTS, PRESCALES, RANGES, LARGEST)
def test_twos_complement(widths, port, prescale, found, largest):
    lut, bits = crooked_lut(*widths, True), widths if port == "a" else widths[::-1]
    made = default(multiplier(lut, signed=True), port, prescale, found, largest)
    assert made.encoding == TWOS_COMPLEMENT and not made.weight_negative.any() and not made.activation_negative.any()
    every_pair(made, lut, oracle.twos_complement(crooked, bits, port, prescale, found, largest))


@MANY
@given(WIDTHS, PORTS, RANGES, LARGEST)
def test_affine(widths, port, found, largest):
    lut, bits = crooked_lut(*widths, False), widths if port == "a" else widths[::-1]
    made = affine(multiplier(lut), port, found, largest)
    assert made.encoding == AFFINE
    every_pair(made, lut, oracle.affine(crooked, bits, port, found, largest))


@MANY
@given(RANGES, LARGEST, PORTS, st.sampled_from([default, affine]))
def test_an_exact_8_bit_multiplier_stays_exact_whatever_the_codes(found, largest, port, kind):
    made = kind(multiplier(exact_lut()), port, codes=found, largest_weight=largest)
    usual = np.abs(WEIGHTS) <= largest
    assert np.array_equal(made.table8(exact_lut())[:, usual], made.gain * np.outer(found.of_bytes(), WEIGHTS[usual]))
    assert made.gain == int(made.gain) >= 1


@MANY
@given(BITS.map(codes.signed), LARGEST, PORTS)
def test_an_exact_signed_multiplier_stays_exact_for_codes_that_fit(found, largest, port):
    lut = exact_lut(signed=True)
    made = default(multiplier(lut, signed=True), port, codes=found, largest_weight=largest)
    usual = np.abs(WEIGHTS) <= largest
    assert np.array_equal(made.table8(lut)[:, usual], made.gain * np.outer(found.of_bytes(), WEIGHTS[usual]))


def test_unsigned_codes_have_the_tables_they_always_had():
    """Of 0..255 and 8-bit weights: plans on disk name multipliers and expect these tables."""
    digest = hashlib.sha256()
    for a_bits, b_bits, signed in KINDS:
        lut = random_lut(a_bits * 10 + b_bits, shape=(2**a_bits, 2**b_bits))
        for port in "ab":
            for prescale in np.geomspace(1.0, 4.0, 7):
                made = default(multiplier(lut, signed=signed), port, float(prescale))
                digest.update(made.table8(lut).tobytes() + np.float64(made.gain).tobytes())
    assert digest.hexdigest() == "df540e56cb2a8b76ec1429acd1ad1d8b6d5545fd14d6131d182a38a48785b7cf"


def test_weights_are_the_bytes_in_order():
    assert WEIGHTS.tolist() == [*range(128), *range(-128, 0)]


def test_exact_unsigned_multiplier_gives_twice_the_product():
    made = default(multiplier(exact_lut()))
    assert made.gain == 2 and made.encoding == SIGN_MAGNITUDE
    table = made.table8(exact_lut())
    usual = WEIGHTS > -128
    assert np.array_equal(table[:, usual], 2 * np.outer(np.arange(256), WEIGHTS[usual]))
    assert np.array_equal(table[:, 128], -254 * np.arange(256))  # the byte that no layer uses: as -127


def test_operands_use_their_ports():
    """How far patterns reach on an unsigned 8-bit port, for some ranges of codes."""
    made = multiplier(exact_lut())
    reach = {found: int(default(made, codes=found).activation_codes.max()) for found in (
        UNSIGNED, Codes(-128, 127), SIGNED, codes.unsigned(4), codes.signed(4), codes.affine(8, 100))}
    assert list(reach.values()) == [255, 128, 254, 240, 224, 155]
    assert int(default(made, "a", 2.0, Codes(-128, 127)).activation_codes.max()) == 255
    weights = [int(default(made, largest_weight=largest).weight_codes.max()) for largest in (127, 63, 7, 1)]
    assert weights == [254, 252, 224, 128]


def test_exact_signed_multiplier_keeps_weights_and_halves_activations():
    lut = exact_lut(signed=True)
    made = default(multiplier(lut, signed=True))
    assert made.encoding == TWOS_COMPLEMENT and not made.weight_negative.any()
    assert made.gain == pytest.approx(127 / 255)
    table, weights = made.table8(lut), np.maximum(WEIGHTS, -127)
    assert np.array_equal(table, np.outer(np.floor(np.arange(256) * 127 / 255 + 0.5), weights))


@pytest.mark.parametrize("found", [UNSIGNED, SIGNED, Codes(-30, 225)], ids=["unsigned", "signed", "affine"])
@pytest.mark.parametrize("port", ["a", "b"])
@pytest.mark.parametrize("a_bits, b_bits, signed", KINDS)
def test_gain_is_the_tables_own(a_bits, b_bits, signed, port, found):
    """Of exact multipliers the folded table is gain * x * w up to the rounding of the operands."""
    lut = exact_lut(a_bits, b_bits, signed)
    made = default(multiplier(lut, signed=signed), port, codes=found)
    product = np.outer(found.of_bytes(), WEIGHTS)
    table = made.table8(lut)
    slope = float((table * product).sum() / (product * product).sum())
    assert slope == pytest.approx(made.gain, rel=0.08)


@pytest.mark.parametrize("signed", [False, True])
def test_negative_operands_mirror_positive_ones_of_exact_multipliers(signed):
    lut = exact_lut(signed=signed)
    table = default(multiplier(lut, signed=signed), codes=SIGNED).table8(lut)
    assert np.array_equal(table[:, 1:128], -table[:, :128:-1]) and np.array_equal(table[1:128], -table[:128:-1])


def test_affine_zero_points_are_the_usual_ones():
    made = affine(multiplier(exact_lut()))
    assert (made.activation_zero, made.weight_zero, made.gain) == (0, 128, 1)
    assert np.array_equal(made.weight_codes, WEIGHTS + 128)
    narrow = affine(multiplier(exact_lut()), codes=codes.affine(8, 100), largest_weight=7)
    assert (narrow.activation_zero, narrow.weight_zero, narrow.gain) == (100, 8 * 16, 16)


def test_ports_wider_than_the_codes():
    lut = exact_lut(10, 9)
    made = default(multiplier(lut))
    assert np.array_equal(made.table8(lut)[:, 1:128], 16 * np.outer(np.arange(256), np.arange(1, 128)))
    assert made.with_weights(np.full(256, 511), 1.0).weight_codes.max() == 511


def test_prescale_clips_the_upper_activations():
    made = default(multiplier(exact_lut()), prescale=2.0)
    assert made.gain == 4 and made.activation_codes[127] == 254
    assert (made.activation_codes[128:] == 255).all()


def test_other_weight_patterns_keep_the_rest():
    made = default(multiplier(exact_lut()))
    other = made.with_weights(np.full(256, 7), 1.5)
    assert other.remap == "gain" and made.remap == "none" and other.gain == 1.5
    assert other.weight_codes.dtype == np.uint8
    expected = np.outer(np.arange(256) * 7, np.where(WEIGHTS < 0, -1, 1))
    assert np.array_equal(other.table8(exact_lut()), expected)


def test_oriented_turns_the_table():
    lut = random_lut(0, shape=(16, 8))
    for port, first in (("a", 16), ("b", 8)):
        assert default(multiplier(lut), port).oriented(lut).shape[0] == first


def test_refusals():
    with pytest.raises(MappingError, match="a or b"):
        default(multiplier(exact_lut()), "c")
    with pytest.raises(MappingError, match="made_up is signed"):
        affine(multiplier(exact_lut(signed=True), signed=True))
    with pytest.raises(MappingError, match="1 bit"):
        default(multiplier(exact_lut(8, 1, signed=True), signed=True))


def test_energy_counts_the_sign_logic_of_unsigned_multipliers_only():
    assert multiplier(exact_lut(), energy_fj=70, sign_energy_fj=9).sign_magnitude_energy_fj == 79
    assert multiplier(exact_lut(signed=True), signed=True, sign_energy_fj=9).sign_magnitude_energy_fj == 100


def from_table(found: Multiplier) -> oracle.Product:
    """What a catalog's multiplier makes of two numbers."""
    a_bits, b_bits = int(found.a_bits), int(found.b_bits)
    return lambda a, b: int(found.lut[a % 2**a_bits, b % 2**b_bits])


@pytest.mark.parametrize("name", ["exact_8x8", "baugh_wooley_8x8", "drum_8_k4", "truncated_4x3_d2", "bam_h2_v5"])
def test_catalogs_multipliers(catalog, name):
    """Real rows have what the mapping reads; table order is activation first."""
    found = catalog[name]
    simulate = oracle.twos_complement if found.signed else oracle.sign_magnitude
    bits = int(found.b_bits), int(found.a_bits)
    for ranges in (UNSIGNED, SIGNED):
        expected = simulate(from_table(found), bits, "b", 1.0, ranges, 127)
        every_pair(default(found, "b", codes=ranges), found.lut, expected)


@pytest.mark.parametrize("port", ["a", "b"])
@pytest.mark.parametrize("name", ["truncated_8x8_d6", "drum_8_k4", "loa_6x6_l6"])
def test_the_circuit_with_its_sign_logic(catalog, name, port):
    """Gate by gate: the netlist with its row of exclusive-ors and the accumulator's carry-in makes table8."""
    found, technology = catalog[name], liberty_reader.load()
    weight_port = "b" if port == "a" else "a"
    circuit = with_sign_logic(found.netlist, technology, weight_port)
    products = circuit.table(technology.cells, signed=True)
    products = products if port == "a" else products.T
    bits = int(found.b_bits if port == "a" else found.a_bits)
    made = default(found, port, codes=SIGNED)
    table = made.table8(found.lut)
    for x in range(-128, 128):
        for w in range(-127, 128, 3):
            sign = (x < 0) != (w < 0)
            pattern = int(made.weight_codes[w & 255]) + (sign << bits)
            assert int(products[made.activation_codes[x & 255], pattern]) + sign == table[x & 255, w & 255]
