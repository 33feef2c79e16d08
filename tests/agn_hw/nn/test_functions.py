"""Functions of one variable on codes: every entry from the definition, one code at a time."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from agn_hw.codes import LOGITS, SIGNED, UNSIGNED, Codes, affine, signed, unsigned
from agn_hw.nn import functions
from agn_hw.nn.functions import Applied, Lookup


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x)


DEFINITIONS: dict[type[nn.Module], Callable[[float], float]] = {
    nn.ReLU: lambda x: max(x, 0),
    nn.ReLU6: lambda x: min(max(x, 0), 6),
    nn.LeakyReLU: lambda x: x if x > 0 else 0.01 * x,
    nn.ELU: elu,
    nn.CELU: elu,
    nn.SELU: lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    nn.GELU: lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    nn.SiLU: lambda x: x * sigmoid(x),
    nn.Mish: lambda x: x * math.tanh(math.log1p(math.exp(x))),
    nn.Softplus: lambda x: math.log1p(math.exp(x)),
    nn.Softsign: lambda x: x / (1 + abs(x)),
    nn.Sigmoid: sigmoid,
    nn.Hardsigmoid: lambda x: min(max(x / 6 + 0.5, 0), 1),
    nn.Hardswish: lambda x: x * min(max(x + 3, 0), 6) / 6,
    nn.Hardtanh: lambda x: min(max(x, -1), 1),
    nn.Tanh: math.tanh,
    nn.LogSigmoid: lambda x: -math.log1p(math.exp(-x)),
}
NEVER_NEGATIVE = {nn.ReLU, nn.ReLU6, nn.Softplus, nn.Sigmoid, nn.Hardsigmoid}
NAMED: dict[str, tuple[tuple, dict, Callable[[float], float]]] = {
    "relu_": ((), {}, DEFINITIONS[nn.ReLU]),
    "leaky_relu": ((0.2,), {"inplace": True}, lambda x: x if x > 0 else 0.2 * x),
    "elu": ((), {"alpha": 0.5}, lambda x: elu(x, 0.5)),
    "clamp": ((-0.75,), {"max": 1.5}, lambda x: min(max(x, -0.75), 1.5)),
    "neg": ((), {}, lambda x: -x),
    "abs": ((), {}, abs),
    "hardtanh": ((-2.0, 0.5), {}, lambda x: min(max(x, -2), 0.5)),
    "softplus": ((), {"beta": 2}, lambda x: math.log1p(math.exp(2 * x)) / 2),
} | {
    name: ((), {}, DEFINITIONS[kind])
    for name, kind in [
        ("relu", nn.ReLU), ("relu6", nn.ReLU6), ("gelu", nn.GELU), ("silu", nn.SiLU), ("mish", nn.Mish),
        ("sigmoid", nn.Sigmoid), ("hardsigmoid", nn.Hardsigmoid), ("hardswish", nn.Hardswish), ("tanh", nn.Tanh),
    ]
}  # fmt: skip


def lookup(function: nn.Module, in_codes: Codes, in_scale: float, out_codes: Codes, out_scale: float) -> Lookup:
    layer = Lookup(function)
    layer.in_codes, layer.out_codes = (in_codes,), out_codes
    with torch.no_grad():
        layer.in_scale.fill_(in_scale)
        layer.out_scale.fill_(out_scale)
    return layer


def check(layer: Lookup, definition: Callable[[float], float]) -> None:
    """Each code of the input, wherever it stands; a value within 1e-9 of a half may go either way."""
    codes = torch.arange(layer.in_codes[0].low, layer.in_codes[0].high + 1.0)
    for given in (codes, codes.flip(0).requires_grad_(), codes.expand(2, -1)[:, :, None]):
        y = layer(given)
        assert y.dtype == torch.float32 and y.shape == given.shape
        for code, found in zip(given.flatten().tolist(), y.flatten().tolist(), strict=True):
            value = definition(code * float(layer.in_scale)) / float(layer.out_scale)
            rounded = {math.floor(value + 0.5 + room) for room in (-1e-9, 1e-9)}
            assert found in {min(max(one, layer.out_codes.low), layer.out_codes.high) for one in rounded}, code
            assert found == int(found)


@pytest.mark.parametrize("in_codes, in_scale", [(SIGNED, 0.05), (UNSIGNED, 0.03), (affine(8, 200), 0.021),
                                                (signed(4), 0.6), (unsigned(2), 1.0)])
@pytest.mark.parametrize("out_codes, out_scale", [(SIGNED, 0.013), (UNSIGNED, 0.03), (affine(6, 20), 0.1),
                                                  (LOGITS, 0.0003)])
@pytest.mark.parametrize("kind", functions.MODULES)
def test_every_function(kind, in_codes, in_scale, out_codes, out_scale):
    check(lookup(kind(), in_codes, in_scale, out_codes, out_scale), DEFINITIONS[kind])


@pytest.mark.parametrize("kind", [nn.ReLU, nn.SiLU, nn.Hardswish, nn.LeakyReLU, nn.Mish, nn.ELU])
def test_functions_in_place_leave_the_codes_alone(kind):
    layer = lookup(kind(inplace=True), SIGNED, 0.05, SIGNED, 0.04)
    check(layer, DEFINITIONS[kind])
    codes = torch.arange(-127.0, 128.0)
    layer(codes)
    assert torch.equal(codes, torch.arange(-127.0, 128.0))


@pytest.mark.parametrize("name", functions.NAMES)
def test_every_named_function(name):
    args, kwargs, definition = NAMED[name]
    check(lookup(Applied(name, args, kwargs), SIGNED, 0.05, SIGNED, 0.04), definition)


@pytest.mark.parametrize("kind", functions.MODULES)
def test_signs_of_functions(kind):
    """Unsigned codes for what is never negative, whatever comes in; for most of the others if nothing negative does."""
    layer = Lookup(kind())
    layer.settle(SIGNED)
    assert layer.out_codes == (UNSIGNED if kind in NEVER_NEGATIVE else SIGNED)
    layer.settle(UNSIGNED)
    assert layer.out_codes == (SIGNED if kind is nn.LogSigmoid else UNSIGNED)
    layer.bits = 4
    layer.settle(UNSIGNED)
    assert layer.out_codes == (signed(4) if kind is nn.LogSigmoid else unsigned(4))


@pytest.mark.parametrize("function, ceiling", [
    (nn.ReLU(), math.inf), (nn.ReLU6(), 6.0), (nn.Hardtanh(0, 2.5), 2.5), (nn.Hardtanh(-1, 1), None), (nn.SiLU(), None),
    (Applied("relu", (), {}), math.inf), (Applied("relu6", (), {}), 6.0), (Applied("abs", (), {}), None),
])
def test_what_can_be_fused(function, ceiling):
    assert functions.ceiling(function) == ceiling


def test_narrower_codes():
    """Eight bits to three: what a layer with fewer bits gets."""
    layer = lookup(nn.Identity(), UNSIGNED, 0.25, unsigned(3), 4.0)
    assert layer(torch.arange(256.0)).tolist() == [min((code + 8) // 16, 7) for code in range(256)]


@pytest.mark.parametrize("kind", [nn.SiLU, nn.GELU, nn.Tanh, nn.Softplus])
def test_gradient_is_the_functions(kind):
    """The difference over two codes, for steps so small that it is the derivative."""
    layer = lookup(kind(), SIGNED, 0.02, Codes(-9999, 9999), 0.001)
    codes = torch.arange(-127.0, 128.0, requires_grad=True)
    (found,) = torch.autograd.grad(layer(codes).sum(), codes)
    x = (torch.arange(-127.0, 128.0).double() * 0.02).requires_grad_()
    (slope,) = torch.autograd.grad(kind()(x).sum(), x)
    torch.testing.assert_close(found.double(), slope * 20, rtol=1e-3, atol=2e-3)


def test_no_gradient_where_both_neighbours_are_clipped():
    layer = lookup(nn.Identity(), SIGNED, 1.0, Codes(-3, 2), 1.0)
    codes = torch.arange(-6.0, 6.0, requires_grad=True)
    (found,) = torch.autograd.grad(layer(codes).sum(), codes)
    assert found.tolist() == [0, 0, 0, 0.5, 1, 1, 1, 1, 0.5, 0, 0, 0]


@torch.no_grad()
def test_changed_scales_are_used_at_once():
    layer, codes = lookup(nn.Tanh(), SIGNED, 0.05, SIGNED, 0.01), torch.arange(-127.0, 128.0)
    found = [layer(codes)]
    layer.in_scale.mul_(0.5)
    found.append(layer(codes))
    layer.out_scale.mul_(0.5)
    found.append(layer(codes))
    check(layer, math.tanh)
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])
