"""Exact sums in float32: how inputs are cut, and that the sums are those of integers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.codes import SIGNED, UNSIGNED, Codes, affine, unsigned
from agn_hw.nn import exact
from agn_hw.nn.products import TableConv2d, TableLinear
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import exact_table, images, settle

MOST = (2**24 - 1) // (255 * 127)  # weights 127 whose sum with codes 255 stays below 2^24


def constant(depth: int, value: float = 127.0) -> torch.Tensor:
    return torch.full((2, depth), value)


@pytest.mark.parametrize("value", [127.0, -127.0])
def test_cuts_are_as_many_as_needed(value):
    assert exact.cuts(constant(MOST, value), MOST, UNSIGNED) == 1
    assert exact.cuts(constant(MOST + 1, value), MOST, UNSIGNED) == 2
    assert exact.cuts(constant(2 * MOST, value), MOST, UNSIGNED) == 2
    assert exact.cuts(constant(2 * MOST + 1, value), MOST, UNSIGNED) == 4


def test_positive_and_negative_weights_count_apart():
    weights = constant(2 * MOST)
    weights[:, ::2] *= -1
    assert exact.cuts(weights, MOST, UNSIGNED) == 1
    assert exact.cuts(torch.cat([weights, constant(2 * MOST)], 1), MOST, UNSIGNED) == 4


def test_one_heavy_channel_decides():
    weights = torch.zeros(5, 4 * MOST)
    assert exact.cuts(weights, 8, UNSIGNED) == 1
    weights[3] = 127
    assert exact.cuts(weights, 8, UNSIGNED) == 4


@pytest.mark.parametrize("codes", [
    UNSIGNED, SIGNED, affine(8, 200), affine(8, 255), unsigned(4), unsigned(2), Codes(-3, 0),
])
@pytest.mark.parametrize("value", [127.0, -127.0, 7.0])
def test_cuts_follow_from_the_range(codes, value):
    """One cut until one more input could make a partial sum of 2^24, at either end of the range of codes."""
    most = (2**24 - 1) // int(abs(value) * codes.largest)
    assert exact.cuts(constant(most, value), most, codes) == 1
    assert exact.cuts(constant(most + 1, value), most, codes) == 2
    if codes.low == 0:
        half = constant(2 * most, value)
        half[:, ::2] *= -1
        assert exact.cuts(half, most, codes) == 1


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 100), affine(8, 255)])
def test_one_part_as_long_as_no_choice_of_codes_reaches_too_far(codes):
    """For every weight the code that pulls furthest up, or down."""
    weights = torch.randint(-127, 128, (1, 4096), generator=torch.Generator().manual_seed(1)).float()
    ends = torch.stack([weights * codes.low, weights * codes.high])
    furthest = torch.maximum(ends.amax(0).cumsum(1), ends.amin(0).neg().cumsum(1))[0]
    fitting = int((furthest < 2**24).sum())
    assert 600 < fitting < 4000
    assert exact.cuts(weights[:, :fitting], fitting, codes) == 1
    assert exact.cuts(weights[:, : fitting + 1], fitting, codes) == 2


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 100)])
@pytest.mark.parametrize("inputs, kernel", [(1, 1), (40, 9), (64, 49), (600, 9), (4096, 1), (3, 4000)])
def test_cuts_of_any_weights_are_enough_for_the_largest(inputs, kernel, codes):
    count = exact.cuts_of_any(inputs * kernel, inputs, codes)
    wanted = exact.cuts(torch.full((2, inputs, kernel), 127.0), inputs, codes)
    assert count == wanted if wanted in (0, 1) else count >= wanted


def test_too_few_inputs_to_cut():
    wide = torch.full((1, 2, 60, 60), 127.0)
    assert exact.cuts(wide, 2, UNSIGNED) == 0 and exact.cuts(constant(2 * MOST), 1, UNSIGNED) == 0


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
    assert exact.cuts(w, w.shape[1] if groups == 1 else 1, UNSIGNED) == wanted
    expected = oracles.conv2d(oracles.integers(x), oracles.integers(w), exact_table(UNSIGNED), groups=groups)
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
