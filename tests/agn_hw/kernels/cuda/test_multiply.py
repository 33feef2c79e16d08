"""Terms on tensor cores: against plain sums, for tiles of all sizes, in any order of threads."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from agn_hw.kernels.cuda import form, multiply
from agn_hw.kernels.cuda import images as layouts
from agn_hw.kernels.cuda.images import ADD, ATOMIC, WRITE, Output, Windows, depth_of, padded_channels
from agn_hw.kernels.cuda.launch import Facts
from agn_hw.kernels.forms import Finish, Geometry
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS
from tests.agn_hw.kernels.cuda.residuals import as_int32, numbers_of, requantized
from tests.agn_hw.kernels.operands import finish

DEVICES = {
    "H200": Facts("sm_90", 132, 232448),
    "A100": Facts("sm_80", 108, 166912),
    "RTX 4090": Facts("sm_89", 128, 101376),
    "T4": Facts("sm_75", 40, 65536),
}


class Table(NamedTuple):
    """Terms as a form has them: expand uint8 [T, 256], factor int8 [T, 256]; and the numbers."""

    expand: np.ndarray
    factor: np.ndarray
    numbers: SimpleNamespace

    @property
    def words(self) -> torch.Tensor:
        scaled = self.numbers.scaled
        words = [form._words(self.expand[:scaled]), form._words(self.expand[scaled:])]
        return torch.from_numpy(np.concatenate(words).view(np.int32))

    def entries(self) -> np.ndarray:
        """int64 [x, w]."""
        scale = np.where(np.arange(self.numbers.terms) < self.numbers.scaled, 256, 1)
        entries = np.einsum("t,tx,tw->xw", scale, self.expand.astype(np.int64), self.factor.astype(np.int64))
        return entries << self.numbers.shift


def table(terms: int, scaled: int = 0, shift: int = 0, seed: int = 0) -> Table:
    """Random terms, with the ends of their ranges often."""
    generator = np.random.default_rng(seed)
    expand = generator.integers(-99, 356, (terms, 256)).clip(0, 255).astype(np.uint8)
    factor = generator.integers(-180, 180, (terms, 256)).clip(-128, 127).astype(np.int8)
    return Table(expand, factor, SimpleNamespace(terms=terms, scaled=scaled, shift=shift))


class Case(NamedTuple):
    """A product: windows of activations, packed factors, and the sums int64 [B, N, size]."""

    windows: Windows
    factors: torch.Tensor
    table: Table
    sums: np.ndarray
    groups: int

    def add(self, y: torch.Tensor, mode: int, start=None, ending: Finish | None = None, splits: int = 1) -> None:
        output = Output(y, start, *numbers_of(ending), self.sums.shape[1] // self.groups, self.groups, mode)
        multiply.add_terms(self.windows, self.table.words, self.factors, self.table.numbers, output, splits)


def matrix(rows: int, columns: int, depth: int, terms: Table, seed: int = 1) -> Case:
    """x [rows, depth] by weights [columns, depth]."""
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 256, (rows, depth), np.uint8)
    w = generator.integers(0, 256, (columns, depth, 1, 1), np.uint8)
    padded = np.pad(x, ((0, 0), (0, padded_channels(depth) - depth)), constant_values=201)
    sums = _sums(x[:, :, None], w.reshape(columns, depth), terms).reshape(rows, columns, 1)
    return Case(layouts.windows_of_matrix(torch.from_numpy(padded)), _factors(w, 1, terms), terms, sums, 1)


def images(
    size: tuple[int, int, int, int], columns: int, kernel: tuple[int, int], geometry: Geometry, terms: Table
) -> Case:
    """Images [B, C, H, W] by `columns` kernels a group."""
    generator = np.random.default_rng(3)
    batch, channels, groups = *size[:2], geometry.groups
    group = channels // groups
    x = generator.integers(0, 256, size, np.uint8)
    w = generator.integers(0, 256, (columns * groups, group, *kernel), np.uint8)
    out = geometry.output_size(torch.Size(size), torch.Size(w.shape))
    (above, left), (down, right), (high, wide) = geometry.padding, geometry.stride, geometry.dilation
    x = np.pad(x, ((0, 0), (0, 0), (above, above), (left, left)), constant_values=geometry.padding_code)
    image = generator.integers(0, 256, (batch, *x.shape[2:], groups, padded_channels(group)), np.uint8)
    image[..., :group] = x.transpose(0, 2, 3, 1).reshape(*image.shape[:3], groups, group)
    taps = [
        x[:, :, i * high :, j * wide :][:, :, : (out[0] - 1) * down + 1 : down, : (out[1] - 1) * right + 1 : right]
        for i in range(kernel[0]) for j in range(kernel[1])
    ]
    seen = np.stack(taps, axis=2).reshape(batch, groups, -1, out[0] * out[1])
    kernels = w.reshape(groups, columns, -1)
    sums = np.concatenate([_sums(seen[:, g], kernels[g], terms) for g in range(groups)], axis=1)
    image = torch.from_numpy(image.reshape(*image.shape[:3], -1))
    windows = layouts.windows_of_images(image, torch.Size(w.shape), out, geometry)
    return Case(windows, _factors(w, groups, terms), terms, sums, groups)


def _sums(x: np.ndarray, w: np.ndarray, terms: Table) -> np.ndarray:
    """x [B, K, size], w [N, K] -> [B, N, size]."""
    entries = terms.entries()
    return np.stack([entries[x, row[None, :, None]].sum(axis=1) for row in w], axis=1)


def _factors(w: np.ndarray, groups: int, terms: Table) -> torch.Tensor:
    """As packing.pack makes them of weights [N, C/groups, kh, kw]."""
    columns, channels, taps = len(w) // groups, w.shape[1], w[0, 0].size
    padded, padded_columns = padded_channels(channels), 64 if columns <= 64 else -(-columns // 128) * 128
    filled = np.zeros((groups, len(terms.factor), padded_columns, depth_of(taps, channels)), np.int8)
    laid = np.zeros((len(terms.factor), groups, columns, taps, padded), np.int8)
    laid[..., :channels] = terms.factor[:, w.reshape(groups, columns, channels, taps).transpose(0, 1, 3, 2)]
    filled[:, :, :columns, : taps * padded] = laid.reshape(*laid.shape[:3], -1).transpose(1, 0, 2, 3)
    return torch.from_numpy(filled)


def noise(case: Case) -> torch.Tensor:
    """Sums that are there before."""
    return as_int32(np.random.default_rng(5).integers(-(2**31), 2**31, case.sums.shape))


def check(case: Case) -> None:
    y = noise(case)
    case.add(y, WRITE)
    assert torch.equal(y, as_int32(case.sums))


def choose(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Blocks of so many columns."""
    monkeypatch.setattr(multiply, "CYCLES", {columns: 1})
    multiply._best.cache_clear()


@pytest.fixture(autouse=True)
def forget():
    yield
    multiply._best.cache_clear()


@pytest.mark.parametrize("columns", multiply.CYCLES)
@pytest.mark.parametrize("terms, scaled", [(1, 0), (2, 1), (3, 0), (4, 4), (5, 0), (7, 5), (16, 5), (6, 1)])
def test_terms(emulated, monkeypatch, terms, scaled, columns):
    choose(monkeypatch, columns)
    check(matrix(130, 66, 150, table(terms, scaled, shift=terms % 3)))


@pytest.mark.parametrize("device", DEVICES)
def test_devices(emulated, device):
    emulated.device = DEVICES[device]
    for terms in (1, 2, 5):
        check(matrix(129, 65, 200, table(terms, 1)))
    check(images((2, 6, 7, 6), 5, (3, 2), Geometry((1, 2), (1, 1), (2, 1), 2, 77), table(4)))


@pytest.mark.parametrize("columns", multiply.CYCLES)
@pytest.mark.parametrize("size", [(1, 1, 1), (127, 33, 64), (129, 64, 65), (300, 130, 130), (17, 257, 33)], ids=str)
def test_ragged_matrices(emulated, monkeypatch, size, columns):
    choose(monkeypatch, columns)
    check(matrix(*size, table(2)))


@pytest.mark.parametrize("size, columns, kernel, geometry", [
    ((1, 3, 12, 12), 16, (3, 3), Geometry((1, 1), (1, 1), (1, 1), 1, 128)),
    ((3, 3, 14, 9), 5, (7, 7), Geometry((2, 2), (3, 3), (1, 1), 1, 0)),
    ((2, 8, 7, 7), 70, (1, 1), Geometry((2, 1), (0, 0), (1, 1), 1, 3)),
    ((2, 16, 6, 7), 7, (2, 3), Geometry((1, 1), (2, 0), (1, 2), 2, 250)),
    ((2, 32, 6, 5), 9, (3, 3), Geometry((1, 2), (2, 1), (2, 1), 2, 255)),
    ((1, 80, 4, 4), 3, (2, 2), Geometry((1, 1), (0, 1), (1, 1), 4, 9)),
    ((2, 100, 5, 5), 33, (1, 1), Geometry((2, 2), (0, 0), (1, 1), 1, 0)),
], ids=str)
def test_convolutions(emulated, size, columns, kernel, geometry):
    check(images(size, columns, kernel, geometry, table(2, 1)))


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("columns", multiply.CYCLES)
def test_modes_and_codes(emulated, monkeypatch, columns):
    choose(monkeypatch, columns)
    images_ = images((2, 20, 4, 9), 11, (2, 2), Geometry(padding=(1, 0)), table(3, 1, shift=1))
    for case in (matrix(37, 70, 200, table(5, 1)), images_):
        channels = case.sums.shape[1]
        start = torch.arange(channels, dtype=torch.int32) * 1000 - 7
        y = noise(case)
        case.add(y, WRITE, start)
        assert torch.equal(y, as_int32(case.sums + start.numpy()[:, None]))
        ending = finish(channels, -128, 127, largest_bias=2**20)
        expected = requantized(y, ending)
        case.add(y, WRITE, start, ending)
        assert torch.equal(y.view(torch.float32), expected)
        for mode in (ADD, ATOMIC):
            y = noise(case)
            case.add(y, mode, start)
            assert torch.equal(y, as_int32(noise(case).numpy() + case.sums))


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("splits", [2, 3, 5])
def test_depth_split_over_blocks(emulated, splits):
    wide = images((1, 48, 6, 6), 9, (3, 3), Geometry(padding=(1, 1)), table(2))
    for case in (matrix(50, 70, 300, table(5, 3)), matrix(9, 5, 100, table(1)), wide):
        y = noise(case)
        case.add(y, ATOMIC, splits=splits)
        assert torch.equal(y, as_int32(noise(case).numpy() + case.sums))


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_every_choice_fits(device):
    for columns in (1, 65, 200, 4096):
        for rows in (1, 1000, 2**20):
            width, cut = multiply._best(rows, columns, 1, 64, device)
            assert 1 <= cut <= 16
            for terms in range(1, 17):
                quad = multiply.quad_of(width, table(terms, terms // 2).numbers, device.shared)
                assert multiply.shared_bytes(width, quad) <= device.shared
                assert multiply.macros(width, quad) in multiply.VARIANTS


def test_choices_of_an_h200():
    facts = DEVICES["H200"]
    windows = matrix(1, 1, 1, table(1)).windows
    assert multiply._best(4096, 4096, 1, 64, facts) == (256, 1)
    assert multiply._best(2**20, 64, 1, 9, facts) == (64, 1)
    assert multiply.splits(windows._replace(rows=128, depth=4096), 128, 1, facts) > 8
    assert multiply.splits(windows._replace(rows=128, depth=64), 128, 1, facts) == 1
    for terms, scaled, quad in [(1, 0, 1), (2, 1, 1), (2, 0, 2), (3, 0, 4), (9, 6, 4)]:
        assert multiply.quad_of(256, table(terms, scaled).numbers, facts.shared) == quad
