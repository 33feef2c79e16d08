"""Outputs computed straight from the images: against plain loops, in any order of threads."""

import numpy as np
import pytest
import torch

from agn_hw.kernels.cuda import direct
from agn_hw.kernels.cuda.images import ADD, WRITE, Output
from agn_hw.kernels.forms import Finish, Geometry
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS
from tests.agn_hw.kernels.cuda.residuals import as_int32, ending_of, numbers_of, requantized
from tests.agn_hw.kernels.operands import TABLES, codes, random_bytes

# images, weights, geometry
SHAPES = {
    "depthwise": ((2, 6, 13, 17), (6, 1, 3, 3), Geometry((1, 1), (1, 1), (1, 1), 6, 200)),
    "strides": ((3, 4, 12, 9), (4, 1, 3, 3), Geometry((2, 2), (1, 1), (1, 1), 4, 0)),
    "uneven": ((1, 3, 14, 11), (6, 1, 5, 2), Geometry((1, 3), (4, 2), (2, 3), 3, 9)),
    "more padding than image": ((2, 2, 2, 2), (2, 1, 2, 2), Geometry((2, 1), (5, 6), (3, 2), 2, 255)),
    "one output": ((1, 1, 1, 1), (1, 1, 1, 1), Geometry()),
    "groups of several": ((2, 6, 8, 7), (4, 3, 3, 3), Geometry((1, 1), (1, 0), (1, 1), 2, 17)),
    "more than fits the tables": ((2, 20, 6, 5), (2, 20, 3, 3), Geometry((1, 1), (1, 1), (1, 1), 1, 3)),
    "deep, for long": ((1, 36, 50, 60), (1, 36, 1, 1), Geometry()),
    "matrix": ((37, 70, 1, 1), (2, 70, 1, 1), Geometry()),
    "all tables": ((1, 8, 5, 5), (1, 8, 2, 2), Geometry()),
    "several blocks": ((3, 2, 61, 71), (2, 1, 2, 2), Geometry((1, 1), (0, 1), (1, 1), 2, 77)),
}
LUT = TABLES["17 bits"]


def sums_of(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, geometry: Geometry) -> np.ndarray:
    """int64 [B, N, H', W'] by plain loops."""
    (above, left), groups = geometry.padding, geometry.groups
    image = np.pad(x.numpy(), ((0, 0), (0, 0), (above, above), (left, left)), constant_values=geometry.padding_code)
    (high, wide), columns = geometry.output_size(x.shape, w.shape), len(w) // groups
    table = lut.numpy().astype(np.int64)
    y = np.zeros((len(x), len(w), high, wide), np.int64)
    for n in range(len(w)):
        for c in range(w.shape[1]):
            for i in range(w.shape[2]):
                for j in range(w.shape[3]):
                    top, start = i * geometry.dilation[0], j * geometry.dilation[1]
                    seen = image[:, n // columns * w.shape[1] + c, top:, start:]
                    seen = seen[:, : (high - 1) * geometry.stride[0] + 1 : geometry.stride[0],
                                : (wide - 1) * geometry.stride[1] + 1 : geometry.stride[1]]
                    y[:, n] += table[seen, w[n, c, i, j].item()]
    return y


def output(y: torch.Tensor, geometry: Geometry, mode: int = WRITE, ending: Finish | None = None) -> Output:
    return Output(y, None, *numbers_of(ending), y.shape[1] // geometry.groups, geometry.groups, mode)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums(emulated, shape):
    size, kernels, geometry = SHAPES[shape]
    x, w = random_bytes(*size, seed=1), random_bytes(*kernels, seed=2)
    want = sums_of(x, w, LUT, geometry)
    y = torch.full(want.shape, 12345, dtype=torch.int32)
    direct.few_columns(x, w, LUT, geometry, output(y, geometry))
    assert torch.equal(y, as_int32(want))
    direct.few_columns(x, w, LUT, geometry, output(y, geometry, ADD))
    assert torch.equal(y, as_int32(2 * want))


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("shape", ["depthwise", "groups of several", "more than fits the tables"])
def test_codes(emulated, shape):
    size, kernels, geometry = SHAPES[shape]
    x, w = random_bytes(*size, seed=3), random_bytes(*kernels, seed=4)
    want = as_int32(sums_of(x, w, LUT, geometry))
    ending = ending_of(want)
    y = torch.zeros(want.shape, dtype=torch.int32)
    direct.few_columns(x, w, LUT, geometry, output(y, geometry, ending=ending))
    made = y.view(torch.float32).flatten(2)
    assert torch.equal(made, requantized(want.flatten(2), ending)) and len(made.unique()) > 20


@pytest.mark.parametrize("shape", ["depthwise", "matrix"])
def test_codes_in_floats(emulated, shape):
    size, kernels, geometry = SHAPES[shape]
    x, w = codes(*size, low=-128, high=255, seed=5).detach(), random_bytes(*kernels, seed=6)
    want = sums_of(x.to(torch.int16).to(torch.uint8), w, LUT, geometry)
    y = torch.zeros(want.shape, dtype=torch.int32)
    direct.few_columns(x, w, LUT, geometry, output(y, geometry))
    assert torch.equal(y, as_int32(want))


@pytest.mark.parametrize("name", ["limits of int32", "all smallest", "one entry apart"])
def test_tables(emulated, name):
    """Sums wrap."""
    x, w = random_bytes(1, 2, 6, 6), random_bytes(2, 1, 3, 3)
    geometry = Geometry(padding=(1, 1), groups=2, padding_code=200)
    want = sums_of(x, w, TABLES[name], geometry)
    y = torch.zeros(want.shape, dtype=torch.int32)
    direct.few_columns(x, w, TABLES[name], geometry, output(y, geometry))
    assert torch.equal(y, as_int32(want))


def test_other_strides(emulated):
    size, kernels, geometry = SHAPES["groups of several"]
    x = random_bytes(*size).contiguous(memory_format=torch.channels_last)
    w, lut = random_bytes(*kernels).transpose(2, 3), LUT.t().contiguous().t()
    want = sums_of(x, w, LUT, geometry)
    y = torch.zeros(want.shape, dtype=torch.int32)
    direct.few_columns(x, w, lut, geometry, output(y, geometry))
    assert torch.equal(y, as_int32(want))


def test_blocks():
    assert direct._blocks(128 * 112 * 112, 32, 132) == 132
    assert direct._blocks(49, 1024, 132) == 1
    assert direct._blocks(5000, 1, 132) == 2
