"""Gradients by tables of derivatives, against loops over single products in float64."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agn_hw.kernels import table_gradients
from agn_hw.kernels.autograd import conv2d, conv2d_sums, linear, linear_sums
from tests.agn_hw import oracles
from tests.agn_hw.kernels.operands import codes, finish
from tests.agn_hw.kernels.test_conv2d import CASES
from tests.agn_hw.tables import exact_table8, random_table8

GAIN = torch.tensor(0.37, dtype=torch.float64)
LUT = random_table8(0, 2000)
WIDE = (-(2**15), 2**15 - 1)
Factors = list[torch.Tensor]


def random_factors(ranks: tuple[int, int], ones: tuple[int, ...] = ()) -> Factors:
    """[ux, vx, uw, vw] of two random tables; those in `ones` are left out, which stands for ones."""
    made = []
    for k, rank in enumerate((ranks[0], ranks[0], ranks[1], ranks[1])):
        made.append(torch.randn(0 if k in ones else 256, rank, generator=torch.Generator().manual_seed(k)))
    return made


def tables(factors: Factors) -> tuple[np.ndarray, np.ndarray]:
    """dT/dx and dT/dw, float64 [256 activation bytes, 256 weight bytes]."""
    full = [(factor if len(factor) else torch.ones(256, 1)).double().numpy() for factor in factors]
    return full[0] @ full[1].T, full[2] @ full[3].T


def slow_gradients(
    grad: np.ndarray, x: np.ndarray, w: np.ndarray, factors: Factors, geometry: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Of codes x [B, C, H, W] and w [N, C / groups, kh, kw], from that of the sums: one product after another."""
    (stride, padding, dilation, groups), (by_x, by_w) = geometry, tables(factors)
    (_, _, height, width), (channels, depth, kh, kw) = x.shape, w.shape
    to_x, to_w = np.zeros(x.shape), np.zeros(w.shape)
    for n, r, c, d, i, j in np.ndindex(channels, *grad.shape[2:], depth, kh, kw):
        row = r * stride[0] + i * dilation[0] - padding[0]
        column = c * stride[1] + j * dilation[1] - padding[1]
        channel, byte = n // (channels // groups) * depth + d, w[n, d, i, j] & 255
        if 0 <= row < height and 0 <= column < width:
            pixel = x[:, channel, row, column] & 255
            to_x[:, channel, row, column] += grad[:, n, r, c] * by_x[pixel, byte]
        else:
            pixel = np.zeros(len(x), int)
        to_w[n, d, i, j] += (grad[:, n, r, c] * by_w[pixel, byte]).sum()
    return to_x, to_w


def check(found: tuple[torch.Tensor, ...], expected: tuple[np.ndarray, np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        largest = np.abs(other).max()
        assert largest > 0 and one.dtype == torch.float32
        np.testing.assert_allclose(one.double().numpy(), other, rtol=1e-4, atol=2e-6 * largest)


def operands(case: str) -> tuple[torch.Tensor, torch.Tensor, tuple]:
    channels, outputs, kernel, geometry, height, width = CASES[case]
    x = codes(3, channels, height, width, low=-128, high=255)
    return x, codes(outputs, channels // geometry[3], *kernel, low=-128, high=127, seed=1), geometry


SMALL = [case for case in CASES if case not in ("many groups", "depthwise, many")]
KINDS = [((1, 1), (0, 3)), ((1, 1), ()), ((2, 3), ()), ((1, 2), (1, 0)), ((1, 1), (0, 1, 2, 3))]


@pytest.mark.parametrize("ranks, ones", KINDS)
@pytest.mark.parametrize("case", SMALL)
def test_convolutions(case, ranks, ones):
    x, w, geometry = operands(case)
    factors = random_factors(ranks, ones)
    y = conv2d_sums(x, w, LUT, [], GAIN, factors, *geometry)
    grad = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    found = torch.autograd.grad(y, (x, w), grad)
    check(found, slow_gradients(grad.numpy(), oracles.integers(x), oracles.integers(w), factors, geometry))


@pytest.mark.parametrize("ranks, ones", KINDS)
def test_matrix_products(ranks, ones):
    x, w = codes(7, 30, low=-128, high=255), codes(5, 30, low=-128, high=127, seed=1)
    factors = random_factors(ranks, ones)
    y = linear_sums(x, w, LUT, [], GAIN, factors)
    grad = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    found = torch.autograd.grad(y, (x, w), grad)
    images = (tensor[..., None, None] for tensor in (grad.numpy(), oracles.integers(x), oracles.integers(w)))
    expected = slow_gradients(*images, factors, ([1, 1], [0, 0], [1, 1], 1))
    check(found, tuple(gradient[:, :, 0, 0] for gradient in expected))


@pytest.mark.parametrize("low, high", [(-128, 127), WIDE])
def test_fused_with_requantisation(back_end, low, high):
    """The factor of each channel multiplies; a code at a limit has no gradient; gain is in the tables already."""
    x, w, geometry = operands("everything")
    factors = random_factors((2, 3))
    constants = finish(6, low, high, largest_bias=3000)._replace(factor=torch.linspace(0.004, 0.02, 6).double())
    y = conv2d(x, w, LUT, [], GAIN, factors, *constants, *geometry)
    inside = ((y > low) & (y < high)).double()
    assert inside.any() and (low < -200 or not inside.all())
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(7))
    found = torch.autograd.grad(y, (x, w), grad)
    of_sums = grad.double() * inside * constants.factor.reshape(-1, 1, 1)
    check(found, slow_gradients(of_sums.numpy(), oracles.integers(x), oracles.integers(w), factors, geometry))

    x, w = codes(7, 1, 6, 5, low=-128, high=255), codes(6, 1, 6, 5, low=-128, high=127)
    y = linear(x.flatten(1), w.flatten(1), LUT, [], GAIN, factors, *constants)
    inside = ((y > low) & (y < high)).double()
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(7))
    found = torch.autograd.grad(y, (x, w), grad)
    of_sums = (grad.double() * inside * constants.factor)[:, :, None, None]
    plain = ([1, 1], [0, 0], [1, 1], 1)
    check(found, slow_gradients(of_sums.numpy(), oracles.integers(x), oracles.integers(w), factors, plain))


def test_factors_of_the_exact_product_are_straight_through():
    """dT/dx = gain * w, dT/dw = gain * x, written as factors."""
    gain = float(GAIN)
    by_code = torch.arange(256.0)[:, None]
    by_weight = by_code.to(torch.uint8).view(torch.int8).float()
    factors = [by_code[:0], gain * by_weight, gain * by_code, by_code[:0]]
    geometry = CASES["everything"][3]
    x, w = codes(3, 4, 9, 6, low=0, high=255), codes(6, 2, 2, 3, low=-128, high=127, seed=1)
    results = []
    for gradient in ([], factors):
        y = conv2d_sums(x, w, exact_table8(), [], GAIN, gradient, *geometry)
        grad = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
        results.append(torch.autograd.grad(y, (x, w), grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def test_padding_has_the_tables_gradient():
    """A window of padding alone: the weight's gradient is that of the code 0."""
    factors = random_factors((1, 1))
    x, w = torch.full((1, 1, 1, 1), 9.0), torch.full((1, 1, 1, 1), 5.0).requires_grad_()
    y = conv2d_sums(x, w, LUT, [], GAIN, factors, [1, 1], [1, 1], [1, 1], 1)
    (to_w,) = torch.autograd.grad(y.sum(), w)
    by_w = tables(factors)[1]
    assert to_w.item() == pytest.approx(8 * by_w[0, 5] + by_w[9, 5], rel=1e-5)


@pytest.mark.parametrize("factors", [[], random_factors((2, 2))])
def test_only_wanted_gradients(factors, monkeypatch):
    x, w, geometry = operands("plain")
    every = torch.autograd.grad(conv2d_sums(x, w, LUT, [], GAIN, factors, *geometry).sum(), (x, w))
    asked = []
    backward = table_gradients._convolution_backward
    monkeypatch.setattr(
        table_gradients, "_convolution_backward", lambda *given: asked.append(given[4]) or backward(*given)
    )
    y = conv2d_sums(x.detach(), w, LUT, [], GAIN, factors, *geometry)
    assert torch.equal(torch.autograd.grad(y.sum(), w)[0], every[1])
    assert asked and all(needed == [False, True] for needed in map(list, asked))
    asked.clear()
    y = conv2d_sums(x, w.detach(), LUT, [], GAIN, factors, *geometry)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], every[0])
    assert asked and all(needed == [True, False] for needed in map(list, asked))


def test_as_many_products_as_straight_through(monkeypatch):
    """One-dimensional slopes: two convolutions backward, and no multiplication by ones."""
    x, w, geometry = operands("plain")
    calls = []
    monkeypatch.setattr(table_gradients, "_looked_up", lambda *given: calls.append(given[0]) or F.relu(given[1]))
    conv2d_sums(x, w, LUT, [], GAIN, random_factors((1, 1), (0, 3)), *geometry).sum().backward()
    assert len(calls) == 2 and all(len(column) == 256 for column in calls)
