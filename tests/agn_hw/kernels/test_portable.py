"""The portable kernel against the reference, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.kernels import portable, reference
from tests.agn_hw import oracles
from tests.agn_hw.kernels.operands import LARGEST, operands, threads
from tests.agn_hw.tables import exact_table8, random_table8


def check(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> None:
    y = portable.lut_matmul(x, w, lut)
    assert y.dtype == torch.int32 and y.shape == (x.shape[0], w.shape[0])
    assert torch.equal(y, reference.lut_matmul(x, w, lut))


def test_reference_is_the_sum_of_products():
    x, w = operands(3, 5, 2)
    lut = random_table8(0)
    for table in (lut, exact_table8()):
        expected = oracles.matmul(x.numpy(), w.numpy(), table.numpy())
        assert np.array_equal(reference.lut_matmul(x, w, table).numpy(), expected)
    assert int(reference.lut_matmul(x, w, lut)[2, 1]) == sum(int(lut[int(x[2, k]), int(w[1, k])]) for k in range(5))


@pytest.mark.parametrize("depth", [1, 27, 130, 257, 300, 4608])
@pytest.mark.parametrize("rows, columns", [
    (1, 1), (3, 7), (portable._FEW_ROWS - 1, 5), (portable._FEW_ROWS, 5), (61, 33),
])
def test_shapes(rows, depth, columns):
    check(*operands(rows, depth, columns, seed=depth), random_table8(depth, largest=LARGEST // depth))


@pytest.mark.parametrize("rows, depth, columns", [(0, 9, 4), (5, 9, 0), (5, 0, 4), (0, 0, 0)])
def test_empty(rows, depth, columns):
    y = portable.lut_matmul(*operands(rows, depth, columns), random_table8(0))
    assert torch.equal(y, torch.zeros(rows, columns, dtype=torch.int32))


@pytest.mark.parametrize("rows", [5, 70])
@pytest.mark.parametrize("depth, largest", [
    (1, LARGEST),  # the limit of int32
    (127, 2**24), (127, 2**24 - 1), (127, 2**24 + 1),  # the change from single to double precision
    (255, 2**23 - 1), (300, 1), (300, 0),
])
def test_large_entries_are_exact(rows, depth, largest):
    """All entries at the limits, so that every partial sum is as large as it can be."""
    x, w = operands(rows, depth, 9)
    signs = torch.where(random_table8(1) < 0, -1, 1).to(torch.int32)
    check(x, w, signs * largest)
    check(x, w, torch.full((256, 256), largest, dtype=torch.int32))
    check(x, w, torch.full((256, 256), -largest, dtype=torch.int32))
    odd = torch.full((256, 256), largest, dtype=torch.int32)
    odd[::2] = 1 - largest if largest else 0  # sums that need every bit
    check(x, w, odd)


@pytest.mark.parametrize("rows", [20, 70])
def test_wide_output_is_blocked(rows):
    check(*operands(rows, 5, 1500), random_table8(2))


@pytest.mark.parametrize("rows", [20, 70])
def test_strided_operands_and_table(rows):
    x, w = operands(rows * 2, 60, 26)
    lut = random_table8(3)
    check(x[::2, ::3], w[::2, ::3], lut)
    check(x[::2].t().contiguous().t(), w.t().contiguous().t(), lut.t())
    check(x[1::2, 5:47], w[:, 5:47], torch.cat([lut, lut], 1)[:, ::2])
    check(x[:1].expand(rows, -1), w[:1].expand(7, -1), lut)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_do_not_matter(count):
    with threads(count):
        for rows in (30, 70):
            check(*operands(rows, 40, 17), random_table8(4))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.one_of(st.integers(0, 4), st.integers(44, 52)),
    depth=st.integers(1, 40),
    columns=st.integers(0, 20),
    bits=st.integers(0, 31),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_table(rows, depth, columns, bits, seed):
    check(*operands(rows, depth, columns, seed), random_table8(seed, largest=(2**bits - 1) // depth))
