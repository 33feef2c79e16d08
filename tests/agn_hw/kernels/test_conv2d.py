"""torch.ops.agn_hw.lut_conv2d against loops over single products."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.agn_hw import oracles
from tests.agn_hw.kernels.test_op import codes
from tests.agn_hw.tables import exact_table8, random_table8

lut_conv2d = torch.ops.agn_hw.lut_conv2d

# channels, outputs, kernel, (stride, padding, dilation, groups), height, width
CASES = {
    "plain": (3, 4, (3, 3), ([1, 1], [1, 1], [1, 1], 1), 5, 7),
    "stride": (2, 3, (3, 3), ([2, 2], [1, 1], [1, 1], 1), 8, 7),
    "stride, even size": (2, 3, (1, 1), ([2, 2], [0, 0], [1, 1], 1), 6, 5),
    "unequal stride and padding": (2, 3, (3, 2), ([1, 3], [2, 0], [1, 1], 1), 4, 9),
    "dilation": (2, 2, (3, 3), ([1, 1], [2, 1], [2, 1], 1), 7, 6),
    "everything": (4, 6, (2, 3), ([2, 1], [1, 3], [3, 2], 2), 9, 6),
    "groups": (6, 4, (3, 3), ([1, 1], [1, 1], [1, 1], 2), 4, 5),
    "depthwise": (5, 5, (3, 3), ([1, 1], [1, 1], [1, 1], 5), 5, 4),
    "depthwise, two outputs": (3, 6, (3, 1), ([1, 2], [1, 0], [1, 1], 3), 5, 4),
    "row kernel": (2, 3, (1, 5), ([1, 1], [0, 2], [1, 1], 1), 1, 6),
    "whole image": (2, 3, (4, 3), ([1, 1], [0, 0], [1, 1], 1), 4, 3),
    "only padding outside": (1, 2, (3, 3), ([1, 1], [3, 3], [1, 1], 1), 1, 2),
}


def operands(
    channels: int, outputs: int, kernel: tuple[int, int], groups: int, height: int, width: int, batch: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random activation codes and weights of the given sizes, asking for gradients."""
    x = codes(batch, channels, height, width, low=0, high=255)
    return x, codes(outputs, channels // groups, *kernel, low=-127, high=127, seed=1)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_against_loops(case):
    channels, outputs, kernel, geometry, height, width = case
    x, w = operands(channels, outputs, kernel, geometry[3], height, width)
    lut = random_table8(0)
    y = lut_conv2d(x, w, lut, 1.0, *geometry)
    assert y.dtype == torch.float64 and y.is_contiguous()
    expected = oracles.conv2d(oracles.integers(x), oracles.integers(w), lut.numpy(), *geometry)
    assert np.array_equal(oracles.integers(y), expected)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_exact_table_is_the_exact_convolution_with_its_gradients(case):
    channels, outputs, kernel, geometry, height, width = case
    results = []
    for convolution in (lambda x, w: lut_conv2d(x, w, exact_table8(), 1.0, *geometry),
                        lambda x, w: F.conv2d(x.double(), w.double(), None, *geometry)):
        x, w = operands(channels, outputs, kernel, geometry[3], height, width)
        y = convolution(x, w)
        weights = torch.randint(-5, 6, y.shape, generator=torch.Generator().manual_seed(3)).double()
        results.append((y, *torch.autograd.grad((y * weights).sum(), (x, w))))
    assert all(map(torch.equal, *results))  # whole numbers below 2^24, exact in any order


def test_gradients_are_straight_through_with_the_gain():
    channels, outputs, kernel, geometry, height, width = CASES["everything"]
    x, w = operands(channels, outputs, kernel, geometry[3], height, width)
    exact = F.conv2d(x, w, None, *geometry)
    expected = torch.autograd.grad(exact.sum(), (x, w))
    found = torch.autograd.grad(lut_conv2d(x, w, random_table8(1), 0.25, *geometry).sum(), (x, w))
    assert all(torch.equal(one, 0.25 * other) for one, other in zip(found, expected, strict=True))


def test_padding_goes_through_the_table():
    lut = torch.zeros(256, 256, dtype=torch.int32)
    lut[0, 5], lut[9, 5] = 1000, 1
    x, w = torch.full((1, 1, 2, 2), 9.0), torch.full((1, 1, 3, 3), 5.0)
    y = lut_conv2d(x, w, lut, 1.0, [1, 1], [1, 1], [1, 1], 1)
    assert (y == 5 * 1000 + 4).all()


@pytest.mark.parametrize("batch", [0, 1])
def test_empty_and_single_batches(batch):
    x, w = operands(2, 3, (3, 3), 1, 5, 5, batch)
    assert lut_conv2d(x, w, random_table8(0), 1.0, [1, 1], [1, 1], [1, 1], 1).shape == (batch, 3, 5, 5)


def test_strided_images_and_weights():
    x, w = (tensor.detach() for tensor in operands(4, 6, (3, 3), 1, 8, 6))
    geometry = ([1, 1], [1, 1], [1, 1], 1)
    expected = lut_conv2d(x[:, ::2, 1:, ::2].clone(), w[::2, ::2].clone(), random_table8(0), 1.0, *geometry)
    strided = x.to(memory_format=torch.channels_last)[:, ::2, 1:, ::2]
    assert torch.equal(lut_conv2d(strided, w[::2, ::2], random_table8(0), 1.0, *geometry), expected)


def test_sums_that_could_leave_int32_are_refused():
    x, w = operands(2, 3, (3, 3), 1, 5, 5)
    with pytest.raises(RuntimeError, match="K = 18"):
        lut_conv2d(x, w, random_table8(0, largest=2**31 - 1), 1.0, [1, 1], [1, 1], [1, 1], 1)


@pytest.mark.parametrize("name", ["plain", "everything", "depthwise"])
def test_opcheck(name):
    channels, outputs, kernel, geometry, height, width = CASES[name]
    x, w = operands(channels, outputs, kernel, geometry[3], height, width)
    torch.library.opcheck(lut_conv2d, (x, w, random_table8(0), 0.5, *geometry))


def test_compiles_in_one_graph():
    geometry, lut = CASES["everything"][3], random_table8(2)

    def loss(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return lut_conv2d(x + 0, w, lut, 0.5, *geometry).square().sum()

    results = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        x, w = operands(4, 6, (2, 3), 2, 9, 6)
        value = function(x, w)
        results.append((value, *torch.autograd.grad(value, (x, w))))
    assert all(map(torch.equal, *results))
