"""Activations laid out for the products: every byte, from every kind of tensor."""

import pytest
import torch
from torch.nn import functional as F

from agn_hw.kernels.cuda import launch, layout
from agn_hw.kernels.cuda.images import padded_channels
from agn_hw.kernels.forms import Geometry
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS
from tests.agn_hw.kernels.operands import codes, random_bytes

# batch, channels, height, width, padding, groups
SHAPES = {
    "first layer": (2, 3, 9, 11, (3, 3), 1),
    "one channel": (1, 1, 5, 7, (0, 0), 1),
    "four channels": (3, 4, 8, 8, (1, 1), 1),
    "five channels": (2, 5, 4, 3, (1, 2), 1),
    "twelve": (1, 12, 3, 50, (0, 1), 1),
    "sixteen": (2, 16, 17, 5, (1, 1), 1),
    "several tiles of pixels": (1, 64, 12, 13, (2, 0), 1),
    "several tiles of channels": (2, 144, 3, 3, (1, 1), 1),
    "no tile whole": (3, 70, 7, 7, (1, 1), 1),
    "groups": (2, 6, 4, 5, (1, 1), 2),
    "groups of whole vectors": (2, 96, 4, 4, (1, 1), 3),
    "groups of four": (1, 36, 5, 2, (0, 3), 9),
    "depthwise": (2, 37, 6, 5, (1, 1), 37),
    "large image of few channels": (1, 3, 40, 60, (1, 1), 1),
}


def laid_out(x: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """By torch's own operations, from bytes."""
    (above, left), groups = geometry.padding, geometry.groups
    channels = x.shape[1]
    y = F.pad(x, (left, left, above, above), value=geometry.padding_code).permute(0, 2, 3, 1)
    y = y.reshape(*y.shape[:3], groups, channels // groups)
    y = F.pad(y, (0, padded_channels(channels // groups) - channels // groups))
    return y.flatten(3)


def check(x: torch.Tensor, geometry: Geometry) -> None:
    y = layout.padded_images(x, geometry)
    assert y.dtype == torch.uint8 and y.is_contiguous()
    assert torch.equal(y, laid_out(x.to(torch.int16).to(torch.uint8), geometry))


@pytest.mark.parametrize("padding_code", [0, 201])
@pytest.mark.parametrize("shape", SHAPES)
def test_images(emulated, shape, padding_code):
    *size, padding, groups = SHAPES[shape]
    geometry = Geometry(padding=padding, groups=groups, padding_code=padding_code)
    of_bytes, of_floats = random_bytes(*size), codes(*size, low=-128, high=255, seed=1).detach()
    for x in (of_bytes, of_floats):
        check(x, geometry)
        check(x.contiguous(memory_format=torch.channels_last), geometry)
    assert emulated.launches == ["layout"] * 4


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
def test_in_any_order(emulated):
    check(random_bytes(2, 20, 7, 9), Geometry(padding=(1, 2), padding_code=7))


def test_other_strides(emulated):
    x = codes(3, 10, 8, 12, low=-128, high=255).detach()
    for strided in (x.transpose(2, 3), x[:, :, ::2, 1:], x[1:, 3:7], x.expand(3, 10, 8, 12)[:, 5:]):
        check(strided, Geometry(padding=(1, 0), padding_code=3))
        last = strided.contiguous(memory_format=torch.channels_last)
        check(last[:, :, :, 1:], Geometry())
    flat = random_bytes(2 * 8 * 3 * 5 + 1)[1:]  # channels last, four of them, but at no multiple of four bytes
    check(flat.view(2, 3, 5, 8).permute(0, 3, 1, 2), Geometry())


@pytest.mark.parametrize("size", [(0, 3, 4, 4), (2, 3, 0, 4), (2, 0, 3, 3)])
def test_empty_images(emulated, size):
    check(torch.zeros(size), Geometry(padding=(1, 1), padding_code=9))


@pytest.mark.parametrize("rows, depth", [(1, 1), (3, 4), (5, 9), (70, 16), (33, 100), (130, 257), (2, 64), (0, 5)])
def test_matrices(emulated, rows, depth):
    of_floats = codes(rows, depth, low=-128, high=255).detach()
    for x in (random_bytes(rows, depth), of_floats, random_bytes(depth, rows).t()):
        y = layout.padded_matrix(x)
        assert y.dtype == torch.uint8 and y.shape == (rows, padded_channels(depth)) and y.is_contiguous()
        assert torch.equal(y[:, :depth], x.to(torch.int16).to(torch.uint8)) and not y[:, depth:].any()
        assert torch.equal(y, layout.padded_matrix(y))


def test_a_matrix_that_lies_right_is_taken_as_it_is(emulated):
    x = random_bytes(9, 48)
    assert layout.padded_matrix(x) is x
    assert layout.padded_matrix(x[1:]).data_ptr() == x[1:].data_ptr() and not emulated.launches
    shifted = random_bytes(9 * 48 + 1)[1:].view(9, 48)
    assert shifted.data_ptr() % 16
    y = layout.padded_matrix(shifted)
    assert y.data_ptr() % 16 == 0 and torch.equal(y, shifted)
    assert emulated.launches == ["layout"]


def test_macros_are_variants(emulated, monkeypatch):
    asked = []
    monkeypatch.setattr(launch, "launch", lambda *given, **macros: asked.append(macros))
    for *size, padding, groups in SHAPES.values():
        for dtype in (torch.uint8, torch.float32):
            x = torch.zeros(size, dtype=dtype)
            for given in (x, x.contiguous(memory_format=torch.channels_last)):
                layout.padded_images(given, Geometry(padding=padding, groups=groups))
    assert all(macros in layout.VARIANTS for macros in asked)
    assert len({tuple(macros.items()) for macros in asked}) == len(layout.VARIANTS)
