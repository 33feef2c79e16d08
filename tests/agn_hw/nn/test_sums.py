"""Residual sums, average pooling and the network's two ends, against integer arithmetic."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.nn.layers import SIGNED, UNSIGNED, Dequantize, Quantize
from agn_hw.nn.requantize import multiplier_and_shift
from agn_hw.nn.sums import AveragePool, MaxPool, ResidualSum
from tests.agn_hw import oracles
from tests.agn_hw.nn.test_layers import images


@pytest.mark.parametrize("scales", [
    (0.02, 0.03, 0.04), (1.0, 1.0, 1.0), (0.5, 1e-7, 0.3), (1e-5, 3.0, 2.9), (1.0, 1.0, 2.0),
])
@pytest.mark.parametrize("output_range", [UNSIGNED, SIGNED])
def test_residual_sum(scales, output_range):
    layer = ResidualSum()
    layer.in_scales = torch.tensor(scales[:2], dtype=torch.float64)
    layer.out_scale = torch.tensor(scales[2], dtype=torch.float64)
    layer.output_range = output_range
    left = torch.arange(256.0)[:, None].expand(256, 256)
    right = torch.arange(-128.0, 128.0)[None, :].expand(256, 256)
    (first, second), shift = layer.integers()
    assert all(value == int(value) and 0 <= value < 2**15 for value in (first, second)) and 1 <= shift <= 40
    low, high = output_range
    half = 1 << (int(shift) - 1)
    total = oracles.integers(left) * int(first) + oracles.integers(right) * int(second)
    expected = np.clip((total + half) >> int(shift), low, high)
    y = layer(left, right)
    assert y.dtype == torch.float32 and np.array_equal(oracles.integers(y), expected)
    real = (left.double() * scales[0] + right.double() * scales[1]) / scales[2]
    assert (y - real.clamp(low, high)).abs().max() <= 0.52


@pytest.mark.parametrize("height, width", [(1, 1), (2, 2), (3, 5), (7, 7)])
def test_average_pool(height, width):
    layer = AveragePool()
    layer.in_scale, layer.out_scale = (torch.tensor(v, dtype=torch.float64) for v in (0.03, 0.02))
    x = images(20, 3, height, width)
    m, s = map(int, multiplier_and_shift(torch.tensor(0.03 / (0.02 * height * width), dtype=torch.float64)))
    total = oracles.integers(x).sum((2, 3), keepdims=True)
    expected = np.clip((total * m + (1 << (s - 1))) >> s, 0, 255)
    y = layer(x)
    assert y.shape == (20, 3, 1, 1) and np.array_equal(oracles.integers(y), expected)
    assert (y - (x.double().mean((2, 3), keepdim=True) * 1.5).clamp(0, 255)).abs().max() <= 0.51


def test_average_pool_rounds_half_up():
    assert AveragePool()(torch.tensor([[[[1.0, 2.0]], [[2.0, 3.0]]]])).flatten().tolist() == [2, 3]


def test_changed_scales_are_used_at_once():
    add, pool = ResidualSum(), AveragePool()
    x = images(2, 3, 4, 4)
    before = add(x, x), pool(x)
    add.in_scales[1] = 0.0
    pool.in_scale.mul_(0.5)
    assert torch.equal(add(x, x), x.clamp(*SIGNED)) and not torch.equal(before[0], add(x, x))
    assert torch.equal(pool(x), torch.floor(x.sum((2, 3), keepdim=True) / 32 + 0.5))
    assert not torch.equal(before[1], pool(x))


def test_average_of_large_images_stays_exact():
    layer = AveragePool()
    x = 255 - images(1, 2, 300, 300) % 2
    assert x.sum((2, 3)).min() > 2**24
    m, s = map(int, multiplier_and_shift(torch.tensor(1 / 90000, dtype=torch.float64)))
    expected = (oracles.integers(x).sum((2, 3), keepdims=True) * m + (1 << (s - 1))) >> s
    assert np.array_equal(oracles.integers(layer(x)), expected)


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


def test_ends():
    begin, end = Quantize(), Dequantize()
    begin.scale, end.scale = torch.tensor(0.5), torch.tensor(0.25)
    x = torch.tensor([-3.0, 0.24, 0.25, 0.75, 127.5, 200.0], requires_grad=True)
    y = begin(x)
    assert y.tolist() == [0, 0, 1, 2, 255, 255] and end(y).tolist() == [0, 0, 0.25, 0.5, 63.75, 63.75]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 2, 2, 2, 2, 0]
