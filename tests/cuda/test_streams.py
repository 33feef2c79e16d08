"""Streams, CUDA graphs, nothing that waits: what a training loop on a device takes for granted."""

import pytest
import torch

from agn_hw.kernels import autograd, backend, op, prepare, reference
from tests.agn_hw.kernels.operands import TABLES, finish, operands, random_bytes
from tests.cuda.test_products import on

KINDS = ("exact", "product and a byte", "17 bits")
ONE = torch.tensor(1.0, dtype=torch.float64)


def layer_of(device: torch.device, table: str) -> tuple:
    """Of `autograd.linear`, but for the limits: codes x and w float32 asking for gradients, table, its split ..."""
    x, w = (codes.to(torch.int8).float().to(device).requires_grad_() for codes in operands(70, 90, 65))
    lut = TABLES[table].to(device)
    bias, factor = on(device, *finish(65, -128, 127, largest_bias=200_000)[:2])
    return x, w, lut, backend.split_table(lut), ONE.to(device), [], bias, factor


@pytest.mark.parametrize("table", KINDS)
def test_work_is_ordered_by_the_current_stream(device, table):
    """Operands that are still being made on a side stream, results that are used on it at once."""
    x, w = operands(513, 500, 130)
    expected = reference.lut_matmul(x, w, TABLES[table])
    there, weights, lut = on(device, x, w, TABLES[table])
    kept = prepare(weights, lut)
    op.lut_matmul_prepared(there, kept)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(10):
            late = torch.zeros_like(there)
            torch.cuda._sleep(2_000_000)
            late.copy_(there)
            y = op.lut_matmul_prepared(late, kept)
            late.zero_()
            doubled = y * 2
    side.synchronize()
    assert torch.equal(y.cpu(), expected) and torch.equal(doubled.cpu(), expected * 2)


@pytest.mark.parametrize("table", KINDS)
def test_two_streams_at_once(device, table):
    pairs = [operands(200, 300, 70, seed) for seed in (0, 5)]
    lut = TABLES[table].to(device)
    moved = [on(device, *pair) for pair in pairs]
    backend.split_table(lut)
    streams = [torch.cuda.Stream() for _ in pairs]
    found: list[list[torch.Tensor]] = [[], []]
    torch.cuda.synchronize()
    for _ in range(5):
        for stream, pair, results in zip(streams, moved, found, strict=True):
            with torch.cuda.stream(stream):
                results.append(op.lut_matmul(*pair, lut))
    torch.cuda.synchronize()
    for pair, results in zip(pairs, found, strict=True):
        expected = reference.lut_matmul(*pair, TABLES[table])
        assert all(torch.equal(y.cpu(), expected) for y in results)


@pytest.mark.parametrize("table", KINDS)
def test_prepared_products_do_not_wait(device, table, no_waiting):
    torch.cuda.set_sync_debug_mode("default")
    x, w = on(device, *operands(70, 90, 65))
    pictures, kernels = random_bytes(2, 4, 6, 5).to(device), random_bytes(6, 2, 3, 2, seed=1).to(device)
    lut, geometry = TABLES[table].to(device), ([2, 1], [1, 2], [1, 2], 2)
    matrices, images = prepare(w, lut), prepare(kernels, lut, op.geometry_of(*geometry))
    torch.cuda.set_sync_debug_mode("error")
    for _ in range(2):
        op.lut_matmul_prepared(x, matrices)
        op.lut_conv2d_prepared(pictures, images, *geometry)
        op.lut_matmul(x, w, lut)  # the table has been seen
        op.lut_conv2d(pictures, kernels, lut, *geometry)


@pytest.mark.parametrize("table", KINDS)
def test_layers_and_their_gradients_do_not_wait(device, table, no_waiting):
    torch.cuda.set_sync_debug_mode("default")
    arguments = layer_of(device, table)
    torch.cuda.set_sync_debug_mode("error")
    y = autograd.linear(*arguments, -128, 127)
    torch.autograd.grad(y.sum(), arguments[:2])
    codes = autograd.requantize(y.double() * 100, arguments[6], arguments[7], -128, 127)
    autograd.add_codes(y, codes, arguments[7][:2], 0, 255)


@pytest.mark.parametrize("table", KINDS)
def test_products_in_a_cuda_graph(device, table):
    """Captured once, replayed with other activations."""
    x, w = operands(130, 90, 70)
    there, weights, lut = on(device, x, w, TABLES[table])
    kept = prepare(weights, lut)
    graph = torch.cuda.CUDAGraph()
    for _ in range(2):
        op.lut_matmul_prepared(there, kept), op.lut_matmul(there, weights, lut)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        y, packed_inside = op.lut_matmul_prepared(there, kept), op.lut_matmul(there, weights, lut)
    for seed in (3, 4):
        other = random_bytes(130, 90, seed=seed)
        there.copy_(other)
        graph.replay()
        expected = reference.lut_matmul(other, w, TABLES[table])
        assert torch.equal(y.cpu(), expected) and torch.equal(packed_inside.cpu(), expected)


def test_a_new_table_cannot_be_captured(device):
    """It would have to be read: said so, rather than a graph that computes something else."""
    x, w = on(device, *operands(70, 90, 70))
    known, new = TABLES["17 bits"].to(device), (TABLES["17 bits"] + 1).to(device)
    op.lut_matmul(x, w, known)
    torch.cuda.synchronize()
    with pytest.raises(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph()):
        op.lut_matmul(x, w, new)
    torch.cuda.synchronize()
    assert torch.equal(op.lut_matmul(x, w, known).cpu(), reference.lut_matmul(x.cpu(), w.cpu(), known.cpu()))


@pytest.mark.parametrize("table", KINDS)
def test_memory_is_not_used_while_others_do(device, table):
    """What a product allocates for itself may be given to others only when the stream has come so far."""
    x, w = operands(300, 400, 70)
    there, weights, lut = on(device, x, w, TABLES[table])
    expected = reference.lut_matmul(x, w, TABLES[table])
    for _ in range(20):
        y = op.lut_matmul(there, weights, lut)
        rubbish = [torch.full((size,), 77, dtype=torch.uint8, device=device) for size in (2**10, 2**16, 2**20)]
        assert torch.equal(y.cpu(), expected) and len(rubbish) == 3
