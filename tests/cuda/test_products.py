"""Table products on a device, bit for bit those of the processor: tables, shapes, geometries, checks."""

import pytest
import torch

from agn_hw.kernels import backend, op, prepare, reference
from tests.agn_hw.kernels.operands import TABLES, operands, random_bytes
from tests.agn_hw.kernels.test_conv2d import CASES, PADDING_CODES, PLAIN
from tests.agn_hw.kernels.test_conv2d import operands as images
from tests.agn_hw.tables import random_table8
from tests.cuda.kernels import FORCED, force

LIMITED = ("four bytes", "uneven", "constants", "all smallest", "all largest", "limits of int32")
"""Tables of which one entry alone may be added up."""
MATRICES = [
    (6, 27, 9), (100, 27, 70), (1, 9, 1), (300, 130, 3), (65, 64, 64), (129, 1152, 130), (1000, 577, 257),
    (5, 4608, 512),
]  # fmt: skip


def on(device: torch.device, *values: object) -> tuple:
    return tuple(value.to(device) if isinstance(value, torch.Tensor) else value for value in values)


@pytest.mark.parametrize("table", TABLES)
def test_every_table(device, table):
    depth = 1 if table in LIMITED else 90
    for rows, columns in ((70, 70), (3, 2), (300, 33)):
        x, w = operands(rows, depth, columns)
        y = op.lut_matmul(*on(device, x, w, TABLES[table]))
        assert y.dtype == torch.int32 and y.is_contiguous()
        assert torch.equal(y.cpu(), reference.lut_matmul(x, w, TABLES[table]))


@pytest.mark.parametrize("forced", FORCED)
@pytest.mark.parametrize("rows, depth, columns", MATRICES)
def test_every_shape(device, monkeypatch, rows, depth, columns, forced):
    force(forced, monkeypatch)
    x, w = operands(rows, depth, columns)
    for table in ("product and a byte", "17 bits", "exact"):
        expected = reference.lut_matmul(x, w, TABLES[table])
        moved = on(device, x, w, TABLES[table])
        assert torch.equal(op.lut_matmul(*moved).cpu(), expected), table
        kept = prepare(*moved[1:], split=backend.split_table(moved[2]))
        assert torch.equal(op.lut_matmul_prepared(moved[0], kept).cpu(), expected), table


def test_a_large_product(device):
    """Many tiles in every direction; some rows are compared."""
    generator = torch.Generator(device).manual_seed(0)
    x, w = (torch.randint(0, 256, (n, 2304), generator=generator, device=device).to(torch.uint8) for n in (5003, 1031))
    picked = torch.tensor([0, 1, 127, 128, 2500, 4999, 5002], device=device)
    for table in ("exact", "product and two bytes", "17 bits"):
        y = op.lut_matmul(x, w, TABLES[table].to(device))
        assert torch.equal(y[picked].cpu(), reference.lut_matmul(x[picked].cpu(), w.cpu(), TABLES[table])), table


@pytest.mark.parametrize("padding_code", PADDING_CODES)
@pytest.mark.parametrize("case", CASES)
def test_every_geometry(device, monkeypatch, case, padding_code):
    x, w = images(case)
    for table in ("17 bits", "product and a byte", "exact"):
        arguments = (TABLES[table], *CASES[case][3], padding_code)
        expected = op.lut_conv2d(x, w, *arguments)
        for forced in ("as chosen", "row_add", "gather"):
            with monkeypatch.context() as patch:
                force(forced, patch)
                y = op.lut_conv2d(*on(device, x, w, *arguments))
                assert y.is_contiguous() and torch.equal(y.cpu(), expected), (table, forced)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_prepared_convolutions(device, groups):
    geometry = ([2, 1], [1, 2], [1, 2], groups, 9)
    x, w = random_bytes(2, 4, 6, 5), random_bytes(8, 4 // groups, 3, 2, seed=1)
    for lut in (random_table8(0), TABLES["product and a byte"]):
        expected = op.lut_conv2d(x, w, lut, *geometry)
        moved = on(device, x, w, lut)
        for split in (None, backend.split_table(moved[2])):
            kept = prepare(*moved[1:], op.geometry_of(*geometry), split)
            assert torch.equal(op.lut_conv2d_prepared(moved[0], kept, *geometry).cpu(), expected)


@pytest.mark.parametrize("channels, outputs, kernel, side, stride, groups", [
    (64, 64, 3, 14, 1, 1), (256, 128, 1, 7, 1, 1), (3, 64, 7, 32, 2, 1), (128, 128, 3, 14, 1, 128),
    (48, 96, 3, 9, 2, 4),
])
def test_layers_of_real_networks(device, channels, outputs, kernel, side, stride, groups):
    x, w = random_bytes(2, channels, side, side), random_bytes(outputs, channels // groups, kernel, kernel, seed=1)
    for table in ("product and a byte", "17 bits", "exact"):
        arguments = (TABLES[table], [stride] * 2, [kernel // 2] * 2, [1, 1], groups)
        assert torch.equal(op.lut_conv2d(*on(device, x, w, *arguments)).cpu(), op.lut_conv2d(x, w, *arguments)), table


@pytest.mark.parametrize("rows, depth, columns", [(0, 9, 4), (5, 9, 0), (5, 0, 4), (0, 0, 0)])
def test_empty_matrices(device, rows, depth, columns):
    y = op.lut_matmul(*on(device, *operands(rows, depth, columns), random_table8(0)))
    assert torch.equal(y.cpu(), torch.zeros(rows, columns, dtype=torch.int32))


def test_empty_batches(device):
    x, w = images("plain", 0)
    assert op.lut_conv2d(*on(device, x, w, TABLES["17 bits"]), *PLAIN).shape == (0, 4, 5, 7)
    x, w = images("plain", 1)
    assert op.lut_conv2d(*on(device, x, w[:0], TABLES["17 bits"]), *PLAIN).shape == (1, 0, 5, 7)


def test_operands_with_gaps(device):
    """Strided, transposed, channels last, and not aligned to anything."""
    lut = random_table8(0)
    x, w = random_bytes(3, 4, 8, 6), random_bytes(6, 4, 3, 3, seed=1)
    expected = op.lut_conv2d(x[:, ::2, 1:, ::2], w[::2, ::2], lut, *PLAIN)
    there, weights, table = on(device, x, w, lut)
    for layout in (torch.contiguous_format, torch.channels_last):
        given = there.contiguous(memory_format=layout)[:, ::2, 1:, ::2]
        kernels = weights.contiguous(memory_format=layout)[::2, ::2]
        assert torch.equal(op.lut_conv2d(given, kernels, table, *PLAIN).cpu(), expected)
    x, w = operands(41, 77, 23)
    expected = reference.lut_matmul(x[1:, 3:], w[2:, 3:], lut)
    there, weights = on(device, x, w)
    assert torch.equal(op.lut_matmul(there[1:, 3:], weights[2:, 3:], table).cpu(), expected)
    assert torch.equal(op.lut_matmul(there.t().contiguous().t()[1:, 3:], weights[2:, 3:], table).cpu(), expected)
    turned = lut.t().contiguous().to(device).t()
    assert torch.equal(op.lut_matmul(there[1:, 3:], weights[2:, 3:], turned).cpu(), expected)


def test_sums_that_could_leave_int32_are_refused(device):
    x, w = on(device, *operands(6, 5, 4))
    lut = torch.zeros(256, 256, dtype=torch.int32, device=device)
    lut[3, 200] = -(2**30) - 1
    for refused in (op.lut_matmul, lambda x, w, lut: prepare(w, lut)):
        with pytest.raises(RuntimeError, match="K = 2 products of up to 1073741825 could leave it"):
            refused(x[:, :2], w[:, :2], lut)
    lut[3, 200] = -(2**30)
    x, w = (torch.full((1, 2), code, dtype=torch.uint8, device=device) for code in (3, 200))
    assert op.lut_matmul(x, w, lut).item() == -(2**31)


def test_tables_and_weights_changed_in_place(device):
    """The same memory, another result."""
    x, w = operands(60, 9, 4)
    lut = random_table8(5)
    there, weights, table = on(device, x, w, lut)
    op.lut_matmul(there, weights, table)
    for changed in (weights, table):
        changed[0] += 1
        expected = reference.lut_matmul(x, weights.cpu(), table.cpu())
        assert torch.equal(op.lut_matmul(there, weights, table).cpu(), expected)
    with torch.inference_mode():
        table = table.clone()
        op.lut_matmul(there, weights, table)
        table[7] -= 12345
        expected = reference.lut_matmul(x, weights.cpu(), table.cpu())
        assert torch.equal(op.lut_matmul(there, weights, table).cpu(), expected)


def test_operands_on_two_devices_are_refused(device):
    x, w = operands(6, 5, 4)
    lut = random_table8(0)
    for given in ((x.to(device), w, lut), (x, w, lut.to(device)), (x.to(device), w.to(device), lut)):
        with pytest.raises((RuntimeError, NotImplementedError)):
            op.lut_matmul(*given)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
def test_a_second_device(device):
    """While another is the current one."""
    x, w = operands(70, 90, 70)
    other = torch.device("cuda", 1)
    with torch.cuda.device(0):
        for table in ("17 bits", "exact"):
            y = op.lut_matmul(*on(other, x, w, TABLES[table]))
            assert y.device == other and torch.equal(y.cpu(), reference.lut_matmul(x, w, TABLES[table]))


def test_opcheck(device):
    """Fake kernels, schemas and dispatch for CUDA tensors."""
    x, w = on(device, *operands(6, 5, 4))
    lut = random_table8(0).to(device)
    pictures, kernels = on(device, *images("everything"))
    geometry = CASES["everything"][3]
    for function, *arguments in (
        (torch.ops.agn_hw.lut_matmul, x, w, lut),
        (torch.ops.agn_hw.lut_matmul_prepared, x, prepare(w, lut)),
        (torch.ops.agn_hw.lut_conv2d, pictures, kernels, lut, *geometry),
        (torch.ops.agn_hw.lut_conv2d_prepared, pictures, prepare(kernels, lut, op.geometry_of(*geometry)), *geometry),
    ):
        torch.library.opcheck(function, tuple(arguments))
