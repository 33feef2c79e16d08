"""Terms that come near a table leave fewer bytes of it, and are bytes themselves."""

import numpy as np
import pytest

from agn_hw.kernels import slopes
from agn_hw.kernels.approximate import terms_for_fewer_bytes
from tests.agn_hw.kernels.operands import CODES, TABLES
from tests.agn_hw.kernels.test_slopes import check
from tests.agn_hw.tables import random_lut

SIGNED = np.where(CODES < 128, CODES, CODES - 256)


def logarithmic() -> np.ndarray:
    """Mitchell's product of signed numbers, rounded down: 2^(sum of the logarithms read off straight lines)."""
    def log(numbers: np.ndarray) -> np.ndarray:
        power = np.floor(np.log2(np.maximum(numbers, 1)))
        return power + np.maximum(numbers, 1) / 2**power - 1

    total = log(np.abs(SIGNED))[:, None] + log(np.abs(SIGNED))
    sizes = np.floor((1 + total % 1) * 2 ** np.floor(total)) * (np.outer(SIGNED, SIGNED) != 0)
    return (sizes * np.sign(np.outer(SIGNED, SIGNED))).astype(np.int64)


def bytes_of(rest: np.ndarray) -> int:
    return (int(np.ptp(rest, axis=0).max()).bit_length() + 7) // 8


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_fewer_bytes_each_time(shift):
    generator = np.random.default_rng(0)
    sizes = (200, 99), (40, 30), (9, 9)
    rest = sum(np.outer(generator.integers(0, e, 256), generator.integers(-f, f, 256)) for e, f in sizes)
    rest = (rest << shift) + generator.integers(0, 60, (256, 256))
    found = list(terms_for_fewer_bytes(rest, shift, 8))
    assert found and all(0 < len(terms) <= 8 for terms in found)
    for terms in found:
        assert all(term.expand.dtype == np.uint8 and term.factor.dtype == np.int8 for term in terms)
        products = sum(np.outer(term.expand.astype(np.int64), term.factor) for term in terms)
        assert bytes_of(rest - (products << shift)) < bytes_of(rest)
    assert bytes_of(rest) > 1 and min(map(len, found)) <= 5


def test_no_more_terms_than_wanted():
    rest = random_lut(0, 2**15)
    assert list(terms_for_fewer_bytes(rest, 0, 15)) == []  # nothing helps
    assert list(terms_for_fewer_bytes(logarithmic(), 0, 1)) == []


@pytest.mark.parametrize("row", [np.zeros(256, np.int64), np.full(256, 7), 9000 * CODES])
def test_nothing_left(row):
    assert list(terms_for_fewer_bytes(np.tile(row, (256, 1)), 0, 15)) == []


def test_a_logarithmic_multiplier_needs_one_byte():
    table = logarithmic()
    assert table[100, 30] == 2944 and table[100, 226] == -2944 and table[64, 2] == 128
    split = slopes.form_of(table.astype(np.int32), lambda terms, planes: terms + 30 * planes)
    check(table, split)
    assert len(split.planes) == 1 and len(split.scale) <= 6
    dear = slopes.form_of(table.astype(np.int32), lambda terms, planes: 50 * terms + 30 * planes)
    check(table, dear)
    assert len(dear.planes) == 2


def test_tables_beyond_floats_are_let_be():
    assert list(slopes._near(TABLES["four bytes"].numpy().astype(np.int64))) == []
