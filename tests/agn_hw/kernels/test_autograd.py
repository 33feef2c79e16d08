"""The operators on float codes: values, straight-through gradients, registration with torch.

Gradients by tables: test_table_gradients.py.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from agn_hw.kernels import backend, op, portable, reference
from agn_hw.kernels.autograd import add_codes, conv2d, conv2d_sums, linear, linear_sums, requantize, to_bytes
from tests.agn_hw.kernels.operands import TABLES, codes, finish
from tests.agn_hw.kernels.test_conv2d import CASES
from tests.agn_hw.tables import random_table8

EXACT, NOISY = TABLES["exact"], TABLES["product and a byte"]
GEOMETRIES = ("plain", "everything", "depthwise", "depthwise, two outputs", "pointwise")
Gradients = tuple[torch.Tensor, ...]
ONE = torch.tensor(1.0, dtype=torch.float64)


def constants(channels: int, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """bias, asking for a gradient, and factor: some codes land inside -128..127, some outside."""
    bias = codes(channels, low=-4000, high=4000, seed=7).detach().double()
    factor = torch.arange(1.0, channels + 1).double() * 2.0 ** -round(8 + math.log2(depth) / 2)
    return bias.requires_grad_(), factor


def matrices() -> tuple[torch.Tensor, ...]:
    x, w = codes(7, 30, low=0, high=255), codes(5, 30, low=-127, high=127, seed=1)
    return x, w, *constants(5, 30)


def images(case: str) -> tuple[torch.Tensor, ...]:
    channels, outputs, kernel, geometry, height, width = CASES[case]
    x = codes(3, channels, height, width, low=0, high=255)
    w = codes(outputs, channels // geometry[3], *kernel, low=-127, high=127, seed=1)
    return x, w, *constants(outputs, w[0].numel())


def gradients(y: torch.Tensor, *of: torch.Tensor) -> Gradients:
    """Of a fixed weighted sum of y."""
    weights = torch.randint(-5, 6, y.shape, generator=torch.Generator().manual_seed(3))
    return torch.autograd.grad((y * weights).sum(), of)


def through(sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Requantisation as torch would differentiate it, were rounding the identity: the oracle of the gradients."""
    shape = (1, -1) + (1,) * (sums.dim() - 2)
    exact = (sums + bias.reshape(shape)) * factor.reshape(shape)
    rounded = exact + (torch.floor(exact.detach() + 0.5) - exact.detach())
    inside = (rounded.detach() > low) & (rounded.detach() < high)
    assert inside.any() and not inside.all()
    return torch.where(inside, rounded, rounded.detach().clamp(low, high))


def check_close(found: Gradients, expected: Gradients) -> None:
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 0
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-4, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize("low, high", [(0, 255), (-128, 127)])
def test_linear_with_the_exact_table(back_end, low, high):
    """Values and gradients are those of the float product, requantised."""
    x, w, bias, factor = matrices()
    for kept in ([], backend.split_table(EXACT), backend.prepare(to_bytes(w.detach()), EXACT)):
        expected = through(x.double() @ w.double().t(), bias, factor, low, high)
        y = linear(x, w, EXACT, kept, ONE, [], bias, factor, low, high)
        assert y.dtype == torch.float32 and torch.equal(y.double(), expected)
        check_close(gradients(y, x, w, bias), gradients(expected, x, w, bias))


@pytest.mark.parametrize("low, high", [(0, 255), (-128, 127)])
@pytest.mark.parametrize("case", GEOMETRIES)
def test_conv2d_with_the_exact_table(back_end, case, low, high):
    x, w, bias, factor = images(case)
    geometry = CASES[case][3]
    prepared = backend.prepare(to_bytes(w.detach()), EXACT, op.geometry_of(*geometry))
    for kept in ([], backend.split_table(EXACT), prepared):
        expected = through(F.conv2d(x.double(), w.double(), None, *geometry), bias, factor, low, high)
        y = conv2d(x, w, EXACT, kept, ONE, [], bias, factor, low, high, *geometry)
        assert y.dtype == torch.float32 and y.is_contiguous() and torch.equal(y.double(), expected)
        check_close(gradients(y, x, w, bias), gradients(expected, x, w, bias))


def test_values_are_the_tables(back_end):
    """Weights -128..127 and activations -128..255 as their bytes."""
    x, w = codes(9, 20, low=-128, high=255), codes(6, 20, low=-128, high=127, seed=1)
    constants = finish(6, -128, 127, largest_bias=9000)
    lut = random_table8(1)
    sums = reference.lut_matmul(to_bytes(x), to_bytes(w), lut)
    assert torch.equal(linear(x, w, lut, [], 0.3 * ONE, [], *constants), portable.requantize(sums, constants))
    x, w = x.reshape(1, 1, 9, 20), w.reshape(6, 1, 1, 20)
    y = conv2d(x, w, lut, [], 0.3 * ONE, [], *constants, [1, 1], [0, 0], [1, 1], 1)
    assert torch.equal(y[0, :, :, 0].t(), portable.requantize(sums, constants))


def test_gradients_do_not_ask_the_table(back_end):
    """As if each entry were gain * x * w: only the codes at their limits differ from table to table."""
    gain, wide = 0.37, (-(2**15), 2**15 - 1)
    x, w, bias, factor = matrices()
    exact = gradients((x.double() @ w.double().t() * gain + bias) * factor, x, w, bias)
    check_close(gradients(linear(x, w, NOISY, [], gain * ONE, [], bias, factor, *wide), x, w, bias), exact)
    x, w, bias, factor = images("everything")
    geometry = CASES["everything"][3]
    sums = F.conv2d(x.double(), w.double(), None, *geometry) * gain
    exact = gradients((sums + bias.reshape(1, -1, 1, 1)) * factor.reshape(1, -1, 1, 1), x, w, bias)
    check_close(gradients(conv2d(x, w, NOISY, [], gain * ONE, [], bias, factor, *wide, *geometry), x, w, bias), exact)


def test_no_gradient_at_either_limit(back_end):
    """The codes -4..4 between the limits -3 and 2: a code that just reaches a limit has none either."""
    x, w = torch.ones(1, 1, requires_grad=True), torch.arange(-4.0, 5.0)[:, None].requires_grad_()
    bias, factor = torch.zeros(9).double().requires_grad_(), torch.ones(9).double()
    y = linear(x, w, EXACT, [], ONE, [], bias, factor, -3, 2)
    assert y.tolist() == [[-3, -3, -2, -1, 0, 1, 2, 2, 2]]
    to_bias, to_w, to_x = torch.autograd.grad(y.sum(), (bias, w, x))
    assert to_bias.tolist() == to_w.flatten().tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0] and to_x.item() == -2


def test_sums_alone(back_end):
    """Whole numbers in float64 with the same gradients; one exact in float64 alone."""
    x, w, *_ = matrices()
    y = linear_sums(x, w, EXACT, [], 0.5 * ONE, [])
    assert y.dtype == torch.float64 and torch.equal(y, (x @ w.t()).double())
    check_close(gradients(y, x, w), gradients(x.double() @ w.double().t() * 0.5, x, w))
    geometry = CASES["everything"][3]
    x, w, *_ = images("everything")
    y = conv2d_sums(x, w, EXACT, [], 0.5 * ONE, [], *geometry)
    assert y.dtype == torch.float64 and torch.equal(y, F.conv2d(x.double(), w.double(), None, *geometry))
    check_close(gradients(y, x, w), gradients(F.conv2d(x, w, None, *geometry) * 0.5, x, w))
    large = torch.full((256, 256), 2**26 + 1, dtype=torch.int32)
    assert linear_sums(torch.zeros(1, 3), torch.zeros(1, 3), large, [], ONE, []).item() == 3 * 2**26 + 3


def test_only_wanted_gradients(back_end):
    """Weights that rest, or activations that nobody asks about."""
    x, w, bias, factor = images("plain")
    geometry = CASES["plain"][3]
    every = gradients(conv2d(x, w, NOISY, [], ONE, [], bias, factor, 0, 255, *geometry), x, w, bias)
    y = conv2d(x.detach(), w, NOISY, [], ONE, [], bias, factor, 0, 255, *geometry)
    check_close(gradients(y, w, bias), every[1:])
    y = conv2d(x, w.detach(), NOISY, [], ONE, [], bias.detach(), factor, 0, 255, *geometry)
    check_close(gradients(y, x), every[:1])


X, W, BIAS, FACTOR = (tensor.detach() for tensor in matrices())
ANY = torch.ones(256, 2)


@pytest.mark.parametrize("changed, match", [
    (dict(x=X[:, :9]), r"x has K = 9, w has K = 30|x has 9 channels"),
    (dict(x=X[0]), r"must be matrices|must have 4 axes"),
    (dict(lut=EXACT.long()), "lut must be int32"),
    (dict(lut=EXACT[:9]), "lut must be int32"),
    (dict(bias=BIAS[:4]), r"must be float64 \[5\]"),
    (dict(factor=FACTOR.float()), r"must be float64 \[5\]"),
    (dict(gain=ONE.float()), "gain must be a float64 scalar"),
    (dict(gain=ONE[None]), "gain must be a float64 scalar"),
    (dict(gradient=[ANY] * 3), "got 3 tensors"),
    (dict(gradient=[ANY, ANY.double(), ANY, ANY]), r"float32 \[256, r\]"),
    (dict(gradient=[ANY, ANY, ANY, ANY[:9]]), r"float32 \[256, r\]"),
    (dict(gradient=[ANY, ANY, ANY[:0], ANY]), r"float32 \[256, r\]"),
    (dict(gradient=[ANY, ANY, ANY, ANY[:, :1]]), r"one rank, got \(2, 1\)"),
])
def test_layers_that_would_be_misread_are_refused(changed, match):
    given = dict(x=X, w=W, lut=EXACT, kept=[], gain=ONE, gradient=[], bias=BIAS, factor=FACTOR, low=0, high=255)
    geometry = dict(stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1)
    with pytest.raises(RuntimeError, match=match):
        linear(**given | changed)
    finish = ("bias", "factor", "low", "high")
    sums_given = {name: value for name, value in (given | changed).items() if name not in finish}
    if not changed.keys() & set(finish):
        with pytest.raises(RuntimeError, match=match):
            linear_sums(**sums_given)
    images = dict(x=X[:, :, None, None], w=W[:, :, None, None])
    if "x" in changed:
        images["x"] = changed["x"][..., None, None]
    with pytest.raises(RuntimeError, match=match):
        conv2d(**given | geometry | changed | images)
    if not changed.keys() & set(finish):
        with pytest.raises(RuntimeError, match=match):
            conv2d_sums(**sums_given | geometry | images)


# --- registration and compilation


FACTORS = [torch.randn(256, rank, generator=torch.Generator().manual_seed(rank)) for rank in (2, 2, 3, 3)]


def test_opcheck(back_end):
    x, w, bias, factor = matrices()
    kept = backend.prepare(to_bytes(w.detach()), NOISY)
    torch.library.opcheck(torch.ops.agn_hw.linear, (x, w, NOISY, kept, ONE, [], bias, factor, -128, 127))
    x, w, bias, factor = images("everything")
    arguments = (x, w, NOISY, [], ONE, [], bias, factor, -128, 127, *CASES["everything"][3])
    torch.library.opcheck(torch.ops.agn_hw.conv2d, arguments)


def test_opcheck_of_gradients_by_tables():
    operators = torch.ops.agn_hw
    x, w, bias, factor = matrices()
    torch.library.opcheck(operators.linear, (x, w, NOISY, [], ONE, FACTORS, bias, factor, -128, 127))
    for gradient in ([], FACTORS):
        torch.library.opcheck(operators.linear_sums, (x, w, NOISY, [], ONE, gradient))
    x, w, bias, factor = images("everything")
    geometry = CASES["everything"][3]
    torch.library.opcheck(operators.conv2d, (x, w, NOISY, [], ONE, FACTORS, bias, factor, -128, 127, *geometry))
    for gradient in ([], FACTORS):
        torch.library.opcheck(operators.conv2d_sums, (x, w, NOISY, [], ONE, gradient, *geometry))


def network(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor, *gradient: torch.Tensor):
    """All operators with torch's own between them."""
    g, gain, geometry = list(gradient), 0.5 * ONE, CASES["plain"][3]
    y = conv2d(x, w, NOISY, [], gain, g, bias, factor, 0, 255, *geometry)
    other = requantize(conv2d_sums(x, w, NOISY, [], gain, g, *geometry), bias, factor * 0.5, 0, 255)
    y = add_codes(y, other.flip(0), factor[:2] / factor[1], 0, 255)
    pooled = requantize(y.double().sum((2, 3)), bias, factor * 0.25, -128, 127)
    w = w.flatten(1)[:, :4] * 1.0
    pooled = linear(pooled, w, NOISY, [], gain, g, bias, factor, -128, 127)
    return linear_sums(pooled, w, NOISY, [], gain, g).square().sum()


@pytest.mark.parametrize("gradient", [[], FACTORS, [FACTORS[0][:0, :1], FACTORS[1][:, :1], *FACTORS[2:]]])
def test_compiles_in_one_graph(gradient):
    results = []
    functions: list[Callable] = [network, torch.compile(network, fullgraph=True, backend="aot_eager")]
    for function in functions:
        x, w, bias, factor = images("plain")
        factor.requires_grad_()
        value = function(x, w, bias, factor, *gradient)
        results.append((value, *torch.autograd.grad(value, (x, w, bias, factor))))
    assert all(gradient.abs().max() > 0 for gradient in results[0])
    assert all(map(torch.equal, *results))


def test_bytes_of_codes():
    assert to_bytes(torch.tensor([0.0, 127.0, 255.0, -1.0, -128.0])).tolist() == [0, 127, 255, 255, 128]
