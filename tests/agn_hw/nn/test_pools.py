"""Poolings on codes against sums over windows in Python's integers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.codes import SIGNED, UNSIGNED, Codes, affine, unsigned
from agn_hw.nn.pools import AveragePool, GlobalAverage, MaxPool
from agn_hw.nn.requantize import multiplier_and_shift
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import back_ends, images, using

Windows = list[list[tuple[int, int]]]
RANGES = [UNSIGNED, SIGNED, affine(8, 77), unsigned(3)]


def scaled(module: Any, in_scale: float, out_scale: float, in_codes: Codes = UNSIGNED, out_codes: Codes = UNSIGNED):
    module.in_codes, module.out_codes = (in_codes,), out_codes
    with torch.no_grad():
        module.in_scale.fill_(in_scale)
        module.out_scale.fill_(out_scale)
    return module


def means(total: np.ndarray, divisor: np.ndarray, ratio: float, codes: Codes) -> np.ndarray:
    """total [B, C, H, W] over divisor [H, W], rescaled: the formula of requantisation at every position."""
    y = np.zeros_like(total)
    for at in np.ndindex(*divisor.shape):
        m, s = map(int, multiplier_and_shift(torch.tensor(ratio / int(divisor[at]), dtype=torch.float64)))
        y[:, :, at[0], at[1]] = [[min(max((int(v) * m + (1 << (s - 1))) >> s, codes.low), codes.high) for v in row]
                                 for row in total[:, :, at[0], at[1]]]  # fmt: skip
    return y


def outputs(module: nn.Module, x: torch.Tensor) -> list[np.ndarray]:
    """Both back ends, with gradients and without."""
    found = []
    for compiled in back_ends():
        for mode in (torch.no_grad(), torch.enable_grad()):
            with using(compiled), mode:
                found.append(oracles.integers(module(x)))
    return found


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("codes", RANGES)
@pytest.mark.parametrize("height, width", [(1, 1), (2, 2), (3, 5), (7, 7)])
def test_global_average(height, width, codes, keepdim):
    layer = scaled(GlobalAverage(keepdim), 0.03, 0.02, codes, codes)
    x = images(20, 3, height, width, codes=codes)
    total = oracles.integers(x).sum((2, 3), keepdims=True)
    expected = means(total, np.full((1, 1), height * width), 0.03 / 0.02, codes)
    for y in outputs(layer, x):
        assert np.array_equal(y, expected if keepdim else expected[:, :, 0, 0])
    assert (layer(x).reshape(20, 3) - (x.double().mean((2, 3)) * 1.5).clamp(*codes)).abs().max() <= 0.51


def test_global_average_rounds_half_up():
    x = torch.tensor([[[[1.0, 2.0]], [[2.0, 3.0]], [[-1.0, -2.0]], [[-1.0, 0.0]]]])
    assert GlobalAverage()(x).flatten().tolist() == [2, 3, -1, 0]


def test_average_of_large_images_stays_exact():
    layer = scaled(GlobalAverage(), 1.0, 1.0)
    x = 255 - images(1, 2, 300, 300) % 2
    assert x.sum((2, 3)).min() > 2**24
    expected = means(oracles.integers(x).sum((2, 3), keepdims=True), np.full((1, 1), 90000), 1.0, UNSIGNED)
    assert all(np.array_equal(y, expected) for y in outputs(layer, x))


AVERAGES: dict[str, dict[str, Any]] = {
    "plain": dict(kernel_size=2),
    "overlapping": dict(kernel_size=3, stride=2),
    "padding": dict(kernel_size=3, stride=2, padding=1),
    "padding not counted": dict(kernel_size=3, stride=1, padding=1, count_include_pad=False),
    "ceil mode": dict(kernel_size=2, stride=2, ceil_mode=True),
    "ceil mode, padding": dict(kernel_size=3, stride=2, padding=1, ceil_mode=True),
    "ceil mode, padding not counted": dict(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    "divisor": dict(kernel_size=(2, 3), stride=1, divisor_override=5),
    "divisor and padding": dict(kernel_size=3, padding=1, ceil_mode=True, divisor_override=7),
    "rectangles": dict(kernel_size=(1, 4), stride=(2, 1), padding=(0, 2)),
    "steps over pixels": dict(kernel_size=2, stride=3, ceil_mode=True),
}


def windows(size: tuple[int, ...], module: nn.AvgPool2d) -> tuple[Windows, np.ndarray]:
    """The windows of each axis, and what each window's sum is divided by, from torch's description.

    A window may begin inside the image or the padding before it; with ceil_mode it may end outside.
    """
    found, sizes = [], []
    for axis, length in enumerate(size):
        kernel, stride, padding = (
            value if isinstance(value, int) else value[axis]
            for value in (module.kernel_size, module.stride, module.padding)
        )
        last = length - 1 if module.ceil_mode else length + padding - kernel
        found.append([(start, start + kernel) for start in range(-padding, last + 1, stride)])
        low, high = (-padding, length + padding) if module.count_include_pad else (0, length)
        sizes.append([min(end, high) - max(start, low) for start, end in found[-1]])
    divisor = np.outer(*sizes)
    return found, np.full_like(divisor, module.divisor_override) if module.divisor_override else divisor


@pytest.mark.parametrize("codes", RANGES)
@pytest.mark.parametrize("size", [(7, 8), (6, 5), (4, 4)])
@pytest.mark.parametrize("arguments", AVERAGES.values(), ids=AVERAGES)
def test_average_pool(arguments, size, codes):
    source = nn.AvgPool2d(**arguments)
    x = images(2, 3, *size, codes=codes)
    where, divisor = windows(size, source)
    expected = means(oracles.average_pool(oracles.integers(x), where), divisor, 0.03 / 0.02, codes)
    layer = scaled(AveragePool(source), 0.03, 0.02, codes, codes)
    assert all(np.array_equal(y, expected) for y in outputs(layer, x))
    assert (layer(x) - (source(x.double()) * 1.5).clamp(*codes)).abs().max() <= 0.52


@pytest.mark.parametrize("codes", RANGES)
@pytest.mark.parametrize("size", [(7, 8), (5, 3), (1, 1)])
@pytest.mark.parametrize("output", [1, 2, 3, (3, 2), 6, (9, 11), (None, 2), (2, None)], ids=str)
def test_adaptive_average_pool(output, size, codes):
    """Also to more pixels than there are; window i reaches from floor(i * L / n) to ceil((i + 1) * L / n)."""
    wanted = [length if n is None else n
              for n, length in zip(output if isinstance(output, tuple) else (output,) * 2, size, strict=True)]
    where = [[(i * length // n, ((i + 1) * length + n - 1) // n) for i in range(n)]
             for n, length in zip(wanted, size, strict=True)]
    divisor = np.outer(*[[end - start for start, end in axis] for axis in where])
    x = images(2, 3, *size, codes=codes)
    expected = means(oracles.average_pool(oracles.integers(x), where), divisor, 0.03 / 0.02, codes)
    source = nn.AdaptiveAvgPool2d(output)
    layer = scaled(AveragePool(source), 0.03, 0.02, codes, codes)
    assert all(np.array_equal(y, expected) for y in outputs(layer, x))
    assert (layer(x) - (source(x.double()) * 1.5).clamp(*codes)).abs().max() <= 0.52


def test_both_averages_of_everything_agree():
    x = images(3, 4, 7, 6)
    whole, windows_ = scaled(GlobalAverage(), 0.03, 0.02), scaled(AveragePool(nn.AdaptiveAvgPool2d(1)), 0.03, 0.02)
    assert torch.equal(whole(x), windows_(x))


def test_an_empty_batch_has_no_means():
    for module in (GlobalAverage(), AveragePool(nn.AvgPool2d(2)), MaxPool(nn.MaxPool2d(2))):
        y = module(torch.zeros(0, 3, 4, 4))
        assert y.shape[:2] == (0, 3)


@torch.no_grad()
def test_changed_scales_are_used_at_once():
    x = images(2, 3, 4, 4)
    for pool in (GlobalAverage(), AveragePool(nn.AdaptiveAvgPool2d(1))):
        before = scaled(pool, 1.0, 1.0)(x)
        pool.in_scale.mul_(0.5)
        assert torch.equal(pool(x), torch.floor(x.sum((2, 3), keepdim=True) / 32 + 0.5))
        assert not torch.equal(before, pool(x))


POOLS = [dict(kernel_size=3, stride=2, padding=1), dict(kernel_size=2), dict(kernel_size=(3, 2), stride=1, dilation=2),
         dict(kernel_size=3, stride=2, ceil_mode=True)]


@pytest.mark.parametrize("arguments", POOLS)
@pytest.mark.parametrize("lowest", [0, -128])
def test_max_pool(arguments, lowest):
    layer = MaxPool(nn.MaxPool2d(**arguments))
    x = images(2, 3, 7, 8) + lowest
    y = layer(x)
    assert y.is_contiguous() and np.array_equal(oracles.integers(y), oracles.max_pool(oracles.integers(x), **arguments))


def test_max_pool_passes_the_gradient_to_the_first_of_equals():
    x = (images(2, 3, 8, 8) % 4).requires_grad_()
    source = nn.MaxPool2d(3, 2, 1)
    weight = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5))
    found, expected = (torch.autograd.grad((pool(x) * weight).sum(), x)[0] for pool in (MaxPool(source), source))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("source", [nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d((3, 5)), None])
def test_averages_pass_the_gradient_of_the_mean(source):
    """Where nothing is clipped; up to the 15 bits of the factor."""
    pool = scaled(GlobalAverage() if source is None else AveragePool(source), 0.03, 0.02, SIGNED, Codes(-9999, 9999))
    plain = source or nn.AdaptiveAvgPool2d(1)
    x = images(2, 3, 7, 8, codes=SIGNED).requires_grad_()
    weight = torch.rand(plain(x).shape, generator=torch.Generator().manual_seed(5))
    found, expected = (torch.autograd.grad((layer(x) * weight).sum(), x)[0] for layer in (pool, plain))
    torch.testing.assert_close(found, 1.5 * expected, rtol=1e-4, atol=1e-6)
