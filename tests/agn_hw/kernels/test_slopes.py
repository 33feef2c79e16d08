"""The numpy search for a table's form: it gives the table back, and is no worse than the compiled one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.kernels import native, slopes
from agn_hw.kernels.decompose import Terms
from tests.agn_hw.kernels.operands import CODES, TABLES, as_table
from tests.agn_hw.tables import random_lut


def rebuilt(split: slopes.Split) -> np.ndarray:
    """The table that a split stands for, modulo 2^32, int64 from 0 up."""
    terms = (split.scale[:, None] * split.expand.astype(np.int64)).T @ split.factor.astype(np.int64)
    bytes_left = sum(plane.T.astype(np.int64) << 8 * p for p, plane in enumerate(split.planes))
    return ((terms << split.shift) + split.constants + bytes_left) % 2**32


def check(table: np.ndarray, split: slopes.Split) -> None:
    assert split.scale.dtype == split.constants.dtype == np.int32 and split.constants.shape == (256,)
    assert split.expand.dtype == split.planes.dtype == np.uint8 and split.factor.dtype == np.int8
    assert split.expand.shape == split.factor.shape == (len(split.scale), 256) and len(split.scale) <= slopes.MOST_TERMS
    assert split.planes.shape[1:] == (256, 256) and len(split.planes) <= 4
    assert sorted(split.scale, reverse=True) == list(split.scale) and set(split.scale) <= {1, 256}
    assert np.array_equal(rebuilt(split), table.astype(np.int64) % 2**32)
    if len(split.planes):
        assert split.planes[-1].any()
        assert (np.bitwise_or.reduce(split.planes).min(axis=1) == 0).all()  # the constants took what they can


def planes_first(terms: int, planes: int) -> float:
    return 1000 * planes + terms


@pytest.mark.parametrize("name", TABLES)
def test_tables(name):
    table = TABLES[name].numpy()
    split = slopes.form_of(table, planes_first)
    check(table, split)
    if native.available():
        terms, planes = native.form(native.split(TABLES[name]))
        assert (len(split.planes), len(split.scale)) <= (planes, terms)
    without = slopes.form_of(table, lambda terms, planes: terms)
    check(table, without)
    assert len(without.scale) == 0


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(0, 31), left=st.integers(-2000, 2000), right=st.integers(-900, 900), seed=st.integers(0, 2**32 - 1)
)
def test_any_table(bits, left, right, seed):
    slope = np.random.default_rng(seed).integers(min(left, right), max(left, right) + 1, 256)
    table = as_table((random_lut(seed, 2**bits - 1) + np.outer(CODES, slope) + 2**31) % 2**32 - 2**31)
    for terms, shift in slopes.slopes(table.numpy()):
        found = slopes.Split(*(terms.scale, terms.expand, terms.factor), shift,
                             *slopes.residual(table.numpy(), terms, shift))
        check(table.numpy(), found)
    split = slopes.form_of(table.numpy(), planes_first)
    check(table.numpy(), split)
    if native.available():
        assert len(split.planes) <= native.form(native.split(table))[1]


@pytest.mark.parametrize("x", [CODES, CODES ^ 0x80, 2 * CODES])
def test_the_best_of_all_slopes(x):
    """Every slope within reach tried."""
    entries = np.random.default_rng(0).integers(-3000, 3000, (256, 256)) + np.outer(np.arange(-400, 368, 3), x)
    found = slopes._best_slopes(entries, x)
    every = np.arange(-384, 382)
    ranges = np.stack([np.ptp(entries - slope * x, axis=1) for slope in every])
    assert np.array_equal(np.ptp(entries - found[:, None] * x, axis=1), ranges.min(axis=0))
    assert found[0] == -384 and found[-1] < 381 and len(np.unique(found)) > 200


@pytest.mark.parametrize("least, most, count", [(-128, 127, 1), (-256, 254, 2), (-384, 381, 3)])
@pytest.mark.parametrize("flip", [0, 0x80])
@pytest.mark.parametrize("shift", [0, 1])
def test_slopes_within_reach_leave_nothing(least, most, count, flip, shift):
    slope = np.random.default_rng(0).integers(least, most + 1, 256)
    slope[:2] = least, most
    table = (np.outer(CODES ^ flip, slope) << shift) - 5000
    left = [len(slopes.residual(table, *found)[1]) for found in slopes.slopes(table) if len(found[0]) == count]
    assert 0 in left
    split = slopes.form_of(table.astype(np.int32), planes_first)
    assert len(split.planes) == 0 and len(split.scale) <= count


def test_the_cost_decides():
    """A product and a byte: with the slope one byte is left, without it two."""
    table = TABLES["product and a byte"].numpy()
    for cost_of_plane, expected in ((0.5, (0, 2)), (2, (1, 1))):
        split = slopes.form_of(table, lambda terms, planes, each=cost_of_plane: terms + each * planes)
        check(table, split)
        assert (len(split.scale), len(split.planes)) == expected


def test_the_smallest_residual_of_equal_forms():
    """Slopes for x ^ 0x80 fit a table of signed activations: of one-byte residuals, theirs is the smallest."""
    noise = np.random.default_rng(0).integers(0, 9, (256, 256))
    table = (np.outer(CODES ^ 0x80, np.arange(-128, 128)) + noise).astype(np.int32)
    split = slopes.form_of(table, planes_first)
    check(table, split)
    assert np.array_equal(split.expand[0], CODES ^ 0x80) and split.planes.max() < 16


def test_scaled_and_shifted_terms():
    table = (np.outer(CODES * CODES, CODES) << 3).astype(np.int32)
    split = slopes.form_of(table, planes_first)
    check(table, split)
    assert len(split.planes) == 0 and split.shift == 3 and split.scale[0] == 256


def test_residual_of_given_terms():
    generator = np.random.default_rng(1)
    terms = Terms(
        np.array([256, 1], np.int32), generator.integers(0, 256, (2, 256)).astype(np.uint8),
        generator.integers(-128, 128, (2, 256)).astype(np.int8), np.zeros(256, np.int32),
    )
    constants = generator.integers(-(2**31), 2**31, 256)
    rest = generator.integers(0, 2**16, (256, 256))
    rest[0] = 0
    table = ((terms.table() << 4) + constants + rest + 2**31) % 2**32 - 2**31
    found, planes = slopes.residual(table, terms, 4)
    near = constants < 2**31 - 2**16  # the others wrap: their smallest sum is another
    assert np.array_equal(found[near], constants[near]) and near.any()
    check(table, slopes.Split(terms.scale, terms.expand, terms.factor, 4, found, planes))
