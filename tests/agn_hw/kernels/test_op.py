"""torch.ops.agn_hw.lut_matmul and lut_linear: checks, registration, gradients, compilation."""

import pytest
import torch

from agn_hw.kernels import op, reference
from tests.agn_hw.kernels.test_portable import operands
from tests.agn_hw.tables import exact_table8, random_table8

lut_matmul, lut_linear = torch.ops.agn_hw.lut_matmul, torch.ops.agn_hw.lut_linear
X, W = operands(6, 5, 4)


def codes(*shape: int, low: int, high: int, seed: int = 0) -> torch.Tensor:
    """Random whole numbers as float32 that ask for a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).float().requires_grad_()


def layer_operands() -> tuple[torch.Tensor, torch.Tensor]:
    return codes(6, 5, low=0, high=255), codes(4, 5, low=-127, high=127, seed=1)


def test_matmul_is_the_reference():
    for rows in (6, 100):
        x, w = operands(rows, 27, 9)
        assert torch.equal(lut_matmul(x, w, random_table8(0)), reference.lut_matmul(x, w, random_table8(0)))


def test_sums_that_could_leave_int32_are_refused():
    lut = torch.zeros(256, 256, dtype=torch.int32)
    lut[3, 200] = -(2**30)
    assert lut_matmul(X[:, :1], W[:, :1], lut).shape == (6, 4)
    with pytest.raises(RuntimeError, match="K = 2 products of up to 1073741824"):
        lut_matmul(X[:, :2], W[:, :2], lut)
    lut[3, 200] = 2**31 - 1
    x, w = torch.full((1, 1), 3, dtype=torch.uint8), torch.full((1, 1), 200, dtype=torch.uint8)
    assert lut_matmul(x, w, lut).item() == 2**31 - 1


@pytest.mark.parametrize("x, w, lut", [
    (X.int(), W, random_table8(0)),
    (X, W.to(torch.int8), random_table8(0)),
    (X, W, random_table8(0).long()),
    (X, W, random_table8(0).float()),
    (X, W, random_table8(0)[:128]),
    (X, W, random_table8(0).reshape(-1)),
    (X[0], W, random_table8(0)),
    (X, W[None], random_table8(0)),
    (X[:, :4], W, random_table8(0)),
])
def test_wrong_types_and_shapes_are_refused(x, w, lut):
    with pytest.raises(RuntimeError, match=r"must be|has K"):
        lut_matmul(x, w, lut)
    with pytest.raises(RuntimeError, match=r"must be|has K"), torch._subclasses.FakeTensorMode() as mode:
        lut_matmul(*(mode.from_tensor(tensor) for tensor in (x, w, lut)))


def test_linear_takes_signed_weights_as_bytes():
    x, w = layer_operands()
    y = lut_linear(x, w, random_table8(1), 1.0)
    bytes_x, bytes_w = (tensor.long().remainder(256).to(torch.uint8) for tensor in (x.detach(), w.detach()))
    assert y.dtype == torch.float64
    assert torch.equal(y.detach(), reference.lut_matmul(bytes_x, bytes_w, random_table8(1)).double())


def test_linear_with_the_exact_table_is_the_matrix_product():
    x, w = layer_operands()
    assert torch.equal(lut_linear(x, w, exact_table8(), 1.0), x.double() @ w.double().t())


@pytest.mark.parametrize("extreme", [-128.0, -127.0, 127.0])
def test_every_weight_byte(extreme):
    y = lut_linear(torch.tensor([[255.0, 1.0]]), torch.tensor([[extreme, 1.0]]), exact_table8(), 1.0)
    assert y.item() == 255 * extreme + 1


def test_linear_gradients_are_straight_through():
    """As if each entry were gain * x * w, whatever the table says."""
    x, w = layer_operands()
    grad = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    lut_linear(x, w, random_table8(2), 0.37).backward(grad)
    assert x.grad is not None and w.grad is not None
    for k in range(5):
        expected_x = sum(0.37 * grad[:, n] * w[n, k].item() for n in range(4))
        expected_w = sum(0.37 * grad[m] * x[m, k].item() for m in range(6))
        torch.testing.assert_close(x.grad[:, k].double(), expected_x, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(w.grad[:, k].double(), expected_w, rtol=1e-5, atol=1e-3)


def test_opcheck():
    torch.library.opcheck(lut_matmul, (X, W, random_table8(0)))
    torch.library.opcheck(lut_matmul, (X[:0], W, random_table8(0)))
    torch.library.opcheck(lut_linear, (*layer_operands(), random_table8(0), 0.5))


def test_compiles_in_one_graph():
    def loss(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
        return (lut_linear(x * 1.0, w, lut, 0.5) * 2).square().sum()

    gradients = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        x, w = layer_operands()
        value = function(x, w, random_table8(3))
        gradients.append((value, *torch.autograd.grad(value, (x, w))))
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("inference", [False, True])
def test_nothing_is_remembered(inference):
    """Operands and tables changed in place: the same memory, another result."""
    with torch.inference_mode(inference):
        x, w = operands(60, 9, 4)
        lut = random_table8(5)
        lut_matmul(x, w, lut)
        w += 1
        assert torch.equal(lut_matmul(x, w, lut), reference.lut_matmul(x, w, lut))
        lut[:, 7] -= 12345
        w[0] = 7
        assert torch.equal(lut_matmul(x, w, lut), reference.lut_matmul(x, w, lut))


def test_bytes_of_codes():
    assert op._bytes(torch.tensor([0.0, 127.0, 255.0, -1.0, -128.0])).tolist() == [0, 127, 255, 255, 128]
