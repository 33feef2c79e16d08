"""Sums of convolutions against loops over single products, on every back end."""

from functools import cache

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agn_hw.kernels import native, op
from tests.agn_hw import oracles
from tests.agn_hw.kernels.operands import TABLES, random_bytes, threads
from tests.agn_hw.tables import random_table8

PLAIN = ([1, 1], [1, 1], [1, 1], 1)

# channels, outputs, kernel, (stride, padding, dilation, groups), height, width
CASES = {
    "plain": (3, 4, (3, 3), PLAIN, 5, 7),
    "stride": (2, 3, (3, 3), ([2, 2], [1, 1], [1, 1], 1), 8, 7),
    "stride, even size": (2, 3, (1, 1), ([2, 2], [0, 0], [1, 1], 1), 6, 5),
    "unequal stride and padding": (2, 3, (3, 2), ([1, 3], [2, 0], [1, 1], 1), 4, 9),
    "dilation": (2, 2, (3, 3), ([1, 1], [2, 1], [2, 1], 1), 7, 6),
    "dilation along a row": (3, 5, (2, 3), ([1, 2], [0, 2], [1, 2], 1), 4, 9),
    "everything": (4, 6, (2, 3), ([2, 1], [1, 3], [3, 2], 2), 9, 6),
    "groups": (6, 4, (3, 3), ([1, 1], [1, 1], [1, 1], 2), 4, 5),
    "many groups": (64, 96, (3, 3), ([2, 2], [1, 1], [1, 1], 32), 3, 4),
    "depthwise": (5, 5, (3, 3), ([1, 1], [1, 1], [1, 1], 5), 5, 4),
    "depthwise, two outputs": (3, 6, (3, 1), ([1, 2], [1, 0], [1, 1], 3), 5, 4),
    "depthwise, many": (70, 140, (3, 3), ([2, 2], [1, 1], [1, 1], 70), 3, 4),
    "row kernel": (2, 3, (1, 5), ([1, 1], [0, 2], [1, 1], 1), 1, 6),
    "whole image": (2, 3, (4, 3), ([1, 1], [0, 0], [1, 1], 1), 4, 3),
    "only padding outside": (1, 2, (3, 3), ([1, 1], [3, 3], [1, 1], 1), 1, 2),
    "first layer": (3, 9, (7, 7), ([2, 2], [3, 3], [1, 1], 1), 9, 11),
    "pointwise": (70, 33, (1, 1), ([1, 1], [0, 0], [1, 1], 1), 3, 5),
    "two blocks of columns": (3, 70, (3, 3), PLAIN, 3, 4),
    "three blocks of columns": (2, 130, (2, 2), ([1, 1], [0, 0], [1, 1], 1), 4, 3),
    "runs over several blocks of k": (30, 3, (3, 3), PLAIN, 3, 3),
    "long runs": (2, 2, (2, 70), ([1, 1], [0, 2], [1, 1], 1), 3, 71),
    "one column of outputs": (2, 5, (3, 3), ([1, 1], [0, 0], [1, 1], 1), 30, 3),
    "planes of several tiles": (2, 2, (3, 3), ([1, 1], [1, 1], [1, 1], 2), 40, 30),
    "phases of several tiles": (1, 1, (2, 2), ([2, 3], [1, 0], [1, 1], 1), 90, 70),
    "small tiles": (40, 2, (3, 3), PLAIN, 12, 13),
    "phases and dilation": (4, 4, (3, 2), ([3, 2], [2, 1], [2, 3], 2), 11, 10),
    "strides beyond phases": (2, 2, (2, 2), ([9, 1], [1, 0], [1, 1], 2), 20, 5),
    "stride beyond the image": (2, 2, (1, 1), ([7, 8], [0, 0], [1, 1], 2), 3, 2),
    "several tasks": (1, 2, (2, 2), ([1, 1], [0, 1], [1, 1], 1), 29, 27),
}
PADDING_CODES = (0, 201)


def operands(case: str, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    channels, outputs, kernel, geometry, height, width = CASES[case]
    x = random_bytes(batch, channels, height, width)
    return x, random_bytes(outputs, channels // geometry[3], *kernel, seed=1)


@cache
def expected(case: str, table: str, padding_code: int) -> torch.Tensor:
    x, w = operands(case)
    y = oracles.conv2d(oracles.integers(x), oracles.integers(w), TABLES[table].numpy(), *CASES[case][3], padding_code)
    return torch.from_numpy(y.astype(np.int32))


@pytest.mark.parametrize("padding_code", PADDING_CODES)
@pytest.mark.parametrize("case", CASES)
def test_against_loops(back_end, case, padding_code):
    y = op.lut_conv2d(*operands(case), TABLES["17 bits"], *CASES[case][3], padding_code)
    assert y.dtype == torch.int32 and y.is_contiguous()
    assert torch.equal(y, expected(case, "17 bits", padding_code))


@pytest.mark.parametrize("case", CASES)
def test_both_kernels_with_slopes_and_without(isa, case):
    """Also those that the choice by expected time never takes."""
    x, w = operands(case)
    for table, padding_code in (("product and a byte", 201), ("17 bits", 0), ("three times the product", 201)):
        geometry = op.geometry_of(*CASES[case][3], padding_code)
        for slopes in (False, True):
            split = native.split(TABLES[table], slopes)
            packed = native.pack_conv2d(split, w, geometry)
            for kernel in (native.ROW_ADD, native.COLUMNS):
                y = native.conv2d(split, packed, w.shape, x, geometry, kernel=kernel)
                assert torch.equal(y, expected(case, table, padding_code)), (table, slopes, kernel)


@pytest.mark.parametrize("case", CASES)
def test_exact_table_is_the_exact_convolution(back_end, case):
    x, w = operands(case)
    y = op.lut_conv2d(x, w, TABLES["exact"], *CASES[case][3])
    assert torch.equal(y, F.conv2d(x.double(), w.to(torch.int8).double(), None, *CASES[case][3]).int())


def test_padding_goes_through_the_table(back_end):
    lut = torch.zeros(256, 256, dtype=torch.int32)
    lut[0, 5], lut[9, 5], lut[200, 5] = 1000, 1, 7
    x, w = torch.full((1, 1, 2, 2), 9, dtype=torch.uint8), torch.full((1, 1, 3, 3), 5, dtype=torch.uint8)
    assert (op.lut_conv2d(x, w, lut, *PLAIN) == 5 * 1000 + 4).all()
    assert (op.lut_conv2d(x, w, lut, *PLAIN, 200) == 5 * 7 + 4).all()


@pytest.mark.parametrize("batch", [0, 1])
def test_empty_and_single_batches(back_end, batch):
    y = op.lut_conv2d(*operands("plain", batch), TABLES["17 bits"], *PLAIN)
    assert torch.equal(y, expected("plain", "17 bits", 0)[:batch])  # the first images are the same


def test_strided_images_and_weights(back_end):
    x, w = random_bytes(3, 4, 8, 6), random_bytes(6, 4, 3, 3, seed=1)
    lut = random_table8(0)
    y = op.lut_conv2d(x[:, ::2, 1:, ::2].clone(), w[::2, ::2].clone(), lut, *PLAIN)
    strided = x.to(memory_format=torch.channels_last)[:, ::2, 1:, ::2]
    assert torch.equal(op.lut_conv2d(strided, w[::2, ::2], lut, *PLAIN), y)
    y = op.lut_conv2d(x, w, lut, *PLAIN)
    x, w = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, w))
    assert torch.equal(op.lut_conv2d(x, w, lut, *PLAIN), y)
    assert torch.equal(op.lut_conv2d(x.flip(3), w.flip(3), lut, *PLAIN), y.flip(3))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_do_not_matter(isa, count):
    with threads(count):
        for case in ("several tasks", "three blocks of columns", "depthwise, many", "everything"):
            y = op.lut_conv2d(*operands(case), TABLES["17 bits"], *CASES[case][3])
            assert torch.equal(y, expected(case, "17 bits", 0))


def test_sums_that_could_leave_int32_are_refused(back_end):
    x, w = operands("plain")
    with pytest.raises(RuntimeError, match="K = 27 products of up to 79536432 could leave it"):
        op.lut_conv2d(x, w, torch.full((256, 256), 79536432, dtype=torch.int32), *PLAIN)
    y = op.lut_conv2d(x, w, torch.full((256, 256), -79536431, dtype=torch.int32), *PLAIN)
    assert (y == -27 * 79536431).all()
