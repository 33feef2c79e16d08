"""The models against what the papers say about each multiplier."""

from itertools import pairwise

import numpy as np
import pytest

from tests.rtl import models
from tests.rtl.models import segments

EIGHT = {"A_BITS": 8, "B_BITS": 8}
EXACT = models.table("exact_array", EIGHT)
NONZERO = EXACT > 0

SWITCHED_OFF = [
    ("baugh_wooley", {"DROP": 0}),
    ("truncated", {"DROP": 0}),
    ("broken_array", {"HBL": 0, "VBL": 0}),
    ("kulkarni", {"EXACT_COLUMN": 0}),
    ("drum", {"K": 8}),
    ("drum_signed", {"K": 8}),
]


def relative_error(table: np.ndarray) -> np.ndarray:
    """Signed relative errors of an unsigned 8x8 table where the product is not 0, float64 [65025]."""
    return table[NONZERO] / EXACT[NONZERO] - 1


def test_a_table_is_int32_and_its_first_index_is_a() -> None:
    table = models.table("exact_array", {"A_BITS": 3, "B_BITS": 2})
    assert table.dtype == np.int32
    assert table.shape == (8, 4)
    assert table[7, 3] == 21


@pytest.mark.parametrize(("family", "parameters"), SWITCHED_OFF)
def test_without_approximation_the_product_is_exact(family: str, parameters: dict[str, int]) -> None:
    values = np.arange(256)
    if family in ("baugh_wooley", "drum_signed"):
        values = values.astype(np.int8).astype(np.int64)
    assert np.array_equal(models.table(family, {**EIGHT, **parameters}), np.outer(values, values))


@pytest.mark.parametrize("drop", range(1, 9))
def test_truncation_loses_at_most_the_weight_of_its_columns(drop: int) -> None:
    error = EXACT - models.table("truncated", {**EIGHT, "DROP": drop})
    assert error.min() == 0
    assert error.max() == (drop - 1) * 2**drop + 1  # column c has c + 1 bits of weight 2^c
    assert error.mean() == error.max() / 4  # a product bit is set in a quarter of the pairs


def test_compensation_brings_truncation_closer_to_the_product() -> None:
    plain = models.table("truncated", {**EIGHT, "DROP": 6})
    compensated = models.table("truncated", {**EIGHT, "DROP": 6, "COMPENSATE": 1})
    assert set(np.unique(compensated - plain)) == {0, 64}
    assert abs(compensated - EXACT).mean() < abs(plain - EXACT).mean() / 1.5


def test_truncated_baugh_wooley_never_exceeds_the_signed_product() -> None:
    exact = models.table("baugh_wooley", {**EIGHT, "DROP": 0})
    error = exact - models.table("baugh_wooley", {**EIGHT, "DROP": 7})
    assert error.min() == 0
    assert error.max() == 6 * 2**7 + 1


def test_broken_array_without_rows_omitted_is_the_truncated_multiplier() -> None:
    broken = models.table("broken_array", {**EIGHT, "HBL": 0, "VBL": 6})
    assert np.array_equal(broken, models.table("truncated", {**EIGHT, "DROP": 6}))


def test_broken_array_without_columns_omitted_ignores_the_lowest_bits_of_b() -> None:
    b = np.arange(256)
    broken = models.table("broken_array", {**EIGHT, "HBL": 3, "VBL": 0})
    assert np.array_equal(broken, np.outer(np.arange(256), b - b % 8))


@pytest.mark.parametrize(
    ("bits", "error_probability", "mean_relative_error"),
    [(2, 1 / 16, 0.0139), (4, 49 / 256, 0.0261), (8, 0.4673, 0.0325)],
)
def test_kulkarni_makes_the_errors_of_the_paper(
    bits: int, error_probability: float, mean_relative_error: float
) -> None:
    size = {"A_BITS": bits, "B_BITS": bits}
    exact, table = models.table("exact_array", size), models.table("kulkarni", size)
    relative = (exact - table) / np.maximum(exact, 1)  # over all pairs, zero products included
    assert (table != exact).mean() == pytest.approx(error_probability, abs=5e-5)
    assert relative.mean() == pytest.approx(mean_relative_error, abs=5e-5)
    assert relative.min() == 0
    assert relative.max() == pytest.approx(2 / 9)


def test_a_kulkarni_block_has_one_wrong_product() -> None:
    table = models.table("kulkarni", {"A_BITS": 2, "B_BITS": 2})
    assert table[3, 3] == 7
    assert (table != np.outer(range(4), range(4))).sum() == 1


@pytest.mark.parametrize(
    ("k", "mean", "largest"), [(3, 0.119, 0.5625), (4, 0.0589, 0.2656), (6, 0.0147, 0.0631)]
)
def test_drum_makes_the_errors_of_the_paper_at_16_bits(k: int, mean: float, largest: float) -> None:
    values = np.random.default_rng(0).integers(1, 2**16, size=(2, 3000))
    a, b = segments.drum_operand(values, k) / values
    error = np.outer(a, b) - 1
    assert abs(error).mean() == pytest.approx(mean, rel=0.02)
    assert 0.95 * largest < abs(error).max() <= largest * 1.01
    assert abs(error.mean()) < 0.2 * mean  # unbiased, next to the error's size


def test_drum_is_exact_below_2_to_the_k_and_unbiased_above() -> None:
    table = models.table("drum", {**EIGHT, "K": 6})
    assert np.array_equal(table[:64, :64], EXACT[:64, :64])
    assert table[0b10110010, 1] == 0b10110100  # two bits are cut off, the one above them is set
    assert abs(relative_error(table)).mean() == pytest.approx(0.0130, abs=5e-5)


def test_mitchell_makes_the_errors_of_the_paper() -> None:
    error = relative_error(models.table("mitchell", {**EIGHT, "FRACTION": 7}))
    assert error.max() == 0
    assert error.min() == pytest.approx(-1 / 9)
    assert error.mean() == pytest.approx(-0.038, abs=5e-4)


def test_mitchell_is_exact_for_powers_of_two() -> None:
    table = models.table("mitchell", {**EIGHT, "FRACTION": 7})
    powers = 1 << np.arange(8)
    assert np.array_equal(table[powers], EXACT[powers])
    assert not table[0].any()
    assert not table[:, 0].any()


def test_a_shorter_fraction_never_raises_mitchells_product() -> None:
    tables = [models.table("mitchell", {**EIGHT, "FRACTION": fraction}) for fraction in range(1, 8)]
    assert all((shorter <= longer).all() for shorter, longer in pairwise(tables))
    assert (tables[0] < tables[-1]).any()


@pytest.mark.parametrize("family", ["drum", "mitchell"])
def test_signed_variants_multiply_magnitudes(family: str) -> None:
    parameters = {**EIGHT, "K": 4, "FRACTION": 4}
    unsigned, signed = models.table(family, parameters), models.table(f"{family}_signed", parameters)
    minus_7, minus_128 = 256 - 7, 128
    assert np.array_equal(signed[:128, :128], unsigned[:128, :128])
    assert np.array_equal(signed[minus_7, :128], -unsigned[7, :128])
    assert signed[minus_128, minus_7] == unsigned[128, 7]
