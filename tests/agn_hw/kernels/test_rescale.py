"""Requantisation and sums of branches: their values and gradients, those of their factors too, and registration.

Every value of both against Python's integers: test_finish.py.
"""

import pytest
import torch

from agn_hw.kernels.autograd import add_codes, requantize
from tests.agn_hw.kernels.operands import codes
from tests.agn_hw.kernels.test_autograd import check_close, constants, gradients, through

FACTORS = torch.tensor([0.625, 0.375], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4, 6), (3, 6, 5), (2, 6, 3, 4)])
def test_requantize(back_end, shape, dtype):
    sums = codes(*shape, low=-20_000, high=20_000).detach().to(dtype)
    bias, factor = constants(6, 2)
    learned = (bias, factor.requires_grad_())
    inputs = learned if dtype == torch.int32 else (*learned, sums.requires_grad_())
    expected = through(sums.double(), bias, factor, -128, 127)
    y = requantize(sums, bias, factor, -128, 127)
    assert torch.equal(y.double(), expected)
    found = gradients(y, *inputs)
    assert [gradient.dtype for gradient in found] == [tensor.dtype for tensor in inputs]
    check_close(found, gradients(expected, *inputs))


def test_the_factors_gradient_of_requantize_by_hand():
    """One code inside: (sum + bias); one at its limit: nothing."""
    sums, bias = torch.tensor([[10.0, 900.0]]), torch.tensor([7.0, 0.0]).double()
    factor = torch.tensor([0.5, 0.5]).double().requires_grad_()
    y = requantize(sums, bias, factor, -100, 100)
    assert y.tolist() == [[9, 100]]
    assert torch.autograd.grad((3 * y).sum(), factor)[0].tolist() == [3 * 17, 0]


def test_add_codes(back_end):
    left, right = codes(9, 8, 3, low=-128, high=127), codes(9, 8, 3, low=0, high=255, seed=1)
    factors = FACTORS.clone().requires_grad_()
    exact = left * factors[0] + right * factors[1]
    y = add_codes(left, right, factors, -50, 60)
    assert torch.equal(y, torch.floor(exact + 0.5).clamp(-50, 60))
    inside = ((y > -50) & (y < 60)).detach()
    assert inside.any() and not inside.all()
    inputs = left, right, factors
    found = gradients(y, *inputs)
    assert [gradient.dtype for gradient in found] == [tensor.dtype for tensor in inputs]
    check_close(found, gradients(torch.where(inside, exact, 0.0), *inputs))


X, BIAS = torch.zeros(4, 6), torch.zeros(5).double()


@pytest.mark.parametrize("call, match", [
    (lambda: requantize(X, BIAS, BIAS, 0, 255), r"must be float64 \[6\]"),
    (lambda: add_codes(X, X[:1], FACTORS, 0, 255), "of one shape"),
    (lambda: add_codes(X, X.double(), FACTORS, 0, 255), "float32 of one shape"),
    (lambda: add_codes(X, X, FACTORS.float(), 0, 255), r"factors must be float64 \[2\]"),
    (lambda: add_codes(X, X, BIAS, 0, 255), r"factors must be float64 \[2\]"),
])
def test_codes_that_would_be_misread_are_refused(call, match):
    with pytest.raises(RuntimeError, match=match):
        call()


def test_opcheck(back_end):
    operators = torch.ops.agn_hw
    sums = codes(2, 5, 3, low=-9000, high=9000).detach()
    for given in (sums.double().requires_grad_(), sums.int(), sums.transpose(0, 2)):
        bias, factor = constants(given.shape[1], 3)
        torch.library.opcheck(operators.requantize, (given, bias, factor, -128, 127))
    left, right = codes(4, 3, low=0, high=255), codes(4, 3, low=0, high=255, seed=1)
    torch.library.opcheck(operators.add_codes, (left, right, FACTORS, 0, 255))
    torch.library.opcheck(operators.add_codes, (left.detach().t(), right.detach().t(), FACTORS, 0, 255))


def test_opcheck_of_learned_factors():
    operators = torch.ops.agn_hw
    bias, factor = constants(5, 3)
    sums = codes(2, 5, 3, low=-9000, high=9000)
    torch.library.opcheck(operators.requantize, (sums, bias, factor.requires_grad_(), -128, 127))
    left, right = codes(4, 3, low=0, high=255), codes(4, 3, low=0, high=255, seed=1)
    torch.library.opcheck(operators.add_codes, (left, right, FACTORS.clone().requires_grad_(), 0, 255))
