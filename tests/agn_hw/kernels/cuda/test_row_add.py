"""Rows of tables added up: against plain loops, for every tile and memory, in any order of threads."""

import pytest
import torch

from agn_hw.kernels.cuda import row_add
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

DEVICES = {
    "H200": Facts("sm_90", 132, 232448),
    "RTX 4090": Facts("sm_89", 128, 101376),
    "T4": Facts("sm_75", 40, 65536),
}
GEOMETRY = Geometry((2, 1), (1, 2), (1, 2), 2, 77)


def check_added(case: Case, mode: int = ADD, splits: int = 1) -> None:
    before = noise(case)
    y = before.clone()
    row_add.add_rows(case.windows, case.codes, case.form, output(y, case, mode), splits)
    assert torch.equal(y, as_int32(before.numpy() + case.sums))


def choose(monkeypatch: pytest.MonkeyPatch, tile: row_add.Tile) -> None:
    monkeypatch.setattr(row_add, "TILES", (tile,))
    row_add._best.cache_clear()


@pytest.fixture(autouse=True)
def forget():
    yield
    row_add._best.cache_clear()


FITTING = [
    (tile, device) for tile in row_add.TILES for device in DEVICES
    if any(row_add.fits(tile, memory, DEVICES[device].shared) for memory in row_add.MEMORIES)
]


@pytest.mark.parametrize("tile, device", FITTING, ids=lambda it: it if isinstance(it, str) else "x".join(map(str, it)))
def test_tiles_and_memories(emulated, monkeypatch, tile, device):
    emulated.device = DEVICES[device]
    choose(monkeypatch, tile)
    largest = 127 if (tile.rows > 4) == (device == "H200") else 255  # two words fit together, or not
    check_added(matrix(tile.height + 9, tile.columns + 5, 70, planes(1, largest=largest)))
    check_added(images((2, 8, 9, 20), 7, (3, 2), GEOMETRY, planes(2, largest=largest)))


@pytest.mark.parametrize("rows, columns, depth, count", [
    (1, 1, 4, 1), (3, 64, 8, 4), (65, 65, 64, 3), (300, 33, 100, 1), (700, 140, 30, 2), (257, 129, 65, 1),
])
def test_matrices(emulated, rows, columns, depth, count):
    check_added(matrix(rows, columns, depth, planes(count)))


@pytest.mark.parametrize("size, columns, kernel, geometry", [
    ((1, 3, 12, 12), 16, (3, 3), Geometry((1, 1), (1, 1), (1, 1), 1, 128)),
    ((3, 3, 14, 9), 5, (7, 7), Geometry((2, 2), (3, 3), (1, 1), 1, 0)),
    ((2, 8, 7, 7), 70, (1, 1), Geometry((2, 1), (0, 0), (1, 1), 1, 3)),
    ((2, 24, 6, 5), 9, (3, 3), Geometry((1, 2), (2, 1), (2, 1), 2, 255)),
    ((4, 20, 4, 4), 3, (2, 2), Geometry((1, 1), (0, 1), (1, 1), 4, 9)),
], ids=str)
def test_convolutions(emulated, size, columns, kernel, geometry):
    check_added(images(size, columns, kernel, geometry, planes(2)))


@pytest.mark.parametrize("largest", [0, 1, 63, 64, 127, 128, 255])
def test_no_lane_overflows(emulated, monkeypatch, largest):
    """Nothing but the largest bytes, deeper than 16 bits can hold."""
    choose(monkeypatch, row_add.Tile(32, 256, 4))
    depth = {127: 530, 128: 520}.get(largest, 600)
    check_added(matrix(20, 17, depth, planes(1, largest=largest, smallest=largest)))


def test_flushes_of_several_planes(emulated, monkeypatch):
    choose(monkeypatch, row_add.Tile(64, 256, 4))
    check_added(matrix(70, 66, 300, planes(3, smallest=250)))
    check_added(images((2, 36, 9, 5), 33, (3, 3), Geometry(padding=(1, 1), padding_code=200), planes(2, smallest=240)))


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("depth", [40, 300])
def test_codes_and_starts(emulated, depth, monkeypatch):
    choose(monkeypatch, row_add.Tile(32, 256, 4))
    for case in (matrix(37, 40, depth, planes(2)), images((2, depth // 4, 5, 8), 17, (2, 2), Geometry(), planes(1))):
        operands = case.windows, case.codes, case.form
        start = torch.arange(case.sums.shape[1], dtype=torch.int32) * 1000 - 7
        before = noise(case) // 2**8
        for mode, add in ((WRITE, start[:, None]), (WRITE, torch.zeros(1)), (ADD, before)):
            sums, starts = as_int32(case.sums + add.long().numpy()), start if mode == ADD or add.any() else None
            ending, y = ending_of(sums), before.clone()
            row_add.add_rows(*operands, output(y, case, mode, starts), 1)
            assert torch.equal(y, sums)
            y = before.clone()
            row_add.add_rows(*operands, output(y, case, mode, starts, ending), 1)
            assert torch.equal(y.view(torch.float32), requantized(sums, ending))
            assert len(requantized(sums, ending).unique()) > 20


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("splits", [2, 3, 8, 64])
def test_depth_split_over_blocks(emulated, splits):
    check_added(matrix(50, 70, 200, planes(2)), ATOMIC, splits)
    check_added(images((1, 12, 6, 6), 9, (3, 3), Geometry(padding=(1, 1)), planes(1)), ATOMIC, splits)


def test_choices_are_variants():
    made = []
    for device in DEVICES.values():
        for memory in row_add.MEMORIES:
            made += [row_add.macros(tile, memory, words) for tile in row_add.TILES for words in (1, 2)
                     if row_add.fits(tile, memory, device.shared)]
    assert all(macros in row_add.VARIANTS for macros in made)
    assert all(any(row_add.fits(tile, memory, 65536) for tile in row_add.TILES) for memory in row_add.MEMORIES[-1:])


def test_splits_fill_the_machine():
    facts = DEVICES["H200"]
    windows = matrix(100, 1, 600, planes(1)).windows
    assert row_add.splits(windows, 64, 1, facts) > 1
    assert row_add.splits(windows._replace(rows=2**21), 64, 1, facts) == 1
    assert row_add.splits(windows._replace(depth=64), 64, 1, facts) == 1
