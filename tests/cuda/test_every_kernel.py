"""Every kernel on operands as small as they may be and still be ragged: what `make sanitize-cuda` watches, too."""

import pytest
import torch

from agn_hw.kernels import autograd, op, prepare, reference
from agn_hw.kernels.forms import Geometry
from tests.agn_hw.kernels.operands import TABLES, finish, operands, random_bytes
from tests.cuda.kernels import FORCED, force

KINDS = ("exact", "product and a byte", "product and two bytes", "17 bits", "three bytes", "a byte", "zero")
"""Tables with terms alone, with one to three residual bytes, with nothing."""


@pytest.mark.parametrize("forced", FORCED)
@pytest.mark.parametrize("table", KINDS)
def test_matrices(device, monkeypatch, table, forced):
    force(forced, monkeypatch)
    lut = TABLES[table]
    for rows, depth, columns in ((1, 9, 3), (70, 150, 70), (130, 33, 131)):
        x, w = operands(rows, depth, columns)
        expected = reference.lut_matmul(x, w, lut)
        y = op.lut_matmul(x.to(device), w.to(device), lut.to(device))
        assert y.device == device and torch.equal(y.cpu(), expected), (rows, depth, columns)
        assert torch.equal(op.lut_matmul_prepared(x.to(device), prepare(w.to(device), lut.to(device))).cpu(), expected)


@pytest.mark.parametrize("table", ["four bytes", "uneven", "constants", "limits of int32", "all smallest"])
def test_one_product_of_any_size(device, table):
    x, w = operands(70, 1, 70)
    lut = TABLES[table]
    assert torch.equal(op.lut_matmul(x.to(device), w.to(device), lut.to(device)).cpu(), reference.lut_matmul(x, w, lut))


@pytest.mark.parametrize("forced", FORCED)
@pytest.mark.parametrize("geometry", [
    Geometry(padding=(1, 1)), Geometry((2, 1), (1, 2), (1, 2), 2, 201), Geometry((2, 2), (1, 0), groups=4)])
def test_convolutions(device, monkeypatch, geometry, forced):
    force(forced, monkeypatch)
    x = random_bytes(3, 4, 7, 6)
    for outputs in (4, 12):
        w = random_bytes(outputs, 4 // geometry.groups, 3, 2, seed=1)
        for table in ("exact", "product and a byte", "17 bits"):
            lut = TABLES[table]
            arguments = (*(list(pair) for pair in geometry[:3]), *geometry[3:])
            expected = op.lut_conv2d(x, w, lut, *arguments)
            y = op.lut_conv2d(x.to(device), w.to(device), lut.to(device), *arguments)
            assert torch.equal(y.cpu(), expected), (outputs, table)


@pytest.mark.parametrize("forced", FORCED)
def test_fused_requantisation(device, monkeypatch, forced):
    force(forced, monkeypatch)
    constants = finish(70, -128, 127, largest_bias=200_000)
    gain = torch.tensor(1.0, dtype=torch.float64)
    for table in ("exact", "product and a byte", "17 bits"):
        x, w = (codes.to(torch.int8).float() for codes in operands(70, 90, 70))
        arguments = x, w, TABLES[table], [], gain, [], *constants[:2]
        expected = autograd.linear(*arguments, -128, 127)
        found = autograd.linear(*_moved(arguments, device), -128, 127)
        assert found.dtype == torch.float32 and torch.equal(found.cpu(), expected)


def test_gradients_by_tables(device):
    """The one kernel of the backward pass."""
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(256, rank, generator=generator) for rank in (2, 2, 3, 3)]
    results = []
    for where in (torch.device("cpu"), device):
        x, w = (codes.to(torch.int8).float().to(where).requires_grad_() for codes in operands(33, 20, 9))
        lut, gain = TABLES["product and a byte"].to(where), torch.tensor(1.0, dtype=torch.float64, device=where)
        y = autograd.linear_sums(x, w, lut, [], gain, [factor.to(where) for factor in factors])
        results.append([part.cpu() for part in torch.autograd.grad(y.square().sum(), (x, w))])
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_requantisation_and_sums_of_branches(device):
    constants = finish(5, -128, 127, largest_bias=9000)
    sums = torch.randint(-(2**30), 2**30, (3, 5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    for dtype in (torch.int32, torch.float64):
        given = sums.to(dtype), *constants[:2]
        assert torch.equal(
            autograd.requantize(*_moved(given, device), -128, 127).cpu(), autograd.requantize(*given, -128, 127))
    pair = (sums[0] % 256).float(), (sums[1] % 256).float(), torch.tensor([0.75, 0.5], dtype=torch.float64)
    assert torch.equal(autograd.add_codes(*_moved(pair, device), 0, 255).cpu(), autograd.add_codes(*pair, 0, 255))


def _moved(values: tuple, device: torch.device) -> tuple:
    return tuple(value.to(device) if isinstance(value, torch.Tensor) else value for value in values)
