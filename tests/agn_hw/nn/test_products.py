"""Convolutions and linear layers of every shape against integers, one product after another."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from agn_hw.codes import LOGITS, SIGNED, UNSIGNED, Codes, affine, signed, unsigned
from agn_hw.nn import exact
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import RANGES, check, constants, exact_table, expected, images, settle, take_table
from tests.agn_hw.tables import random_table8

MODES = ("zeros", "reflect", "replicate", "circular")
OUTPUTS = (UNSIGNED, SIGNED, affine(8, 60), unsigned(3), signed(2), LOGITS)
KNOWN = {nn.Conv1d: TableConv1d, nn.Conv2d: TableConv2d, nn.Linear: TableLinear}

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "plain": dict(in_channels=3, out_channels=4, kernel_size=3, padding=1),
    "odd": dict(in_channels=2, out_channels=3, kernel_size=(2, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
    "groups": dict(in_channels=4, out_channels=6, kernel_size=3, padding=1, groups=2),
    "depthwise": dict(in_channels=3, out_channels=3, kernel_size=3, stride=2, padding=1, groups=3, bias=False),
    "multiplied depthwise": dict(in_channels=2, out_channels=6, kernel_size=(1, 5), padding=(0, 2), groups=2),
    "pointwise": dict(in_channels=5, out_channels=2, kernel_size=1, stride=2),
    "same": dict(in_channels=2, out_channels=3, kernel_size=(3, 5), padding="same"),
    "same, even": dict(in_channels=2, out_channels=3, kernel_size=(2, 4), padding="same"),
    "same, even, dilated": dict(in_channels=2, out_channels=2, kernel_size=(4, 2), dilation=(1, 3), padding="same"),
    "valid": dict(in_channels=3, out_channels=2, kernel_size=(3, 2), stride=(1, 2), padding="valid"),
    "reflect": dict(in_channels=2, out_channels=3, kernel_size=3, padding=(1, 2), padding_mode="reflect"),
    "replicate, same": dict(in_channels=2, out_channels=2, kernel_size=2, padding="same", padding_mode="replicate"),
    "circular": dict(in_channels=3, out_channels=3, kernel_size=3, padding=2, padding_mode="circular", groups=3),
}


def layer_of(source: nn.Module, table: int | None = None, **how: Any):
    """The layer made from a float one, with a random table or the exact product."""
    layer = settle(KNOWN[type(source)](source), **how)
    if table is not None:
        take_table(layer, random_table8(table, 16 * layer.in_codes[0].largest), 0.3)
    return layer


@pytest.mark.parametrize("out_codes", [UNSIGNED, SIGNED])
@pytest.mark.parametrize("table", [None, 3], ids=["exact", "random table"])
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(case, table, out_codes):
    source = nn.Conv2d(**case)
    check(layer_of(source, table, out_codes=out_codes), images(2, case["in_channels"], 6, 5), source)


@st.composite
def sources(draw: st.DrawFn, axes: int) -> nn.Module:
    """A convolution over images of 4 to 7 pixels an axis."""
    groups = draw(st.integers(1, 3))
    each = st.tuples(*[st.integers(1, 3)] * axes)
    kernel, stride, dilation = draw(st.tuples(*[st.integers(1, 4)] * axes)), draw(each), draw(each)
    mode = draw(st.sampled_from(MODES))
    padding: Any = draw(st.sampled_from(["same", "valid", "numbers"]))
    if padding == "same":
        stride = (1,) * axes
        dilation = tuple(1 if k == 4 else min(d, 2) for k, d in zip(kernel, dilation, strict=True))
    if padding == "numbers":
        padding = draw(st.tuples(*[st.integers(0, 3)] * axes))
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    return kind(
        groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), kernel, stride, padding, dilation, groups,
        draw(st.booleans()), mode,
    )


def fits(source: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """The size, made large enough for one window."""
    reach = [d * (k - 1) + 1 for k, d in zip(source.kernel_size, source.dilation, strict=True)]
    return tuple(map(max, size, reach))


HOW = st.fixed_dictionaries({
    "out_codes": st.sampled_from(OUTPUTS), "in_codes": st.sampled_from(RANGES), "bits": st.integers(2, 8),
    "seed": st.integers(0, 99), "table": st.sampled_from([None, 1, 2]),
})  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(sources(2), st.tuples(st.integers(4, 6), st.integers(4, 7)), st.integers(1, 2), HOW, st.booleans())
def test_any_convolution(source, size, batch, how, one_scale):
    layer = layer_of(source, **how, channels=1 if one_scale else None)
    x = images(batch, source.in_channels, *fits(source, size), codes=how["in_codes"], seed=how["seed"])
    check(layer, x, source, clipped=True)


@settings(max_examples=40, deadline=None)
@given(sources(1), st.integers(4, 9), st.integers(1, 3), HOW, st.booleans())
def test_any_convolution_in_one_dimension(source, size, batch, how, one_scale):
    layer = layer_of(source, **how, channels=1 if one_scale else None)
    x = images(batch, source.in_channels, *fits(source, (size,)), codes=how["in_codes"], seed=how["seed"])
    check(layer, x, source, clipped=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 40), st.integers(1, 20), HOW, st.booleans())
def test_any_linear_layer(rows, depth, columns, how, one_scale):
    source = nn.Linear(depth, columns, bias=depth % 2 == 0)
    layer = layer_of(source, **how, channels=1 if one_scale else None)
    x = images(*rows, depth, codes=how["in_codes"], seed=how["seed"])
    check(layer, x, source, clipped=True)
    y = layer(x)
    assert y.shape == (*rows, columns) and torch.equal(y.reshape(-1, columns), layer(x.reshape(-1, depth)))


@pytest.mark.parametrize("table", [None, 4], ids=["exact", "random table"])
@pytest.mark.parametrize("depth", [1, 9, 700])
def test_deep_linear_layers(depth, table):
    source = nn.Linear(depth, 5, bias=depth != 9)
    check(layer_of(source, table, out_codes=SIGNED), images(4, depth), source)


@pytest.mark.parametrize("table", [None, 5], ids=["exact", "random table"])
@pytest.mark.parametrize("in_codes", RANGES, ids=str)
@pytest.mark.parametrize("source", [nn.Conv1d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1), nn.Linear(20, 3)])
def test_ranges_of_activations(source, in_codes, table):
    shape = {nn.Conv1d: (2, 2, 9), nn.Conv2d: (2, 2, 5, 4), nn.Linear: (9, 20)}[type(source)]
    check(layer_of(source, table, in_codes=in_codes, out_codes=SIGNED), images(*shape, codes=in_codes), source)


@pytest.mark.parametrize("one_scale", [False, True])
@pytest.mark.parametrize("bits", range(2, 9))
def test_bits_of_weights(bits, one_scale):
    source = nn.Conv2d(3, 4, 3, padding=1)
    layer = layer_of(source, bits=bits, channels=1 if one_scale else None, out_codes=SIGNED)
    w = constants(layer)[0]
    assert layer.weight_scale.shape == (1 if one_scale else 4,) and np.abs(w).max() == layer.largest_weight
    assert layer.largest_weight == 2 ** (bits - 1) - 1
    scale = layer.weight_scale.detach().float().numpy().reshape(-1, 1, 1, 1)
    rounded = np.floor(layer.weight.detach().numpy() / scale + np.float32(0.5))
    assert np.array_equal(w, np.clip(rounded, -layer.largest_weight, layer.largest_weight))
    check(layer, images(2, 3, 5, 5), source)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_windows_lie_as_torchs_do(case):
    """The float convolution with the weights' codes, in float64, which holds these sums exactly."""
    source = nn.Conv2d(**case)
    layer = layer_of(source, in_codes=SIGNED)
    x = images(2, case["in_channels"], 6, 7, codes=SIGNED)
    with torch.no_grad():
        source.double().weight.copy_(layer.weight_codes())
        if source.bias is not None:
            source.bias.zero_()
        assert torch.equal(layer.accumulate(x).double(), source(x.double()))


@pytest.mark.parametrize("shape", [(1, 1, 1), (0, 4, 4), (3, 1, 2)])
@pytest.mark.parametrize("table", [None, 6], ids=["exact", "random table"])
def test_small_and_empty_batches(shape, table):
    """Batch, height and width; no image at all gives no output."""
    batch, *size = shape
    source = nn.Conv2d(3, 4, 3, padding=1)
    check(layer_of(source, table), images(batch, 3, *size), source, clipped=True)
    flat, rows = nn.Conv1d(3, 4, 3, padding=1), nn.Linear(7, 4)
    check(layer_of(flat, table), images(batch, 3, size[0]), flat, clipped=True)
    check(layer_of(rows, table), images(batch, 7), rows, clipped=True)
    check(layer_of(rows, table), images(size[0], batch, 7), rows, clipped=True)


@pytest.mark.parametrize("table", [None, 6], ids=["exact", "random table"])
def test_the_order_of_axes_in_memory_does_not_matter(table):
    source, rows = nn.Conv2d(5, 4, 3, padding=1), nn.Linear(6, 4)
    layer, linear = layer_of(source, table, out_codes=SIGNED), layer_of(rows, table, out_codes=SIGNED)
    x = images(2, 5, 4, 6)
    last = x.contiguous(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    check(layer, last, source)
    check(linear, x.permute(2, 0, 3, 1)[..., :1].expand(4, 2, 6, 6).transpose(0, 1), rows)
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            assert torch.equal(layer(last), layer(x))


def test_a_zero_of_the_table_reaches_the_borders():
    """Padding is code 0 and goes through the table: an entry lut[0, w] that is not 0 shows there."""
    source = nn.Conv2d(1, 1, 3, padding=1)
    layer = layer_of(source, table=7)
    w = constants(layer)[0]
    x = torch.zeros(1, 1, 3, 3)
    with torch.no_grad():
        found = layer.accumulate(x)
    assert (found == int(layer.lut.numpy()[0, w & 255].sum())).all()
    assert np.array_equal(expected(layer, x, source)[0, 0], layer(x).detach().numpy()[0, 0])


def test_affine_padding_is_the_number_zero():
    """With a zero point, code 0 is still what surrounds the image, and its exact product is 0."""
    codes = affine(8, 200)
    source = nn.Conv2d(2, 3, 3, padding=1)
    layer = layer_of(source, in_codes=codes, out_codes=SIGNED)
    x = images(1, 2, 4, 4, codes=codes)
    framed = torch.nn.functional.pad(x, [1] * 4)
    plain = nn.Conv2d(2, 3, 3)
    other = TableConv2d(plain)
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(layer(x), other(framed))


def test_exact_tables_are_the_product():
    """What the kernels compute exact products with, against Python's own numbers."""
    for codes in (*RANGES, Codes(-3, 200)):
        used = [code & 255 for code in range(codes.low, codes.high + 1)]
        assert np.array_equal(exact.table(codes).numpy()[used], exact_table(codes)[used])


def test_macs():
    layer = TableConv2d(nn.Conv2d(4, 6, (3, 2), groups=2))
    assert layer.macs(torch.Size([2, 6, 5, 7])) == 2 * 6 * 5 * 7 * (4 // 2 * 3 * 2)
    assert TableConv1d(nn.Conv1d(4, 6, 3)).macs(torch.Size([2, 6, 5])) == 2 * 6 * 5 * 4 * 3
    assert TableLinear(nn.Linear(8, 3)).macs(torch.Size([2, 5, 3])) == 2 * 5 * 3 * 8


def test_saved_layers_of_one_scale_come_back():
    source = nn.Conv2d(2, 3, 3)
    layer = layer_of(source, table=8, channels=1, bits=5, in_codes=SIGNED, out_codes=signed(4))
    fresh = TableConv2d(nn.Conv2d(2, 3, 3))
    fresh.load_state_dict(layer.state_dict())
    x = images(1, 2, 5, 5, codes=SIGNED)
    assert fresh.weight_scale.shape == (1,) and (fresh.in_codes, fresh.out_codes) == ((SIGNED,), signed(4))
    assert torch.equal(fresh(x), layer(x)) and np.array_equal(oracles.integers(fresh(x)), expected(layer, x, source))
