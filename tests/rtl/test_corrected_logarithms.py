"""The papers' figures of the multipliers that correct Mitchell's error."""

import numpy as np
import pytest

from tests.rtl import models
from tests.rtl.models import corrected_logarithms
from tests.rtl.models.errors import EIGHT, EXACT, relative_error, significand_error, sixteen_bit_fractions


def test_ilm_makes_the_errors_of_the_paper() -> None:
    means = []
    for corrections in range(3):
        error = relative_error(models.table("ilm", {**EIGHT, "CORRECTIONS": corrections}))
        assert -(4.0 ** -(corrections + 1)) < error.min() < 0
        means.append(-100 * error.mean())
    assert means == pytest.approx([8.9131, 0.8337, 0.0708], abs=5e-5)


def test_ilm_is_exact_where_the_corrections_reach_every_one_bit() -> None:
    table = models.table("ilm", {**EIGHT, "CORRECTIONS": 1})
    two_ones = [value for value in range(256) if value.bit_count() <= 2]
    assert np.array_equal(table[two_ones], EXACT[two_ones])
    assert table[0b111, 0b111] == 49 - 1


def test_the_set_one_adder_brings_mitchells_product_closer() -> None:
    mitchell = models.table("mitchell", {**EIGHT, "FRACTION": 7})
    distance = [abs(models.table("alm", {**EIGHT, "LOWER": lower}) - EXACT).mean() for lower in range(1, 8)]
    plain = abs(mitchell - EXACT).mean()
    assert 0.8 < min(distance) / plain < 0.9  # the paper: up to 18 % less
    assert distance[6] > plain


def test_the_set_one_adder_as_worked_by_hand() -> None:
    # 3 + 0.1010000 and 5 + 0.0111000, LOWER = 4: 3.101|0000 + 5.011|1000, no carry-in, then ones
    assert models.table("alm", {**EIGHT, "LOWER": 4})[0b1101, 0b101110] == int(2**9 * (1 + 0b0001111 / 128))


@pytest.mark.parametrize(
    ("t", "mean", "largest", "distance"),
    [(5, 0.0432, 0.1875, 5888), (6, 0.0291, 0.11581, 4225), (7, 0.0274, 0.11111, 3969)],
)
def test_dynamic_range_alm_makes_the_errors_of_the_paper(t: int, mean: float, largest: float, distance: int) -> None:
    table = models.table("dynamic_range_alm", {**EIGHT, "T": t})
    error = abs(relative_error(table))
    assert error.sum() / 2**16 == pytest.approx(mean, abs=5e-5)  # pairs with 0 count as exact
    assert error.max() == pytest.approx(largest, abs=5e-6)
    assert abs(table - EXACT).max() == distance


@pytest.mark.parametrize(
    ("parts", "mean", "lowest", "highest"),
    [
        (1, 0.0258, -0.0764, 0.0781),
        (4, 0.0138, -0.0571, 0.0521),
        (8, 0.0075, -0.0370, 0.0288),
        (16, 0.0042, -0.0208, 0.0179),
    ],
)
def test_mbm_and_realm_make_the_errors_of_the_papers_at_16_bits(
    parts: int, mean: float, lowest: float, highest: float
) -> None:
    x, y = sixteen_bit_fractions()
    error = significand_error(corrected_logarithms.realm_significand(x, y, parts))
    assert abs(error).mean() == pytest.approx(mean, rel=0.02)
    assert error.min() == pytest.approx(lowest, rel=0.02)
    assert error.max() == pytest.approx(highest, rel=0.02)
    assert abs(error.mean()) < 1.5e-3


def test_realms_largest_products_stop_at_the_widest_number() -> None:
    table = models.table("realm", {**EIGHT, "SEGMENTS": 1, "FRACTION": 7})
    assert table[255, 255] == 2**16 - 1
    assert table.max() == 2**16 - 1
    assert table.min() == 0


def test_cut_fractions_of_realm_end_in_a_one() -> None:
    factor = corrected_logarithms.reduction_factors(1)
    assert factor == 5 / 64
    table = models.table("realm", {**EIGHT, "SEGMENTS": 1, "FRACTION": 3})
    assert table[128, 64] == 2**13 * (1 + 1 / 8 + 1 / 8 + 5 / 64)
