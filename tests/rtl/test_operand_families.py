"""The papers' figures of the multipliers that segment or round their operands, and what all such families share."""

import numpy as np
import pytest

from tests.rtl import models
from tests.rtl.models import rounding, segments
from tests.rtl.models.errors import EIGHT, EXACT, relative_error, significand_error, sixteen_bit_fractions

SIX_FOUR = {"A_BITS": 6, "B_BITS": 4}
POWERS = 1 << np.arange(8)

ZERO_IN_ZERO_OUT = [
    ("roba", {}),
    ("tosam", {"H": 1, "T": 3}),
    ("alm", {"LOWER": 3}),
    ("dynamic_range_alm", {"T": 4}),
    ("realm", {"SEGMENTS": 1, "FRACTION": 3}),
    ("realm", {"SEGMENTS": 4, "FRACTION": 3}),
    ("ilm", {"CORRECTIONS": 0}),
    ("static_segment", {"K": 4}),
    ("dynamic_segment", {"K": 3}),
]
NEVER_TOO_LARGE = [
    ("ilm", {"CORRECTIONS": 0}),
    ("ilm", {"CORRECTIONS": 2}),
    ("static_segment", {"K": 5}),
    ("static_segment", {"K": 4, "MIDDLE": 2}),
    ("dynamic_segment", {"K": 4}),
]


@pytest.mark.parametrize(("family", "parameters"), ZERO_IN_ZERO_OUT)
def test_a_product_with_0_is_0(family: str, parameters: dict[str, int]) -> None:
    table = models.table(family, {**SIX_FOUR, **parameters})
    assert not table[0].any()
    assert not table[:, 0].any()


@pytest.mark.parametrize(("family", "parameters"), NEVER_TOO_LARGE)
def test_leaving_bits_out_never_makes_a_product_too_large(family: str, parameters: dict[str, int]) -> None:
    table = models.table(family, {**EIGHT, **parameters})
    assert (table <= EXACT).all()
    assert (table < EXACT).any()


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("static_segment", {"K": 8}),
        ("static_segment", {"K": 8, "SIGNED": 1}),
        ("dynamic_segment", {"K": 8}),
        ("ilm", {"CORRECTIONS": 7}),
    ],
)
def test_without_approximation_the_product_is_exact(family: str, parameters: dict[str, int]) -> None:
    values = np.arange(256)
    if "SIGNED" in parameters:
        values = values.astype(np.int8).astype(np.int64)
    assert np.array_equal(models.table(family, {**EIGHT, **parameters}), np.outer(values, values))


@pytest.mark.parametrize("middle", [0, 2])
def test_static_parts_are_exact_below_2_to_the_k_and_where_nothing_is_cut(middle: int) -> None:
    table = models.table("static_segment", {**EIGHT, "K": 4, "MIDDLE": middle})
    assert np.array_equal(table[:16, :16], EXACT[:16, :16])
    assert np.array_equal(table[::16, ::16], EXACT[::16, ::16])


def test_a_middle_segment_keeps_more_of_middling_values() -> None:
    value = np.array([0b00101101])
    assert segments.static_operand(value, 8, 4, 0) == 0b00100000
    assert segments.static_operand(value, 8, 4, 2) == 0b00101100


def test_parts_from_the_leading_one_keep_most_and_drums_last_one_removes_the_bias() -> None:
    names = [("static_segment", 0), ("static_segment", 2), ("dynamic_segment", 0), ("drum", 0)]
    tables = [models.table(family, {**EIGHT, "K": 4, "MIDDLE": middle}) for family, middle in names]
    errors = [relative_error(table) for table in tables]
    sizes = [abs(error).mean() for error in errors]
    assert sizes == sorted(sizes, reverse=True)
    assert abs(errors[3].mean()) < 0.25 * abs(errors[2].mean())


def test_roba_makes_the_errors_of_the_paper() -> None:
    error = relative_error(models.table("roba", EIGHT))
    assert abs(error).mean() == pytest.approx(0.0286, abs=5e-5)  # 2.9 % in the paper
    assert abs(error).max() == pytest.approx(1 / 9)
    assert abs(error.mean()) < 1e-3


def test_roba_is_exact_for_powers_of_two() -> None:
    table = models.table("roba", EIGHT)
    assert np.array_equal(table[POWERS], EXACT[POWERS])


@pytest.mark.parametrize(("value", "power"), [(1, 1), (2, 2), (3, 2), (5, 4), (6, 8), (11, 8), (12, 16), (192, 256)])
def test_roba_rounds_the_middle_up_except_for_3(value: int, power: int) -> None:
    assert rounding.nearest_power(np.array([value])) == power


def test_complements_differ_from_negations_for_negative_operands_only() -> None:
    exact_sign = models.table("roba", {**EIGHT, "SIGNED": 1})
    complement = models.table("roba", {**EIGHT, "SIGNED": 1, "COMPLEMENT": 1})
    assert np.array_equal(complement[:128, :128], exact_sign[:128, :128])
    assert complement[256 - 7, 8] == ~(6 * 8)
    assert complement[256 - 1, 5] == -1  # the complement of -1 is 0


@pytest.mark.parametrize(
    ("h", "t", "mean"), [(0, 2, 0.109), (0, 3, 0.076), (1, 5, 0.040), (2, 6, 0.0205), (3, 7, 0.0104), (5, 9, 0.0027)]
)
def test_tosam_makes_errors_between_11_and_0_3_percent_at_16_bits(h: int, t: int, mean: float) -> None:
    x, y = sixteen_bit_fractions()  # the abstract names the first and the last mean
    error = significand_error(rounding.tosam_significand(x, y, h, t))
    assert abs(error).mean() == pytest.approx(mean, rel=0.03)
    assert abs(error.mean()) < abs(error).mean()


def test_tosam_multiplies_as_its_formula_says() -> None:
    table = models.table("tosam", {**EIGHT, "H": 1, "T": 3})
    a, b = 0b00101101, 0b11010011  # 2^5 * 1.01101, 2^7 * 1.1010011
    assert table[a, b] == 2**12 * (1 + 3 / 8 + 5 / 8 + 1 / 4 * 3 / 4)


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("roba", {}),
        ("tosam", {"H": 0, "T": 3}),
        ("alm", {"LOWER": 4}),
        ("dynamic_range_alm", {"T": 5}),
        ("realm", {"SEGMENTS": 1, "FRACTION": 4}),
        ("static_segment", {"K": 4}),
        ("ilm", {"CORRECTIONS": 1}),
    ],
)
def test_signed_operands_are_multiplied_as_magnitudes(family: str, parameters: dict[str, int]) -> None:
    unsigned = models.table(family, {**EIGHT, **parameters})
    signed = models.table(family, {**EIGHT, **parameters, "SIGNED": 1})
    minus_7, minus_128 = 256 - 7, 128
    assert np.array_equal(signed[:128, :128], unsigned[:128, :128])
    assert np.array_equal(signed[minus_7, :128], -unsigned[7, :128])
    assert signed[minus_128, minus_7] == unsigned[128, 7]
