"""The integer operators: checks, fake kernels, compilation, weights prepared beforehand, nothing remembered."""

import shutil
from typing import Any

import pytest
import torch

from agn_hw.kernels import backend, op, prepare, reference
from tests.agn_hw.kernels.operands import TABLES, instruction_sets, operands, random_bytes, using
from tests.agn_hw.tables import random_table8

X, W = operands(6, 5, 4)
LUT = random_table8(0)
IMAGES, KERNELS = random_bytes(2, 4, 6, 5), random_bytes(6, 2, 3, 2, seed=1)
GEOMETRY = ([2, 1], [1, 2], [1, 2], 2)


def check_refused(function: Any, *arguments: Any, match: str) -> None:
    """By the kernel, and by the fake kernel that tracing runs."""
    with pytest.raises(RuntimeError, match=match):
        function(*arguments)
    with pytest.raises(RuntimeError, match=match), torch._subclasses.FakeTensorMode() as mode:
        function(*(mode.from_tensor(a) if isinstance(a, torch.Tensor) else a for a in arguments))


def test_matmul_is_the_reference(back_end):
    for shape in ((6, 27, 9), (100, 27, 9), (100, 27, 70), (1, 9, 1), (300, 130, 3)):
        x, w = operands(*shape)
        for lut in (LUT, TABLES["product and a byte"]):
            assert torch.equal(op.lut_matmul(x, w, lut), reference.lut_matmul(x, w, lut))


@pytest.mark.parametrize("rows, depth, columns", [(0, 9, 4), (5, 9, 0), (5, 0, 4), (0, 0, 0)])
def test_empty_matrices(back_end, rows, depth, columns):
    y = op.lut_matmul(*operands(rows, depth, columns), LUT)
    assert y.dtype == torch.int32 and torch.equal(y, torch.zeros(rows, columns, dtype=torch.int32))


def test_sums_that_could_leave_int32_are_refused(back_end):
    lut = torch.zeros(256, 256, dtype=torch.int32)
    lut[3, 200] = -(2**30)
    assert op.lut_matmul(X[:, :1], W[:, :1], lut).shape == (6, 4)
    for refused in (op.lut_matmul, lambda x, w, lut: prepare(w, lut)):
        with pytest.raises(RuntimeError, match="K = 2 products of up to 1073741824 could leave it"):
            refused(X[:, :2], W[:, :2], lut)
    lut[3, 200] = 2**31 - 1
    x, w = torch.full((1, 1), 3, dtype=torch.uint8), torch.full((1, 1), 200, dtype=torch.uint8)
    assert op.lut_matmul(x, w, lut).item() == 2**31 - 1
    lut[3, 200] = -(2**31)
    with pytest.raises(RuntimeError, match="K = 1 products of up to 2147483648"):
        op.lut_matmul(x, w, lut)


@pytest.mark.parametrize("x, w, lut", [
    (X.int(), W, LUT),
    (X, W.to(torch.int8), LUT),
    (X, W, LUT.long()),
    (X, W, LUT.float()),
    (X, W, LUT[:128]),
    (X, W, LUT.reshape(-1)),
    (X[0], W, LUT),
    (X, W[None], LUT),
    (X[:, :4], W, LUT),
])
def test_wrong_matrices_are_refused(x, w, lut):
    check_refused(op.lut_matmul, x, w, lut, match=r"must be|has K")


@pytest.mark.parametrize("x, w, lut", [
    (IMAGES.int(), KERNELS, LUT),
    (IMAGES, KERNELS.float(), LUT),
    (IMAGES, KERNELS, LUT[:, :200]),
    (IMAGES[0], KERNELS, LUT),
    (IMAGES, KERNELS[0], LUT),
    (IMAGES[:, :3], KERNELS, LUT),
    (IMAGES, KERNELS[:5], LUT),
])
def test_wrong_images_are_refused(x, w, lut):
    check_refused(op.lut_conv2d, x, w, lut, *GEOMETRY, match=r"must be|must have 4 axes|wants 2 in each of 2 groups")


@pytest.mark.parametrize("geometry, match", [
    (([0, 1], [1, 2], [1, 2], 2), r"stride must be two sizes, got \[0, 1\]"),
    (([1], [1, 2], [1, 2], 2), "stride must be two sizes"),
    (([1, 1], [-1, 0], [1, 2], 2), "padding must be two sizes"),
    (([1, 1], [0, 0, 0], [1, 2], 2), "padding must be two sizes"),
    (([1, 1], [0, 0], [1, 0], 2), "dilation must be two sizes"),
    (([1, 1], [0, 0], [1, 1], 0), "in each of 0 groups"),
    (([1, 1], [0, 0], [1, 1], 1), "in each of 1 groups"),
    (([1, 1], [0, 0], [3, 1], 2), r"kernel \(3, 2\) is larger than the padded image"),
    (([1, 1], [0, 0], [1, 5], 2), r"kernel \(3, 2\) is larger than the padded image"),
    (([1, 1], [0, 0], [1, 1], 2, 256), "padding_code 256 is no byte"),
    (([1, 1], [0, 0], [1, 1], 2, -1), "padding_code -1 is no byte"),
])
def test_wrong_geometries_are_refused(geometry, match):
    check_refused(op.lut_conv2d, IMAGES, KERNELS, LUT, *geometry, match=match)


def test_prepared_weights_are_checked_too():
    matrices, images = prepare(W, LUT), prepare(KERNELS, LUT, op.geometry_of(*GEOMETRY))
    with pytest.raises(RuntimeError, match="has K = 4, w has K = 5"):
        op.lut_matmul_prepared(X[:, :4], matrices)
    with pytest.raises(RuntimeError, match="must be uint8"):
        op.lut_matmul_prepared(X.int(), matrices)
    with pytest.raises(RuntimeError, match="wants 2 in each of 2 groups"):
        op.lut_conv2d_prepared(IMAGES[:, :3], images, *GEOMETRY)


# --- prepared weights


@pytest.mark.parametrize("depth, columns", [(5, 4), (300, 70), (9, 1)])
def test_prepared_matrices(back_end, depth, columns):
    for rows in (1, 70, 0):
        x, w = operands(rows, depth, columns)
        for lut in (LUT, TABLES["product and a byte"], TABLES["exact"]):
            expected = reference.lut_matmul(x, w, lut)
            assert torch.equal(op.lut_matmul_prepared(x, prepare(w, lut)), expected)
            kept = prepare(w, lut, split=backend.split_table(lut))
            assert torch.equal(op.lut_matmul_prepared(x, kept), expected)


@pytest.mark.parametrize("padding_code", [0, 9])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_prepared_convolutions(back_end, groups, padding_code):
    geometry = (*GEOMETRY[:3], groups, padding_code)
    w = random_bytes(8, 4 // groups, 3, 2, seed=1)
    for lut in (LUT, TABLES["product and a byte"]):
        for split in (None, backend.split_table(lut)):
            prepared = prepare(w, lut, op.geometry_of(*geometry), split)
            y = op.lut_conv2d_prepared(IMAGES, prepared, *geometry)
            assert torch.equal(y, op.lut_conv2d(IMAGES, w, lut, *geometry))


def test_prepared_weights_outlive_a_change_of_instruction_set(isa):
    x, w = operands(70, 40, 65)
    matrices, images = prepare(w, LUT), prepare(KERNELS, LUT, op.geometry_of(*GEOMETRY))
    for other in instruction_sets():
        with using(other):
            assert torch.equal(op.lut_matmul_prepared(x, matrices), op.lut_matmul(x, w, LUT))
            y = op.lut_conv2d_prepared(IMAGES, images, *GEOMETRY)
            assert torch.equal(y, op.lut_conv2d(IMAGES, KERNELS, LUT, *GEOMETRY))


# --- registration and compilation


def test_opcheck(back_end):
    for function, *arguments in (
        (torch.ops.agn_hw.lut_matmul, X, W, LUT),
        (torch.ops.agn_hw.lut_matmul, X[:0], W, LUT),
        (torch.ops.agn_hw.lut_matmul_prepared, X, prepare(W, LUT)),
        (torch.ops.agn_hw.lut_conv2d, IMAGES, KERNELS, LUT, *GEOMETRY),
        (torch.ops.agn_hw.lut_conv2d, IMAGES, KERNELS, LUT, *GEOMETRY, 7),
        (torch.ops.agn_hw.lut_conv2d_prepared, IMAGES, prepare(KERNELS, LUT, op.geometry_of(*GEOMETRY)), *GEOMETRY),
    ):
        torch.library.opcheck(function, tuple(arguments))


def product(x: torch.Tensor, w: torch.Tensor, images: torch.Tensor, matrices: list, kernels: list) -> torch.Tensor:
    """All four operators, with torch's own between them."""
    bare = op.lut_matmul(x ^ 1, w, LUT) + op.lut_matmul_prepared(x ^ 1, matrices)
    y = op.lut_conv2d_prepared(images, kernels, *GEOMETRY)
    return bare.sum() + (op.lut_conv2d(images, KERNELS, LUT, *GEOMETRY) * y).sum()


def check_compiled(backend_name: str) -> None:
    arguments = (X, W, IMAGES, prepare(W, LUT), prepare(KERNELS, LUT, op.geometry_of(*GEOMETRY)))
    compiled = torch.compile(product, fullgraph=True, backend=backend_name)
    assert torch.equal(compiled(*arguments), product(*arguments))


def test_compiles_in_one_graph():
    check_compiled("aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="the default compiler of torch wants a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own
def test_compiles_with_the_default_compiler():
    check_compiled("inductor")


@pytest.mark.parametrize("inference", [False, True])
def test_nothing_is_remembered(back_end, inference):
    """Operands and tables changed in place: the same memory, another result."""
    with torch.inference_mode(inference):
        x, w = operands(60, 9, 4)
        lut = random_table8(5)
        op.lut_matmul(x, w, lut)
        w += 1
        assert torch.equal(op.lut_matmul(x, w, lut), reference.lut_matmul(x, w, lut))
        lut[:, 7] -= 12345
        w[0] = 7
        assert torch.equal(op.lut_matmul(x, w, lut), reference.lut_matmul(x, w, lut))
        x ^= 255
        assert torch.equal(op.lut_matmul(x, w, lut), reference.lut_matmul(x, w, lut))
