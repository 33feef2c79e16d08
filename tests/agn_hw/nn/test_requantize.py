"""Requantisation against Python's integers."""

from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agn_hw.kernels import autograd
from agn_hw.nn.requantize import common_fixed_point, fixed_point, multiplier_and_shift, round_half_up

RATIOS = st.floats(2.0**-26, 2.0**13, exclude_max=True)


def double(value: float | list[float]) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def requantize(total: torch.Tensor, m: float, s: float, low: int, high: int) -> torch.Tensor:
    """Of one channel, sums [B]."""
    bias, factor = torch.zeros(1, dtype=torch.float64), double(m * 2.0**-s).reshape(1)
    return autograd.requantize(total.reshape(-1, 1), bias, factor, low, high).reshape(-1)


@settings(max_examples=500, deadline=None)
@given(
    total=st.one_of(st.integers(-(2**32), 2**32), st.integers(-5000, 5000)),
    m=st.integers(0, 2**15 - 1),
    s=st.integers(1, 40),
    limits=st.sampled_from([(0, 255), (-128, 127), (-32768, 32767)]),
)
@example(total=-1, m=1, s=1, limits=(-128, 127))  # -1/2 is rounded up to 0
@example(total=-(2**32), m=2**15 - 1, s=32, limits=(-32768, 32767))
@example(total=2**32, m=2**15 - 1, s=40, limits=(-32768, 32767))
def test_formula(total, m, s, limits):
    low, high = limits
    expected = min(max((total * m + (1 << (s - 1))) >> s, low), high)
    found = requantize(double(total), m, s, low, high)
    assert found.dtype == torch.float32 and found.item() == expected
    with_gradient = requantize(double(total).requires_grad_(), m, s, low, high)
    assert with_gradient.requires_grad and with_gradient.item() == expected


def test_gradient_is_the_ratio_inside_the_range_and_zero_at_its_limits():
    total = torch.tensor([-5000.0, -1.0, 0.0, 300.0, 1016.0, 1030.0], dtype=torch.float64, requires_grad=True)
    codes = requantize(total, 3.0, 2.0, 0, 255)  # 3/4
    assert codes.tolist() == [0, 0, 0, 225, 255, 255]
    codes.sum().backward()
    assert total.grad is not None and total.grad.tolist() == [0, 0, 0, 0.75, 0, 0]


@settings(max_examples=500, deadline=None)
@given(RATIOS)
@example(2.0**-26)
@example(1.0)
@example(1 - 2.0**-53)  # rounds up to the next power of two
@example(0.5 - 2.0**-40)
@example(2.0**13 - 2.0**-39)
@example(2.0**12 - 2.0**-40)
@example((2**15 - 0.5) * 2.0**-20)
def test_multiplier_and_shift(ratio):
    m, s = (int(value) for value in multiplier_and_shift(double(ratio)))
    assert 2**14 <= m < 2**15 and 1 <= s <= 40
    assert abs(Fraction(m, 2**s) - Fraction(ratio)) <= Fraction(ratio) / 2**15


@pytest.mark.parametrize("ratio, m, s", [
    (0.0, 0, 15), (1.0, 2**14, 14), (0.5, 2**14, 15), (2.0**-26, 2**14, 40), (4096.0, 2**14, 2),
    (2.0**-27, 2**13, 40), (2.0**-40, 1, 40), (2.0**-41, 1, 40), (2.0**-42, 0, 40), (1e-300, 0, 40), (5e-324, 0, 40),
])
def test_edges(ratio, m, s):
    assert tuple(int(value) for value in multiplier_and_shift(double(ratio))) == (m, s)


def test_any_shape():
    ratio = torch.tensor([[0.25, 0.3], [7.0, 0.0]])
    m, s = multiplier_and_shift(ratio)
    assert m.dtype == s.dtype == torch.float64 and m.shape == s.shape == (2, 2)
    torch.testing.assert_close(m / 2**s, ratio.double(), rtol=2.0**-15, atol=0)


@pytest.mark.parametrize("ratio", [-1e-9, float("inf"), float("nan"), 2.0**13, 1e9])
def test_impossible_ratios_are_refused(ratio):
    with pytest.raises(ValueError, match="ratios must lie in"):
        multiplier_and_shift(torch.tensor([0.5, ratio]))


def test_round_half_up_passes_the_gradient():
    values = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.49], requires_grad=True)
    rounded = round_half_up(values)
    assert rounded.tolist() == [-1, 0, 1, 2, 2]
    rounded.backward(torch.arange(5.0))
    assert values.grad is not None and values.grad.tolist() == [0, 1, 2, 3, 4]


@settings(max_examples=200, deadline=None)
@given(st.lists(RATIOS, min_size=1, max_size=4))
@example([1.0, 2.0**-16, 2.0**-15, 2.0**-14])
@example([1 - 2.0**-53, 0.75])
def test_ratios_that_are_added_share_a_shift(ratios):
    """That of the largest: each is rounded, half up, to a multiple of one power of two."""
    found = common_fixed_point(double(ratios)).tolist()
    pairs = [[int(value) for value in multiplier_and_shift(double(ratio))] for ratio in ratios]
    step = min(s for _, s in pairs)
    for value, (m, s) in zip(found, pairs, strict=True):
        whole = Fraction(value) * 2**step
        assert whole.denominator == 1 and whole < 2**15 and whole == (Fraction(m, 2**s) * 2**step * 2 + 1) // 2
    assert found[ratios.index(max(ratios))] == fixed_point(double(max(ratios))).item()


@pytest.mark.parametrize("function", [fixed_point, common_fixed_point])
def test_factors_pass_the_gradient_of_the_ratio(function):
    ratios = torch.tensor([0.3, 1e-3, 7.0], dtype=torch.float64, requires_grad=True)
    factors = function(ratios)
    assert not torch.equal(factors, ratios)
    factors.backward(torch.arange(3.0).double())
    assert ratios.grad is not None and ratios.grad.tolist() == [0, 1, 2]
    assert torch.equal(function(ratios.detach()), factors) and not function(ratios.detach()).requires_grad
