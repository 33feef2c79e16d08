"""Residual sums, products of two branches, and the network's two ends, against integer arithmetic."""

import numpy as np
import pytest
import torch

from agn_hw.codes import LOGITS, SIGNED, UNSIGNED, Codes, affine, signed, unsigned
from agn_hw.nn.coded import Coded
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.requantize import multiplier_and_shift
from agn_hw.nn.sums import CodeProduct, ResidualSum
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import back_ends, images, using


def scaled(module: Coded, left: float, right: float, out: float, codes: Codes = UNSIGNED) -> Coded:
    with torch.no_grad():
        for name, value in zip(("left_scale", "right_scale", "out_scale"), (left, right, out), strict=True):
            module.get_parameter(name).fill_(value)
    module.out_codes = codes
    return module


def whole(*ratios: float) -> tuple[list[int], int]:
    """Integers for these ratios over one power of two: that of the largest."""
    pairs = [[int(part) for part in multiplier_and_shift(torch.tensor(ratio, dtype=torch.float64))] for ratio in ratios]
    shift = min(s for _, s in pairs)
    return [((m << 1 << shift >> s) + 1) >> 1 for m, s in pairs], shift


def check(module: Coded, expected: np.ndarray, *branches: torch.Tensor) -> None:
    """Both back ends, with gradients and without."""
    for compiled in back_ends():
        for mode in (torch.no_grad(), torch.enable_grad()):
            with using(compiled), mode:
                y = module(*branches)
            assert y.dtype == torch.float32 and np.array_equal(oracles.integers(y), expected)


@pytest.mark.parametrize("scales", [
    (0.02, 0.03, 0.04), (1.0, 1.0, 1.0), (0.5, 1e-7, 0.3), (1e-5, 3.0, 2.9), (1.0, 1.0, 2.0),
])
@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 40), unsigned(3), LOGITS])
@pytest.mark.parametrize("low", [0, -128])
def test_residual_sum(scales, codes, low):
    """All pairs of codes, the left unsigned or signed and the right signed."""
    layer = scaled(ResidualSum(), *scales, codes)
    left = torch.arange(low, low + 256.0)[:, None].expand(256, 256)
    right = torch.arange(-128.0, 128.0)[None, :].expand(256, 256)
    (first, second), shift = whole(scales[0] / scales[2], scales[1] / scales[2])
    assert min(first, second) >= 0 and max(first, second) < 2**15 and 1 <= shift <= 40
    total = oracles.integers(left) * first + oracles.integers(right) * second
    check(layer, np.clip((total + (1 << (shift - 1))) >> shift, *codes), left, right)
    real = (left.double() * scales[0] + right.double() * scales[1]) / scales[2]
    assert (layer(left, right) - real.clamp(*codes)).abs().max() <= 0.52


SHAPES = [((2, 3, 4, 5), (2, 3, 1, 1)), ((2, 3, 1, 1), (2, 3, 4, 5)), ((2, 3, 4, 5), (1, 3, 1, 5)), ((4, 6), (4, 6)),
          ((2, 3, 4), (1, 1, 4)), ((2, 3, 1, 5), (1, 3, 4, 1)), ((0, 3, 2, 2), (0, 3, 1, 1))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_branches_of_a_sum_are_broadcast(shapes):
    layer = scaled(ResidualSum(), 0.02, 0.03, 0.04, SIGNED)
    left, right = images(*shapes[0], codes=SIGNED), images(*shapes[1], seed=3)
    (first, second), shift = whole(0.5, 0.75)
    total = oracles.integers(left) * first + oracles.integers(right) * second
    check(layer, np.clip((total + (1 << (shift - 1))) >> shift, *SIGNED), left, right)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 90), signed(4), LOGITS])
@pytest.mark.parametrize("of_inputs", [(UNSIGNED, UNSIGNED), (SIGNED, UNSIGNED), (SIGNED, affine(8, 200))])
def test_product_of_two_branches(of_inputs, codes, shapes):
    """A squeeze and excitation's, mostly: images by one number a channel."""
    out = 0.01 * 0.02 * 2**15 / codes.high
    layer = scaled(CodeProduct(), 0.01, 0.02, out, codes)
    left, right = images(*shapes[0], codes=of_inputs[0]), images(*shapes[1], seed=3, codes=of_inputs[1])
    (m,), s = whole(0.01 * 0.02 / out)
    total = oracles.integers(left) * oracles.integers(right)
    check(layer, np.clip((total * m + (1 << (s - 1))) >> s, *codes), left, right)
    real = (left.double() * right.double() * 0.01 * 0.02 / out).clamp(*codes)
    room = 0.5 + real.abs().max() * 2.0**-14 if real.numel() else 0
    assert real.numel() == 0 or (layer(left, right) - real).abs().max() <= room


def test_products_reach_both_ends_of_every_pair_of_codes():
    layer = scaled(CodeProduct(), 1.0, 1.0, 1.0, Codes(-(2**15), 2**15 - 1))
    left, right = torch.arange(-255.0, 256.0)[:, None], torch.arange(-128.0, 256.0)[None, :]
    check(layer, np.clip(np.outer(np.arange(-255, 256), np.arange(-128, 256)), *layer.out_codes), left, right)


@pytest.mark.parametrize("kind", [ResidualSum, CodeProduct])
def test_ranges_follow_from_the_branches(kind):
    layer = kind()
    layer.settle(UNSIGNED, UNSIGNED)
    assert layer.out_codes == UNSIGNED and layer.in_codes == (UNSIGNED, UNSIGNED)
    layer.settle(UNSIGNED, SIGNED)
    assert layer.out_codes == SIGNED
    layer.ceiling = float("inf")
    layer.settle(UNSIGNED, SIGNED)
    assert layer.out_codes == UNSIGNED
    layer.bits = 3
    layer.settle(UNSIGNED, SIGNED)
    assert layer.out_codes == unsigned(3)
    real = torch.tensor([[-2.0, 3.0]])
    assert layer.real(real, torch.ones(1, 2)).tolist() == ([[0, 4]] if kind is ResidualSum else [[0, 3]])
    layer.ceiling = 2.5
    assert layer.real(real, torch.ones(1, 2)).tolist() == [[0, 2.5]]


@torch.no_grad()
def test_changed_scales_are_used_at_once():
    add, multiply = scaled(ResidualSum(), 1, 1, 1, SIGNED), scaled(CodeProduct(), 1, 1, 1, SIGNED)
    x = images(2, 3, 4, 4)
    before = add(x, x), multiply(x, x)
    add.get_parameter("right_scale").fill_(0.0)
    multiply.get_parameter("left_scale").fill_(1e-3)
    assert torch.equal(add(x, x), x.clamp(*SIGNED)) and not torch.equal(before[0], add(x, x))
    assert (multiply(x, x) - (x * x / 1000)).abs().max() <= 0.51 and not torch.equal(before[1], multiply(x, x))


def test_older_states_of_sums_are_understood():
    layer = scaled(ResidualSum(), 0.1, 0.2, 0.3)
    old = {"in_scales": torch.tensor([0.5, 0.25], dtype=torch.float64), "out_scale": torch.tensor(0.125).double()}
    layer.load_state_dict(old)
    assert [float(scale) for scale in layer.parameters()] == [0.125, 0.5, 0.25]


def test_ends():
    begin, end = Quantize(), Dequantize()
    with torch.no_grad():
        begin.out_scale.fill_(0.5)
        end.in_scale.fill_(0.25)
    x = torch.tensor([-3.0, 0.24, 0.25, 0.75, 127.5, 200.0], requires_grad=True)
    y = begin(x)
    assert y.tolist() == [0, 0, 1, 2, 255, 255] and end(y).tolist() == [0, 0, 0.25, 0.5, 63.75, 63.75]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 2, 2, 2, 2, 0]


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 30), unsigned(2), Codes(-1, 0)])
def test_quantised_inputs(codes):
    begin = Quantize()
    begin.out_codes = codes
    with torch.no_grad():
        begin.out_scale.fill_(0.25)  # halves are exact
    x = torch.arange(-1100.0, 1100.0) / 16
    expected = [min(max((8 * i // 16 + 1) // 2, codes.low), codes.high) for i in range(-1100, 1100)]
    for given in (x, x.double(), x.half()):
        assert begin(given).tolist() == expected and begin(given).dtype == torch.float32


def test_older_states_of_ends_are_understood():
    begin, end = Quantize(), Dequantize()
    for module, name in ((begin, "out_scale"), (end, "in_scale")):
        module.load_state_dict({"scale": torch.tensor(0.125).double()})
        assert module.get_parameter(name) == 0.125
