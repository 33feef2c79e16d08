"""Operators on float-valued codes: the processor's values bit for bit, its gradients but for the order of sums."""

from collections.abc import Callable

import pytest
import torch

from agn_hw.kernels import autograd, backend
from tests.agn_hw.kernels.operands import TABLES, finish
from tests.agn_hw.kernels.test_autograd import FACTORS, ONE, gradients, matrices
from tests.agn_hw.kernels.test_autograd import images as codes_and_constants
from tests.agn_hw.kernels.test_conv2d import CASES
from tests.agn_hw.kernels.test_finish import CHANNELS, RANGES, sums
from tests.cuda.kernels import force
from tests.cuda.test_products import on

GEOMETRIES = ("plain", "everything", "depthwise", "depthwise, two outputs", "pointwise", "first layer", "many groups")
KINDS = ("exact", "product and a byte", "17 bits")


def fresh(values: tuple, device: torch.device) -> list[torch.Tensor]:
    """Copies on the device, asking for gradients as the originals do."""
    return [value.detach().to(device).requires_grad_(value.requires_grad) for value in values]


def compare(
    layer: Callable[..., torch.Tensor], values: tuple, device: torch.device, close: float = 1e-3
) -> None:
    """layer(x, w, bias, factor, device) here and there: values equal, gradients of x, w and bias close."""
    results = []
    for where in (torch.device("cpu"), device):
        x, w, bias, factor = fresh(values, where)
        y = layer(x, w, bias, factor, where)
        asked = [value for value in (x, w, bias) if value.requires_grad]
        weights = torch.randint(-5, 6, y.shape, generator=torch.Generator().manual_seed(3)).to(where)
        results.append((y.detach().cpu(), [one.cpu() for one in torch.autograd.grad((y * weights).sum(), asked)]))
    (expected, slopes), (found, other) = results
    assert found.dtype == expected.dtype and torch.equal(found, expected)
    for one, two in zip(other, slopes, strict=True):
        assert two.abs().max() > 0
        torch.testing.assert_close(one.double(), two.double(), rtol=close, atol=close * float(two.abs().max()))


@pytest.mark.parametrize("gradient", [[], FACTORS], ids=["straight-through", "tables"])
@pytest.mark.parametrize("table", KINDS)
def test_linear(device, table, gradient):
    def layer(x, w, bias, factor, where):
        lut = TABLES[table].to(where)
        kept = backend.split_table(lut) if where.type == "cuda" else []
        return autograd.linear(x, w, lut, kept, ONE.to(where), [g.to(where) for g in gradient], bias, factor, -128, 127)

    compare(layer, matrices(), device)


@pytest.mark.parametrize("gradient", [[], FACTORS], ids=["straight-through", "tables"])
@pytest.mark.parametrize("table", KINDS)
@pytest.mark.parametrize("case", GEOMETRIES)
def test_conv2d(device, monkeypatch, case, table, gradient):
    def layer(x, w, bias, factor, where):
        lut, factors = TABLES[table].to(where), [g.to(where) for g in gradient]
        return autograd.conv2d(x, w, lut, [], ONE.to(where), factors, bias, factor, 0, 255, *CASES[case][3])

    for forced in ("as chosen", "row_add", "gather"):
        with monkeypatch.context() as patch:
            force(forced, patch)
            compare(layer, codes_and_constants(case), device)


@pytest.mark.parametrize("table", KINDS)
def test_sums_alone(device, table):
    x, w, *_ = matrices()
    pictures, kernels, *_ = codes_and_constants("everything")
    lut = TABLES[table]
    for given in ((x, w), (pictures, kernels)):
        results = []
        for where in (torch.device("cpu"), device):
            a, b = fresh(given, where)
            arguments = a, b, lut.to(where), [], (0.5 * ONE).to(where), []
            geometry = CASES["everything"][3] if a.dim() == 4 else ()
            y = (autograd.conv2d_sums if geometry else autograd.linear_sums)(*arguments, *geometry)
            results.append((y.detach().cpu(), [g.cpu() for g in torch.autograd.grad(y.square().mean(), (a, b))]))
        assert results[1][0].dtype == torch.float64 and torch.equal(results[1][0], results[0][0])
        for one, two in zip(results[1][1], results[0][1], strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max()))


@pytest.mark.parametrize("low, high", RANGES)
def test_fused_products_are_the_sums_requantised_apart(device, low, high):
    for rows, columns in ((1, 1), (130, 17), (70, CHANNELS), (3, 130)):
        constants = on(device, *finish(columns, low, high, largest_bias=200_000)[:2])
        x, w = (torch.randint(-128, 128, (n, 40), generator=torch.Generator().manual_seed(n)) for n in (rows, columns))
        x, w = on(device, x.float(), w.float())
        for table in KINDS:
            arguments = x, w, TABLES[table].to(device), [], ONE.to(device), []
            total = autograd.linear_sums(*arguments)
            y = autograd.linear(*arguments, *constants, low, high)
            assert torch.equal(y, autograd.requantize(total, *constants, low, high)), table


@pytest.mark.parametrize("low, high", RANGES)
def test_requantize(device, low, high):
    """Ties, extremes, every shift; each dtype and layout of sums; gradients of the factor too."""
    constants = finish(CHANNELS, low, high)
    total = sums(constants)
    expected = autograd.requantize(total, *constants)
    there, bias, factor = on(device, total, *constants[:2])
    for given in (there, there.double(), there.transpose(0, 2).contiguous().transpose(0, 2)):
        assert torch.equal(autograd.requantize(given, bias, factor, low, high).cpu(), expected)
    assert autograd.requantize(there[:0], bias, factor, low, high).shape == (0, CHANNELS, 3)
    factor = torch.tensor([2.0**-20, 2.0**-23]).double().repeat(CHANNELS)[:CHANNELS]
    slopes = []
    for where in (torch.device("cpu"), device):
        asked = [value.to(where).requires_grad_() for value in (total.double(), constants.bias, factor)]
        slopes.append(gradients(autograd.requantize(*asked, low, high).cpu(), *asked))
    for one, two in zip(slopes[1], slopes[0], strict=True):
        torch.testing.assert_close(one.cpu(), two, rtol=1e-5, atol=1e-6 * float(two.abs().max()))


@pytest.mark.parametrize("low, high", RANGES[:2])
def test_add_codes(device, low, high):
    left, right = torch.meshgrid(torch.arange(-128.0, 256.0), torch.arange(-130.0, 257.0), indexing="ij")
    for multipliers, shift in (((16384, 20000), 15), ((32767, 1), 16), ((1, 0), 1), ((3, 32767), 40)):
        factors = torch.tensor([m * 2.0**-shift for m in multipliers], dtype=torch.float64)
        y = autograd.add_codes(*on(device, left, right, factors), low, high)
        assert torch.equal(y.cpu(), autograd.add_codes(left, right, factors, low, high))


def test_opcheck(device):
    x, w, bias, factor = fresh(matrices(), device)
    lut, gain = TABLES["product and a byte"].to(device), ONE.to(device)
    factors = [factor.to(device) for factor in FACTORS]
    operators = torch.ops.agn_hw
    kept = backend.prepare(autograd.to_bytes(w.detach()), lut)
    torch.library.opcheck(operators.linear, (x, w, lut, kept, gain, [], bias, factor, -128, 127))
    torch.library.opcheck(operators.linear, (x, w, lut, [], gain, factors, bias, factor, -128, 127))
    torch.library.opcheck(operators.linear_sums, (x, w, lut, [], gain, factors))
    pictures, kernels, bias, factor = fresh(codes_and_constants("everything"), device)
    geometry = CASES["everything"][3]
    arguments = pictures, kernels, lut, [], gain, factors, bias, factor, 0, 255, *geometry
    torch.library.opcheck(operators.conv2d, arguments)
    total = torch.randint(-9000, 9000, (2, 6, 3), device=device, dtype=torch.int32)
    torch.library.opcheck(operators.requantize, (total, bias, factor, -128, 127))
