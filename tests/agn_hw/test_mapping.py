"""Folded tables against multiplier and sign logic simulated one pair at a time."""

from fractions import Fraction

import numpy as np
import pytest

from agn_hw.mapping import SIGN_MAGNITUDE, TWOS_COMPLEMENT, WEIGHTS, Mapping, default
from tests.agn_hw.tables import exact_lut, multiplier, random_lut

KINDS = [(8, 8, False), (8, 8, True), (4, 3, False), (3, 4, False), (5, 5, True), (8, 3, True), (2, 2, False)]


def half_up(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def simulate(lut: np.ndarray, signed: bool, port: str, prescale: float) -> list[list[int]]:
    """What the circuit and its sign logic make of each activation code and each weight, pair by pair."""
    a_bits, b_bits = (side.bit_length() - 1 for side in lut.shape)
    x_bits, w_bits = (a_bits, b_bits) if port == "a" else (b_bits, a_bits)
    top_x, top_w = 2 ** (x_bits - signed) - 1, 2 ** (w_bits - signed) - 1
    if w_bits == 8 and not signed:
        top_w = 254  # twice the weight's magnitude
    activations = [min(half_up(x * Fraction(prescale) * Fraction(top_x, 255)), top_x) for x in range(256)]
    magnitudes = [min(half_up(abs(int(weight)) * Fraction(top_w, 127)), top_w) for weight in WEIGHTS]
    table = []
    for activation in activations:
        row = []
        for weight, magnitude in zip(WEIGHTS, magnitudes, strict=True):
            pattern = -magnitude % 2**w_bits if signed and weight < 0 else magnitude
            product = int(lut[activation, pattern] if port == "a" else lut[pattern, activation])
            row.append(-product if weight < 0 and not signed else product)
        table.append(row)
    return table


@pytest.mark.parametrize("port", ["a", "b"])
@pytest.mark.parametrize("prescale", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("a_bits, b_bits, signed", KINDS)
def test_every_pair(a_bits, b_bits, signed, prescale, port):
    lut = random_lut(a_bits * 10 + b_bits, shape=(2**a_bits, 2**b_bits))
    table = default(multiplier(lut, signed=signed), port, prescale).table8(lut)
    assert table.dtype == np.int32 and table.shape == (256, 256)
    assert np.array_equal(table, simulate(lut, signed, port, prescale))


def test_weights_are_the_bytes_in_order():
    assert WEIGHTS.tolist() == [*range(128), *range(-128, 0)]


def test_exact_unsigned_multiplier_gives_twice_the_product():
    mapping = default(multiplier(exact_lut()))
    assert mapping.gain == 2 and mapping.encoding == SIGN_MAGNITUDE
    table = mapping.table8(exact_lut())
    usual = WEIGHTS > -128
    assert np.array_equal(table[:, usual], 2 * np.outer(np.arange(256), WEIGHTS[usual]))
    assert np.array_equal(table[:, 128], -254 * np.arange(256))  # the byte that no layer uses: as -127


def test_exact_signed_multiplier_keeps_weights_and_halves_activations():
    lut = exact_lut(signed=True)
    mapping = default(multiplier(lut, signed=True))
    assert mapping.encoding == TWOS_COMPLEMENT and not mapping.weight_negative.any()
    assert mapping.gain == pytest.approx(127 / 255)
    table, weights = mapping.table8(lut), np.maximum(WEIGHTS, -127)
    assert np.array_equal(table, np.outer(np.floor(np.arange(256) * 127 / 255 + 0.5), weights))


@pytest.mark.parametrize("port", ["a", "b"])
@pytest.mark.parametrize("a_bits, b_bits, signed", KINDS)
def test_gain_is_the_tables_own(a_bits, b_bits, signed, port):
    """Of exact multipliers the folded table is gain * x * w up to the rounding of the operands."""
    lut = exact_lut(a_bits, b_bits, signed)
    mapping = default(multiplier(lut, signed=signed), port)
    product = np.outer(np.arange(256), WEIGHTS)
    table = mapping.table8(lut)
    slope = float((table * product).sum() / (product * product).sum())
    assert slope == pytest.approx(mapping.gain, rel=0.07)


@pytest.mark.parametrize("signed", [False, True])
def test_negative_weights_mirror_positive_ones_of_exact_multipliers(signed):
    lut = exact_lut(signed=signed)
    table = default(multiplier(lut, signed=signed)).table8(lut)
    assert np.array_equal(table[:, 1:128], -table[:, :128:-1])


def test_prescale_clips_the_upper_activations():
    mapping = default(multiplier(exact_lut()), prescale=2.0)
    assert mapping.gain == 4 and mapping.activation_codes[127] == 254
    assert (mapping.activation_codes[128:] == 255).all()


def test_other_weight_patterns_keep_the_rest():
    mapping = default(multiplier(exact_lut()))
    other = mapping.with_weights(np.full(256, 7), 1.5)
    assert other.remap == "gain" and mapping.remap == "none" and other.gain == 1.5
    assert other.weight_codes.dtype == np.uint8
    expected = np.outer(np.arange(256) * 7, np.where(WEIGHTS < 0, -1, 1))
    assert np.array_equal(other.table8(exact_lut()), expected)


def test_oriented_turns_the_table():
    lut = random_lut(0, shape=(16, 8))
    for port, first in (("a", 16), ("b", 8)):
        mapping: Mapping = default(multiplier(lut), port)
        assert mapping.oriented(lut).shape[0] == first


def test_energy_counts_the_sign_logic_of_unsigned_multipliers_only():
    assert multiplier(exact_lut(), energy_fj=70, sign_energy_fj=9).sign_magnitude_energy_fj == 79
    assert multiplier(exact_lut(signed=True), signed=True, sign_energy_fj=9).sign_magnitude_energy_fj == 100


@pytest.mark.parametrize("name", ["exact_8x8", "baugh_wooley_8x8", "drum_8_k4", "truncated_4x3_d2", "bam_h2_v5"])
def test_catalogs_multipliers(catalog, name):
    """Real rows have what the mapping reads; table order is activation first."""
    found = catalog[name]
    table = default(found, "b").table8(found.lut)
    assert np.array_equal(table, simulate(found.lut, bool(found.signed), "b", 1.0))
