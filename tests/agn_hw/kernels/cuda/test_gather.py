"""Bytes gathered one by one: against plain loops, in any order of threads."""

import numpy as np
import pytest
import torch

from agn_hw.kernels.cuda import gather
from agn_hw.kernels.cuda.images import ADD, ATOMIC, WRITE
from agn_hw.kernels.cuda.launch import Facts
from agn_hw.kernels.forms import Geometry
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS
from tests.agn_hw.kernels.cuda.residuals import (
    Case,
    as_int32,
    ending_of,
    images,
    matrix,
    noise,
    output,
    planes,
    requantized,
)


def check_added(case: Case, mode: int = ADD, splits: int = 1) -> None:
    y = noise(case)
    want = as_int32(y.numpy() + case.sums)
    gather.add_gathered(case.windows, case.codes, case.form, output(y, case, mode), splits)
    assert torch.equal(y, want)


@pytest.mark.parametrize("rows, columns, depth, count", [
    (1, 1, 4, 1), (1, 140, 100, 4), (3, 64, 8, 2), (4, 65, 64, 3), (16, 2, 300, 1), (17, 63, 30, 1), (64, 129, 70, 2),
    (100, 3, 600, 1),
])
def test_matrices(emulated, rows, columns, depth, count):
    check_added(matrix(rows, columns, depth, planes(count)))


@pytest.mark.parametrize("size, columns, kernel, geometry", [
    ((1, 3, 5, 6), 16, (3, 3), Geometry((1, 1), (1, 1), (1, 1), 1, 128)),
    ((3, 3, 9, 9), 5, (7, 7), Geometry((2, 2), (3, 3), (1, 1), 1, 0)),
    ((2, 8, 3, 3), 70, (1, 1), Geometry((2, 1), (0, 0), (1, 1), 1, 3)),
    ((1, 24, 6, 5), 9, (3, 3), Geometry((1, 2), (2, 1), (2, 1), 2, 255)),
    ((2, 20, 4, 4), 3, (2, 2), Geometry((1, 1), (0, 1), (1, 1), 4, 9)),
], ids=str)
def test_convolutions(emulated, size, columns, kernel, geometry):
    check_added(images(size, columns, kernel, geometry, planes(2)))


def test_largest_bytes(emulated):
    check_added(matrix(5, 7, 600, planes(4, smallest=255)))


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
def test_codes_and_starts(emulated):
    for case in (matrix(9, 40, 70, planes(2)), images((2, 9, 3, 4), 17, (2, 2), Geometry(), planes(1))):
        operands = case.windows, case.codes, case.form
        start = torch.arange(case.sums.shape[1], dtype=torch.int32) * 1000 - 7
        before = noise(case) // 2**8
        for mode, add in ((WRITE, start[:, None]), (WRITE, torch.zeros(1)), (ADD, before)):
            sums, starts = as_int32(case.sums + add.long().numpy()), start if mode == ADD or add.any() else None
            ending, y = ending_of(sums), before.clone()
            gather.add_gathered(*operands, output(y, case, mode, starts), 1)
            assert torch.equal(y, sums)
            y = before.clone()
            gather.add_gathered(*operands, output(y, case, mode, starts, ending), 1)
            assert torch.equal(y.view(torch.float32), requantized(sums, ending))
            assert len(requantized(sums, ending).unique()) > 20


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("splits", [2, 3, 64, 100])
def test_depth_split_over_blocks(emulated, splits):
    check_added(matrix(5, 70, 200, planes(2)), ATOMIC, splits)
    check_added(images((1, 12, 3, 3), 9, (3, 3), Geometry(padding=(1, 1)), planes(1)), ATOMIC, splits)


def test_splits_fill_the_machine():
    facts = Facts("sm_90", 132, 232448)
    windows = matrix(4, 1, 4096, planes(1)).windows
    assert gather.splits(windows, 1000, 1, facts) == 16
    assert gather.splits(windows, 64, 4000, facts) == 1
    assert gather.splits(windows._replace(depth=64), 64, 1, facts) == 1
    assert gather.splits(windows, 64, 1, Facts("sm_75", 40, 65536)) == 32


def test_rows_are_variants():
    assert [{"ROWS": gather._rows(rows)} for rows in (1, 2, 4, 5, 16, 64)] == [
        *[gather.VARIANTS[i] for i in (0, 1, 1, 2, 2, 2)]
    ]
    assert np.all(np.diff(gather.ROWS) > 0)
