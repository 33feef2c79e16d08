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
    lut[3, 200] = -(2**30) - 1
    assert op.lut_matmul(X[:, :1], W[:, :1], lut).shape == (6, 4)
    for refused in (op.lut_matmul, lambda x, w, lut: prepare(w, lut)):
        with pytest.raises(RuntimeError, match="K = 2 products of up to 1073741825 could leave it"):
            refused(X[:, :2], W[:, :2], lut)
    lut[3, 200] = 2**31 - 1
    x, w = torch.full((1, 1), 3, dtype=torch.uint8), torch.full((1, 1), 200, dtype=torch.uint8)
    assert op.lut_matmul(x, w, lut).item() == 2**31 - 1
    lut[3, 200] = -(2**31)
    assert op.lut_matmul(x, w, lut).item() == -(2**31)
    lut[3, 200] = -(2**30)
    assert op.lut_matmul(x.repeat(1, 2), w.repeat(1, 2), lut).item() == -(2**31)


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


# --- what must not reach the compiled kernels


@pytest.mark.parametrize("w, lut", [
    (W.float(), LUT), (W.long(), LUT), (W, LUT.long()), (W, LUT[:16, :16].contiguous()), (W, LUT[:1, :1]),
])
def test_only_bytes_and_whole_tables_are_prepared(back_end, w, lut):
    with pytest.raises(RuntimeError, match="must be"):
        prepare(w, lut)


@pytest.mark.parametrize("prepared", [[], [W], [W, LUT, W], [W, LUT, W, W, W]])
def test_only_what_was_prepared_is_taken(prepared):
    with pytest.raises(RuntimeError, match="wanted what prepare"):
        op.lut_matmul_prepared(X, prepared)


def test_weights_prepared_for_another_geometry_are_refused():
    images, kernels = torch.zeros(1, 4, 6, 6, dtype=torch.uint8), torch.zeros(4, 4, 2, 2, dtype=torch.uint8)
    geometry = ([1, 1], [0, 0], [1, 1], 1)
    prepared = prepare(kernels, LUT, op.geometry_of(*geometry))
    assert op.lut_conv2d_prepared(images, prepared, *geometry).shape == (1, 4, 5, 5)
    if len(prepared) == 5:
        with pytest.raises(RuntimeError, match="prepared for another geometry"):
            op.lut_conv2d_prepared(images, prepared, [1, 1], [0, 0], [2, 2], 1)
        with pytest.raises(RuntimeError, match="wanted what prepare"):
            op.lut_conv2d_prepared(images, prepare(W, LUT), *geometry)


def test_weights_prepared_for_another_layer_are_refused():
    x, w = torch.zeros(2, 5), torch.zeros(4, 5)
    constants = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    gain = constants[1][0]
    other = prepare(torch.zeros(7, 9, dtype=torch.uint8), LUT)
    with pytest.raises(RuntimeError, match="prepare again"):
        torch.ops.agn_hw.linear(x, w, LUT, other, gain, [], *constants, 0, 255)
    if len(other) == 4:
        with pytest.raises(RuntimeError, match="wanted a table's split"):
            torch.ops.agn_hw.linear(x, w, LUT, [LUT], gain, [], *constants, 0, 255)


def test_images_too_large_to_lay_out_are_refused():
    images, kernels = torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, 1, 3, 3, dtype=torch.uint8)
    for padding in (2**31 - 2, 1_600_000_000):
        with pytest.raises(RuntimeError, match="too large"):
            op.lut_conv2d(images, kernels, LUT, [padding, padding], [padding, padding], [1, 1], 1)


def test_no_outputs(back_end):
    images, kernels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(0, 3, 3, 3, dtype=torch.uint8)
    assert op.lut_conv2d(images, kernels, LUT, [1, 1], [0, 0], [1, 1], 1).shape == (2, 0, 2, 2)


def test_limits_are_those_of_codes():
    sums, constants = torch.zeros(2, 3), (torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    for limits in ((5, 4), (-(2**31), 0), (0, 2**16)):
        with pytest.raises(RuntimeError, match="within 16 bits"):
            torch.ops.agn_hw.requantize(sums, *constants, *limits)
        with pytest.raises(RuntimeError, match="within 16 bits"):
            torch.ops.agn_hw.add_codes(sums, sums, constants[1][:2], *limits)
