"""Whole products as a device computes them, on the emulated one: forms, choice of kernels, operators, layers."""

import gc

import numpy as np
import pytest
import torch

from agn_hw.kernels import Geometry, autograd, backend, cuda, op, prepare, reference
from agn_hw.kernels.cuda import choice, form, gather, multiply, products, row_add
from tests.agn_hw.kernels.operands import TABLES, finish, operands, random_bytes
from tests.agn_hw.kernels.test_conv2d import CASES, expected
from tests.agn_hw.kernels.test_conv2d import operands as images

SMALL = {name: case for name, case in CASES.items() if "tiles" not in name and name not in ("depthwise, many",)}


@pytest.fixture
def device(emulated, monkeypatch):
    """CPU tensors go the way of CUDA tensors."""
    monkeypatch.setattr(cuda, "serves", lambda tensor: True)
    return emulated


@pytest.mark.parametrize("name", TABLES)
def test_forms_give_the_table_back(name):
    lut = TABLES[name]
    made = form.of(lut)
    terms, scaled, shift, planes, largest = made.numbers
    words = made.expand.numpy().view(np.uint32)
    ofs = [(word, byte) for count, first in ((scaled, 0), (terms - scaled, -(-scaled // 4))) for word, byte in
           ((first + t // 4, t % 4) for t in range(count))]
    expand = np.array([words[word] >> (8 * byte) & 255 for word, byte in ofs], np.int64).reshape(-1, 256)
    scale = np.where(np.arange(terms) < scaled, 256, 1)
    table = ((scale[:, None] * expand).T @ made.factor.numpy().astype(np.int64)) * 2**shift
    table = table + made.constants.numpy().astype(np.int64)
    for p in range(planes):
        assert torch.equal(made.by_weight[p, :256].T, made.by_activation[p])
        table = table + (made.by_activation[p].numpy().astype(np.int64) << 8 * p)
    assert not made.by_weight[:, 256].any() and made.by_weight.numpy().max(initial=0) == largest
    assert np.array_equal(table.astype(np.uint32), lut.numpy().astype(np.uint32))
    low, high = made.limits
    assert (low, high) == (min(int(lut.min()), 0), max(int(lut.max()), 0))


def test_forms_are_kept_until_the_table_changes():
    lut = TABLES["a byte"].clone()
    first = form.of(lut)
    assert form.of(lut).factor is first.factor
    lut.data = lut.data.clone()  # elsewhere, with the same version
    lut.data[7, 7] -= 2**20
    assert form.of(lut).limits[0] < -(2**19)
    lut[3, 4] += 1
    assert form.of(lut).limits == (min(int(lut.min()), 0), max(int(lut.max()), 0))
    assert not torch.equal(form.of(lut).by_activation, first.by_activation)
    gc.collect()  # what other tests left
    seen = len(form._KNOWN)
    del lut
    gc.collect()
    assert len(form._KNOWN) == seen - 1
    with torch.inference_mode():
        lut = TABLES["a byte"].clone()
        form.of(lut)
        lut[0, 0] = 2**20  # without a version that could tell
        assert form.of(lut).limits[1] == 2**20


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("shape", [(70, 40, 5), (130, 67, 131)], ids=str)
def test_matrix_products(device, name, shape):
    x, w = operands(*shape)
    lut = TABLES[name]
    y = products.matmul(x, _prepared(w, lut), None)
    assert y.dtype == torch.int32 and torch.equal(y, reference.lut_matmul(x, w, lut))


def _prepared(w, lut, geometry=None):
    """Also of tables whose sums might leave int32."""
    made = form.of(lut)
    made = made._replace(span=torch.empty(0, 1, 1))
    return products.prepare(w, lut, geometry, [*made])


@pytest.mark.parametrize("gathered", [True, False])
@pytest.mark.parametrize("cut", [1, 3])
@pytest.mark.parametrize("name", ["product and two bytes", "exact", "17 bits"])
def test_every_kernel_and_cut(device, monkeypatch, name, cut, gathered):
    monkeypatch.setattr(choice, "gathers", lambda shape: gathered)
    for module in (multiply, row_add, gather):
        monkeypatch.setattr(module, "splits", lambda *_: cut)
    x, w = operands(37, 300, 66)
    ending = finish(66, -128, 127, largest_bias=10_000)
    prepared = prepare(w, TABLES[name])
    sums = reference.lut_matmul(x, w, TABLES[name])
    assert torch.equal(backend.matmul(x, prepared), sums)
    assert torch.equal(backend.matmul(x, prepared, ending), autograd.requantize(sums, *ending))
    kernels = {name for name in device.launches if name in ("multiply", "gather", "row_add")}
    assert kernels >= ({"gather" if gathered else "row_add"} if name != "exact" else {"multiply"})


@pytest.mark.parametrize("padding_code", [0, 201])
@pytest.mark.parametrize("case", SMALL)
def test_convolutions(device, monkeypatch, case, padding_code):
    x, w = images(case)
    geometry = CASES[case][3]
    for direct in (True, False):
        monkeypatch.setattr(choice, "goes_direct", lambda columns, direct=direct: direct)
        for name in ("17 bits", "exact", "product and a byte"):
            y = op.lut_conv2d(x, w, TABLES[name], *geometry, padding_code)
            assert torch.equal(y, expected(case, name, padding_code)), (name, direct)


def test_operators_on_codes(device):
    """Codes in float32, requantised in the same go; and with kept weights, as a layer calls them."""
    lut, gain = TABLES["product and a byte"], torch.tensor(1.0, dtype=torch.float64)
    x = torch.randint(0, 200, (2, 5, 6, 7), generator=torch.Generator().manual_seed(0)).float()
    w = torch.randint(-100, 100, (9, 5, 3, 3), generator=torch.Generator().manual_seed(1)).float()
    ending = finish(9, 0, 255, largest_bias=10_000)
    geometry = Geometry((2, 1), (1, 1))
    sums = op.lut_conv2d(autograd.to_bytes(x), autograd.to_bytes(w), lut, [2, 1], [1, 1], [1, 1], 1)
    for kept in ([], backend.split_table(lut), prepare(autograd.to_bytes(w), lut, geometry)):
        y = autograd.conv2d(x, w, lut, kept, gain, [], *ending, [2, 1], [1, 1], [1, 1], 1)
        assert torch.equal(y, autograd.requantize(sums, *ending))
        assert torch.equal(autograd.conv2d_sums(x, w, lut, kept, gain, [], [2, 1], [1, 1], [1, 1], 1), sums.double())


def test_prepared_weights_are_plain_tensors(device):
    """As tools that copy and trace operators' arguments want them."""
    x, w = operands(6, 9, 5)
    for name in ("exact", "17 bits"):
        arguments = x, prepare(w, TABLES[name])
        assert torch.library.opcheck(torch.ops.agn_hw.lut_matmul_prepared.default, arguments)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int16])
def test_codes_of_other_types(device, dtype):
    x, w = operands(5, 20, 70)
    x, w = x.to(torch.int8).to(dtype), w.to(torch.int8).to(dtype)
    lut, gain = TABLES["17 bits"], torch.tensor(1.0, dtype=torch.float64)
    y = autograd.linear_sums(x, w, lut, [], gain, [])
    assert torch.equal(y, reference.lut_matmul(autograd.to_bytes(x), autograd.to_bytes(w), lut).double())


def test_weights_packed_for_another_shape_are_refused(device):
    lut, w = TABLES["exact"], random_bytes(9, 8, 3, 3)
    geometry = Geometry(padding=(1, 1))
    prepared, small = prepare(w, lut, geometry), prepare(w[..., :1, :1].contiguous(), lut, geometry)
    x = random_bytes(1, 8, 5, 5)
    for wrong in ([w, *small[1:]], [w[:7], *prepared[1:]]):
        with pytest.raises(RuntimeError, match="prepare them again"):
            op.lut_conv2d_prepared(x, wrong, [1, 1], [1, 1], [1, 1], 1)
    with pytest.raises(RuntimeError, match="wanted what split_table"):
        prepare(w, lut, geometry, [lut])


def test_nothing_to_add(device):
    lut = TABLES["17 bits"]
    for rows, depth, columns in ((0, 5, 3), (4, 0, 3), (4, 5, 0), (4, 0, 9), (0, 5, 90)):
        x, w = random_bytes(rows, depth), random_bytes(columns, depth)
        assert torch.equal(op.lut_matmul(x, w, lut), torch.zeros(rows, columns, dtype=torch.int32))
    ending = finish(9, -5, 5)
    y = backend.matmul(random_bytes(4, 0), prepare(random_bytes(9, 0), lut), ending)
    assert torch.equal(y, autograd.requantize(torch.zeros(4, 9, dtype=torch.int32), *ending))


def test_what_does_not_fit_is_refused(device):
    x, w = operands(4, 27, 9)
    with pytest.raises(RuntimeError, match="K = 27 products of up to 79536432 could leave it"):
        op.lut_matmul(x, w, torch.full((256, 256), 79536432, dtype=torch.int32))
    images, kernels, lut = random_bytes(1, 4, 5, 5), random_bytes(8, 2, 3, 3), TABLES["exact"]
    prepared = prepare(kernels, lut, Geometry(groups=2))
    with pytest.raises(RuntimeError, match="prepared for 2 groups, not 4"):
        op.lut_conv2d_prepared(random_bytes(1, 8, 5, 5), prepared, [1, 1], [0, 0], [1, 1], 4)
    for wrong in ([w], [w, lut, w], prepared):
        with pytest.raises(RuntimeError, match="wanted what prepare"):
            op.lut_matmul_prepared(x, wrong)
    with pytest.raises(RuntimeError, match="wanted what prepare"):
        op.lut_conv2d_prepared(images, prepare(w, lut), [1, 1], [0, 0], [1, 1], 1)
