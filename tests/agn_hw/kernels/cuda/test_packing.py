"""Weights packed: factors in the order of the activations, codes for the residual, sums of constants."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from agn_hw.kernels.cuda import packing
from agn_hw.kernels.cuda.images import depth_of, padded_channels
from agn_hw.kernels.forms import Geometry
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS
from tests.agn_hw.kernels.operands import LARGEST, SMALLEST, codes, random_bytes

# weights, groups
SHAPES = {
    "matrix": ((5, 30), None),
    "a column": ((1, 1), None),
    "matrix of several tiles": ((130, 200), None),
    "one tile": ((64, 64), None),
    "one column more than a tile": ((65, 16), None),
    "convolution": ((10, 20, 3, 3), 1),
    "first layer": ((12, 3, 7, 7), 1),
    "groups": ((9, 4, 2, 3), 3),
    "groups of several tiles": ((140, 7, 1, 1), 2),
    "depthwise": ((6, 1, 3, 3), 6),
}


def form(terms: int, planes: int, seed: int = 0) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    constants = torch.randint(SMALLEST, LARGEST + 1, (256,), generator=generator).to(torch.int32)
    factor = torch.randint(-128, 128, (terms, 256), generator=generator).to(torch.int8)
    return SimpleNamespace(factor=factor, constants=constants, numbers=SimpleNamespace(planes=planes))


def up(count: int, step: int) -> int:
    return -(-count // step) * step


def packed(w: torch.Tensor, table: SimpleNamespace, groups: int) -> list[torch.Tensor]:
    """By torch's own operations, from bytes [N, C/groups, kh, kw]."""
    columns, channels, taps = len(w) // groups, w.shape[1], w[0, 0].numel()
    depth = depth_of(taps, channels)
    known = F.pad(w.long().permute(0, 2, 3, 1), (0, padded_channels(channels) - channels), value=256)
    known = F.pad(known.reshape(groups, columns, -1), (0, depth - taps * padded_channels(channels)), value=256)
    of_factors = F.pad(known, (0, 0, 0, (64 if columns <= 64 else up(columns, 128)) - columns), value=256)
    factors = F.pad(table.factor, (0, 1))[:, of_factors].transpose(0, 1)
    of_codes = F.pad(known, (0, 0, 0, up(columns, 128) - columns), value=256).transpose(1, 2).to(torch.int16)
    start = table.constants.long()[w.long()].sum((1, 2, 3))
    start = (start + 2**31) % 2**32 - 2**31
    return [factors.contiguous(), of_codes if table.numbers.planes else of_codes[..., :0], start.to(torch.int32)]


def check(w: torch.Tensor, table: SimpleNamespace, groups: int | None) -> None:
    found = packing.pack(w, table, None if groups is None else Geometry(groups=groups))
    images = w.to(torch.int16).to(torch.uint8).reshape(*w.shape, *[1] * (4 - w.dim()))
    for one, other in zip(found, packed(images, table, groups or 1), strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and one.is_contiguous()
        assert torch.equal(one, other)


@pytest.mark.parametrize("terms, planes", [(0, 2), (1, 0), (3, 1), (4, 0), (6, 1), (16, 0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights(emulated, shape, terms, planes):
    size, groups = SHAPES[shape]
    check(random_bytes(*size, seed=2), form(terms, planes), groups)
    assert emulated.launches == ["pack"]
    check(codes(*size, low=-128, high=127, seed=3).detach(), form(terms, planes, seed=1), groups)


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
def test_in_any_order(emulated):
    check(random_bytes(70, 150), form(5, 1), None)


def test_other_strides(emulated):
    check(random_bytes(30, 20).t(), form(2, 1), None)
    check(codes(8, 6, 3, 3, low=-128, high=127).detach().contiguous(memory_format=torch.channels_last), form(2, 1), 2)
    check(random_bytes(8, 12, 3, 5)[:, ::2, :, 1:], form(2, 1), 1)
    table = form(4, 1)
    table.factor, table.constants = table.factor.t().contiguous().t(), table.constants.repeat(2)[::2]
    check(random_bytes(9, 9), table, None)


def test_nothing_to_pack(emulated):
    for size in ((0, 5), (4, 0)):
        factors, codes_, start = packing.pack(torch.zeros(size, dtype=torch.uint8), form(2, 1))
        assert factors.numel() == codes_.numel() == 0 or size[0] == 0
        assert start.shape == (size[0],) and not start.any()


def test_macros_are_variants():
    assert [*packing.VARIANTS] == [{"FLOATING": 0}, {"FLOATING": 1}]
