"""Tables made of few partial products: the split finds them exactly, as int8 terms without any residual."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.kernels import native
from agn_hw.mapping import WEIGHTS
from tests.agn_hw.kernels.operands import CODES, as_table
from tests.agn_hw.kernels.test_split import check

BITS = CODES[:, None] >> np.arange(8) & 1  # [256 codes, 8 bits]


def array(kept: np.ndarray, gain: int = 1) -> torch.Tensor:
    """A sign-magnitude array multiplier that keeps partial products x_i w_j where kept[i, j], as a folded table."""
    magnitude = np.abs(WEIGHTS)[:, None] >> np.arange(8) & 1
    weighted = kept * 2.0 ** np.add.outer(np.arange(8), np.arange(8))
    return as_table((BITS @ weighted @ magnitude.T * np.sign(WEIGHTS)).astype(np.int64) * gain)


@pytest.fixture(autouse=True)
def avx512():
    """Where an int8 product costs less than a residual byte, so that the split goes for it."""
    before = native.isa()
    try:
        native.use_isa("avx512")
    except ValueError as error:
        pytest.skip(str(error))
    yield
    native.use_isa(before)


@pytest.mark.parametrize("gain", [1, 2, 64])
@pytest.mark.parametrize("kept, terms", [
    (np.ones((8, 8), bool), 1),
    (np.arange(8)[:, None] + np.zeros(8, int) >= 3, 1),  # rows of partial products left out
    (np.zeros(8, int)[:, None] + np.arange(8) >= 3, 1),  # columns of the weight left out
    (np.add.outer(np.arange(8), np.arange(8)) >= 2, 3),  # the two lowest columns of the product left out
    (np.add.outer(np.arange(8), np.arange(8)) >= 3, 4),
], ids=["exact", "activation bits", "weight bits", "two columns", "three columns"])
def test_arrays_are_a_few_terms(kept, terms, gain):
    split = check(array(kept, gain), native.split(array(kept, gain)))
    assert split["planes"] == 0 and split["terms"] <= terms


@settings(deadline=None)
@given(masks=st.lists(st.integers(0, 255), max_size=5), largest=st.integers(0, 70_000), seed=st.integers(0, 2**32 - 1))
def test_any_sum_of_monomials_is_exact(masks, largest, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-largest, largest + 1, (len(masks), 256))
    monomials = np.stack([(CODES & mask) == mask for mask in masks]) if masks else np.zeros((0, 256))
    lut = as_table(monomials.T.astype(np.int64) @ rows if masks else np.zeros((256, 256), np.int64))
    check(lut, native.split(lut))


def test_a_wide_factor_takes_two_terms():
    lut = as_table(np.outer(CODES, 100 * WEIGHTS + 3))
    split = check(lut, native.split(lut))
    assert (split["terms"], split["scaled"], split["planes"]) == (2, 1, 0)


def test_a_table_of_many_monomials_keeps_its_residual():
    lut = torch.randint(-(2**16), 2**16, (256, 256), generator=torch.Generator().manual_seed(0)).int()
    assert check(lut, native.split(lut))["planes"] == 3
