"""Requantisation, alone and fused into products, and sums of branches: every back end against Python's integers."""

import itertools

import numpy as np
import pytest
import torch

from agn_hw.kernels import Finish, Geometry, autograd, native, portable
from tests.agn_hw import oracles
from tests.agn_hw.kernels.operands import LARGEST, SMALLEST, TABLES, finish, operands, random_bytes, threads

RANGES = [(0, 255), (-128, 127), (-32768, 32767)]
CHANNELS = 83  # every shift twice

requantize, add_codes = autograd.requantize, autograd.add_codes


def sums(constants: Finish, seed: int = 0) -> torch.Tensor:
    """int32 [11, channels, 3]: random ones, the extremes, and many whose codes lie within the range, ties included."""
    generator = np.random.default_rng(seed)
    bias, factor = constants.bias.numpy(), constants.factor.numpy()
    shape = (6, len(bias), 3)
    near = generator.integers(constants.low - 2, constants.high + 3, shape) - 0.5 * generator.integers(0, 2, shape)
    near = np.rint(near / factor[:, None] - bias[:, None])
    anything = generator.integers(SMALLEST, LARGEST + 1, (4, len(bias), 3))
    ends = np.broadcast_to(np.array([SMALLEST, LARGEST, 0]), (1, len(bias), 3))
    return torch.from_numpy(np.concatenate([near, anything, ends]).clip(SMALLEST, LARGEST).astype(np.int32))


def expected(total: torch.Tensor, constants: Finish) -> np.ndarray:
    """With Python's integers, from sums int32 [B, N, ...]."""
    shift = np.arange(len(constants.bias)) % 40 + 1
    multiplier = (constants.factor.numpy() * 2.0**shift).astype(np.int64)
    assert np.array_equal(multiplier * 2.0**-shift, constants.factor.numpy())
    biased = total.numpy().astype(np.int64) + constants.bias.numpy().astype(np.int64).reshape(
        1, -1, *[1] * (total.dim() - 2)
    )
    return oracles.requantize(biased, multiplier, shift, constants.low, constants.high)


@pytest.mark.parametrize("low, high", RANGES)
@pytest.mark.parametrize("largest_bias", [LARGEST, 3000])
def test_requantize(back_end, low, high, largest_bias):
    constants = finish(CHANNELS, low, high, largest_bias=largest_bias)
    total = sums(constants)
    wanted = expected(total, constants)
    assert len(np.unique(wanted)) > 200 and wanted.min() == low and wanted.max() == high
    for given in (total, total.double()):
        y = requantize(given, *constants)
        assert y.dtype == torch.float32 and y.is_contiguous() and np.array_equal(oracles.integers(y), wanted)
    assert np.array_equal(oracles.integers(portable.requantize(total, constants)), wanted)
    small = total.clamp(-(2**24) + 1, 2**24 - 1)
    y = requantize(small.float(), *constants)
    assert np.array_equal(oracles.integers(y), oracles.integers(portable.requantize(small, constants)))


def test_requantize_of_any_shape_and_layout(back_end):
    constants = finish(5, -128, 127, largest_bias=9000)
    total = sums(constants, seed=1)[:, :, :, None].expand(-1, -1, -1, 4).contiguous()
    wanted = oracles.integers(portable.requantize(total, constants))
    strided = (total.transpose(0, 3).contiguous().transpose(0, 3), total.contiguous(memory_format=torch.channels_last))
    for given in strided:
        assert np.array_equal(oracles.integers(requantize(given, *constants)), wanted)
    assert np.array_equal(oracles.integers(requantize(total[:, :, 0, 0], *constants)), wanted[:, :, 0, 0])
    for empty in (total[:0], total[:, :, :0]):
        assert requantize(empty, *constants).shape == empty.shape


def test_constants_may_be_strided(back_end):
    """An expanded scalar has one number in memory, whatever its shape says."""
    bias, factor = torch.tensor(-40.0).double().expand(7), torch.tensor([0.25, 9.0]).double().repeat(7)[::2]
    total = torch.arange(7, dtype=torch.int32)[None] * 100
    wanted = portable.requantize(total, Finish(bias, factor, -128, 127))
    assert torch.equal(requantize(total, bias, factor, -128, 127), wanted)
    x, w = torch.full((2, 1), 3.0), torch.arange(7.0)[:, None]
    y = autograd.linear(x, w, TABLES["exact"], [], torch.tensor(1.0).double(), [], bias, factor, -128, 127)
    assert torch.equal(y, portable.requantize((x @ w.t()), Finish(bias, factor, -128, 127)))


@pytest.mark.parametrize("low, high", RANGES)
@pytest.mark.parametrize("table", ["product and a byte", "four bytes", "zero"])
def test_fused_into_matrix_products(isa, table, low, high):
    """Codes are those of the sums, requantised apart."""
    for rows, columns in ((1, 1), (130, 17), (70, CHANNELS), (3, 130)):
        x, w = operands(rows, 40, columns)
        constants = finish(columns, low, high, largest_bias=LARGEST if columns == CHANNELS else 200_000)
        split = native.split(TABLES[table])
        packed = native.pack(split, w)
        for kernel in (native.ROW_ADD, native.COLUMNS):
            total = native.matmul(split, packed, columns, x, kernel=kernel)
            y = native.matmul(split, packed, columns, x, constants, kernel)
            assert y.dtype == torch.float32 and torch.equal(y, portable.requantize(total, constants))


@pytest.mark.parametrize("low, high", RANGES)
@pytest.mark.parametrize("geometry", [
    Geometry(), Geometry((2, 1), (1, 2), (1, 2), 1, 9), Geometry((1, 2), (1, 1), groups=2),
])
def test_fused_into_convolutions(isa, geometry, low, high):
    x = random_bytes(2, 4, 9, 8)
    for outputs in (6, 140):
        w = random_bytes(outputs, 4 // geometry.groups, 3, 2, seed=1)
        constants = finish(outputs, low, high, largest_bias=90_000)
        for slopes, kernel in itertools.product((True, False), (native.ROW_ADD, native.COLUMNS)):
            split = native.split(TABLES["product and a byte"], slopes)
            packed = native.pack_conv2d(split, w, geometry)
            total = native.conv2d(split, packed, w.shape, x, geometry, kernel=kernel)
            y = native.conv2d(split, packed, w.shape, x, geometry, constants, kernel)
            assert y.dtype == torch.float32 and torch.equal(y, portable.requantize(total, constants))


@pytest.mark.parametrize("low, high", RANGES[:2])
@pytest.mark.parametrize("multipliers, shift", [
    ((16384, 20000), 15), ((32767, 1), 16), ((1, 0), 1), ((3, 32767), 40), ((32767, 32767), 1),
])
def test_add_codes(back_end, low, high, multipliers, shift):
    left, right = torch.meshgrid(torch.arange(-128.0, 256.0), torch.arange(-130.0, 257.0), indexing="ij")
    total = oracles.integers(left) * multipliers[0] + oracles.integers(right) * multipliers[1]
    wanted = ((total + (1 << shift - 1)) >> shift).clip(low, high)
    scaled = torch.tensor([m * 2.0**-shift for m in multipliers], dtype=torch.float64)
    y = add_codes(left, right, scaled, low, high)
    assert y.dtype == torch.float32 and y.is_contiguous() and np.array_equal(oracles.integers(y), wanted)
    assert add_codes(left[:0], right[:0], scaled, low, high).shape == (0, 387)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_do_not_matter(isa, count):
    """Tensors large enough to be cut into parts, the last of them short."""
    constants = finish(6, -128, 127, largest_bias=500_000)
    total = sums(constants, seed=3)[..., None].expand(-1, -1, -1, 600).contiguous()
    left, right = ((torch.arange(70_001) * step % 256).float() for step in (3, 5))
    with threads(count):
        assert torch.equal(native.requantize(total, constants), portable.requantize(total, constants))
        wanted = portable.add_codes(left, right, 0.75, 0.5, 0, 255)
        assert torch.equal(native.add_codes(left, right, 0.75, 0.5, 0, 255), wanted)
