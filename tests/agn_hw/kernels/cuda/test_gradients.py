"""Gradients by tables of derivatives, all ranks at once: as rank by rank on the CPU."""

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from agn_hw.kernels import table_gradients
from agn_hw.kernels.cuda import gradients
from agn_hw.kernels.op import geometry_of
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS
from tests.agn_hw.kernels.operands import codes
from tests.agn_hw.kernels.test_conv2d import CASES
from tests.agn_hw.kernels.test_table_gradients import random_factors

KINDS = [((1, 1), (0, 3)), ((1, 1), ()), ((3, 2), ()), ((1, 2), (1, 0)), ((2, 1), (2, 3)), ((1, 1), (0, 1, 2, 3))]
SOME = ("plain", "unequal stride and padding", "everything", "groups", "depthwise", "depthwise, two outputs",
        "first layer", "only padding outside")


def random(*shape: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def looked_up(factor: torch.Tensor, of: torch.Tensor) -> np.ndarray:
    """float32 [A, R, ...] of codes [A, ...]."""
    return np.moveaxis(factor.numpy()[of.numpy().astype(np.int64) & 255], -1, 1)


@pytest.mark.parametrize("less_zero", [False, True])
@pytest.mark.parametrize("shape", [(5, 12), (3, 7), (2, 3, 4, 5), (2, 5, 3, 3), (1, 1), (70, 64)])
def test_expand(emulated, shape, less_zero):
    x, factor = codes(*shape, low=-128, high=255).detach(), random(256, 5)
    expected = looked_up(factor - factor[0] if less_zero else factor, x)
    for first, ranks in ((0, 5), (2, 3), (4, 1)):
        y = gradients.expand(x, factor, first, ranks, less_zero)
        assert y.shape == (shape[0], ranks, *shape[1:])
        assert np.array_equal(y.numpy(), expected[:, first : first + ranks])
    assert emulated.launches == ["expand"] * 3


@pytest.mark.parametrize("shape", [(5, 12), (3, 7), (2, 3, 4, 5), (2, 5, 3, 3), (1, 1), (70, 64)])
def test_combine(emulated, shape):
    """Bit for bit: product and sum rounded each, one rank after another."""
    x, factor, parts = codes(*shape, low=-128, high=255).detach(), random(256, 5), random(shape[0], 4, *shape[1:])
    weights, before = looked_up(factor, x), random(*shape, seed=6)
    for start in (None, before):
        expected = np.zeros(shape, np.float32) if start is None else start.numpy()
        for rank in range(4):
            expected = expected + weights[:, 1 + rank] * parts[:, rank].numpy()
        found = gradients.combine(parts, x, factor, 1, 4, start)
        assert found.shape == shape and np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
def test_in_any_order(emulated):
    x, factor = codes(40, 300, low=-128, high=255).detach(), random(256, 2)
    y = gradients.expand(x, factor, 0, 2)
    assert np.array_equal(y.numpy(), looked_up(factor, x))
    one, other = (looked_up(factor, x)[:, rank] for rank in (0, 1))
    assert np.array_equal(gradients.combine(y, x, factor, 0, 2).numpy(), one * one + other * other)


def test_operators(emulated):
    x, factor, parts = codes(5, 3, 4, low=-128, high=255).detach(), random(256, 3), random(5, 2, 3, 4)
    torch.library.opcheck(torch.ops.agn_hw.expand_codes, (x, factor, 1, 2, True))
    torch.library.opcheck(torch.ops.agn_hw.expand_codes, (x.transpose(1, 2), factor, 1, 2, False))
    for before in (None, random(5, 3, 4, seed=6)):
        torch.library.opcheck(torch.ops.agn_hw.combine_parts, (parts, x, factor, 1, 2, before))
        torch.library.opcheck(torch.ops.agn_hw.combine_parts, (parts, x.transpose(1, 2), factor, 1, 2, before))


def check(found: table_gradients.Pair, expected: table_gradients.Pair) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.dtype == torch.float32
            torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6 * float(other.abs().max()))


NEEDED = [[True, True], [True, False], [False, True]]


@pytest.mark.parametrize("ranks, ones", KINDS)
def test_matrix_products(emulated, ranks, ones):
    for rows, depth, columns in ((7, 30, 5), (9, 64, 12), (1, 1, 1)):
        x = codes(rows, depth, low=-128, high=255).detach()
        w = codes(columns, depth, low=-128, high=127, seed=1).detach()
        for slope in (torch.tensor(0.37, dtype=torch.float64), torch.linspace(0.1, 2, columns).double()):
            for needed in NEEDED:
                given = random(rows, columns), x, w, slope, random_factors(ranks, ones)
                check(gradients.of_matmul(*given, needed), table_gradients.of_matmul(*given, needed))


@pytest.mark.parametrize("ranks, ones", KINDS)
@pytest.mark.parametrize("case", SOME)
def test_convolutions(emulated, case, ranks, ones):
    channels, outputs, kernel, (stride, padding, dilation, groups), height, width = CASES[case]
    x = codes(2, channels, height, width, low=-128, high=255).detach()
    w = codes(outputs, channels // groups, *kernel, low=-128, high=127, seed=1).detach()
    geometry = geometry_of(stride, padding, dilation, groups)
    grad = random(2, outputs, *geometry.output_size(x.shape, w.shape)).double()
    for slope in (torch.tensor(0.37, dtype=torch.float64), torch.linspace(0.1, 2, outputs).double()):
        given = grad, x, w, slope, random_factors(ranks, ones), geometry
        check(gradients.of_conv2d(*given, [True, True]), table_gradients.of_conv2d(*given, [True, True]))
    for needed in NEEDED[1:]:
        check(gradients.of_conv2d(*given, needed), table_gradients.of_conv2d(*given, needed))


def test_one_product_for_all_ranks(emulated, monkeypatch):
    calls = []
    backward = gradients._backward
    monkeypatch.setattr(gradients, "_backward", lambda *given: calls.append(given[4]) or backward(*given))
    x, w = codes(2, 4, 5, 5, low=-128, high=255).detach(), codes(6, 4, 3, 3, low=-128, high=127, seed=1).detach()
    given = random(2, 6, 3, 3), x, w, torch.tensor(1.0), random_factors((4, 3)), geometry_of([1, 1], [0, 0], [1, 1], 1)
    whole = gradients.of_conv2d(*given, [True, True])
    assert calls == [[True, False], [False, True]]
    assert sorted(emulated.launches) == ["combine"] * 2 + ["expand"] * 2

    monkeypatch.setattr(gradients, "MOST_BYTES", 2 * 4 * x.numel())  # two ranks at once
    calls.clear()
    check(gradients.of_conv2d(*given, [True, True]), whole)
    assert calls == [[True, False]] * 2 + [[False, True]] * 2

    monkeypatch.setattr(gradients, "MOST_BYTES", 1)
    grad, left, right = random(7, 5), codes(7, 30, low=0, high=255).detach(), codes(5, 30, low=0, high=9).detach()
    given_matrices = grad, left, right, torch.tensor(1.0), random_factors((4, 3)), [True, True]
    check(gradients.of_matmul(*given_matrices), table_gradients.of_matmul(*given_matrices))


def test_backward_can_be_traced(emulated):
    """As torch.compile does it: without values."""
    geometry = geometry_of([2, 1], [1, 1], [1, 1], 2)
    factors, slope = random_factors((2, 3)), torch.tensor(0.5).double()

    def both(grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> tuple[table_gradients.Pair, ...]:
        flat = grad.flatten(1)[:, :6], x.flatten(1), w.flatten(1).repeat(1, 10)
        of_images = gradients.of_conv2d(grad, x, w, slope, factors, geometry, [True, True])
        return of_images, gradients.of_matmul(*flat, slope, factors, [True, True])

    x, w = codes(2, 4, 9, 5, low=-128, high=255).detach(), codes(6, 2, 3, 3, low=-128, high=127, seed=1).detach()
    given = random(2, 6, *geometry.output_size(x.shape, w.shape)), x, w
    traced = make_fx(both, tracing_mode="fake", _allow_non_fake_inputs=True)(*given)
    assert not emulated.launches
    for found, expected in zip(traced(*given), both(*given), strict=True):
        check(found, expected)
    assert len(emulated.launches) == 16


def test_straight_through_and_no_rank(emulated):
    grad, x, w = random(7, 5), codes(7, 30, low=0, high=255).detach(), codes(5, 30, low=0, high=9).detach()
    slope = torch.tensor(2.0).double()
    found = gradients.of_matmul(grad, x, w, slope, [], [True, True])
    check(found, (2 * grad @ w, 2 * grad.t() @ x))
    nothing = gradients.of_matmul(grad, x, w, slope, random_factors((0, 0)), [True, True])
    assert [part.abs().sum() for part in nothing if part is not None] == [0, 0]
    assert not emulated.launches
