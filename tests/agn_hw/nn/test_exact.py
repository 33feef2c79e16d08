"""Exact sums in float32: how inputs are cut, and that the sums are those of integers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.nn import exact
from agn_hw.nn.layers import SIGNED, TableConv2d, TableLinear
from tests.agn_hw import oracles
from tests.agn_hw.nn.test_layers import images, settle
from tests.agn_hw.tables import exact_table8

MOST = (2**24 - 1) // (255 * 127)  # weights 127 whose sum with codes 255 stays below 2^24


def constant(depth: int, value: float = 127.0) -> torch.Tensor:
    return torch.full((2, depth), value)


@pytest.mark.parametrize("value", [127.0, -127.0])
def test_cuts_are_as_many_as_needed(value):
    assert exact.cuts(constant(MOST, value), MOST) == 1
    assert exact.cuts(constant(MOST + 1, value), MOST) == 2
    assert exact.cuts(constant(2 * MOST, value), MOST) == 2
    assert exact.cuts(constant(2 * MOST + 1, value), MOST) == 4


def test_positive_and_negative_weights_count_apart():
    weights = constant(2 * MOST)
    weights[:, ::2] *= -1
    assert exact.cuts(weights, MOST) == 1
    assert exact.cuts(torch.cat([weights, constant(2 * MOST)], 1), MOST) == 4


def test_one_heavy_channel_decides():
    weights = torch.zeros(5, 4 * MOST)
    assert exact.cuts(weights, 8) == 1
    weights[3] = 127
    assert exact.cuts(weights, 8) == 4


def test_too_few_inputs_to_cut():
    wide = torch.full((1, 2, 60, 60), 127.0)
    assert exact.cuts(wide, 2) == 0 and exact.cuts(constant(2 * MOST), 1) == 0


@pytest.mark.parametrize("groups, kernel, wanted", [(1, 11, 4), (1, 40, 0), (3, 40, 0)])
def test_convolutions_beyond_single_precision_stay_exact(groups, kernel, wanted):
    """Codes of 0..255 and weights of 127 or near: sums reach far beyond 2^24."""
    layer = settle(TableConv2d(nn.Conv2d(12, 3, kernel, groups=groups)), SIGNED)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        layer.weight.copy_(127 - torch.randint(0, 3, layer.weight.shape, generator=generator))
        layer.weight[..., 0, 0] = 127
        layer.weight_scale.fill_(1.0)
    x = 255 - torch.randint(0, 2, (1, 12, kernel + 1, kernel), generator=generator).float()
    w = layer.weight_codes()
    assert exact.cuts(w, w.shape[1] if groups == 1 else 1) == wanted
    expected = oracles.conv2d(oracles.integers(x), oracles.integers(w), exact_table8().numpy(), groups=groups)
    assert np.abs(expected).max() > 2**24
    assert np.array_equal(oracles.integers(layer.accumulate(x)), expected)
    if wanted:
        rounded = F.conv2d(x, w)
        assert not np.array_equal(oracles.integers(rounded), expected)  # float32 alone is not enough


def test_gradients_of_cut_sums_are_those_of_the_whole():
    torch.manual_seed(0)
    x, w = images(3, 4 * MOST).requires_grad_(), constant(4 * MOST).requires_grad_()
    weights_of_loss = torch.randn(3, 2)
    found = torch.autograd.grad((exact.sums(F.linear, x, w, 4) * weights_of_loss).sum(), (x, w))
    expected = torch.autograd.grad((F.linear(x, w) * weights_of_loss).sum(), (x, w))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_changed_weights_are_used_at_once():
    """What an exact layer keeps for passes without gradients is made anew."""
    layer = settle(TableLinear(nn.Linear(2 * MOST, 3)), SIGNED)
    x = images(4, 2 * MOST)
    with torch.inference_mode():
        before = layer(x)
        layer.weight.neg_()
        changed = layer(x)
        layer.weight.neg_()
        again = layer(x)
        layer.weight.fill_(float(layer.weight.max()))  # now cuts are needed
        heavy = layer(x)
    assert not torch.equal(before, changed) and torch.equal(before, again)
    assert torch.equal(heavy, layer(x).detach()) and not torch.equal(heavy, before)
