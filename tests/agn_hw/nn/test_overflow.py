"""Narrow accumulators against tiles of products added one after another, in Python's own integers."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from agn_hw.accelerator import bounds
from agn_hw.codes import LOGITS, SIGNED, UNSIGNED, Codes, affine
from agn_hw.mapping import affine as affine_mapping
from agn_hw.nn.accumulator import SATURATE, WRAP, Accumulator, saturating_matmul, wrapped
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.overflow import set_accumulator
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import back_ends, constants, exact_table, images, padding, settle, take_table, using
from tests.agn_hw.nn.test_products import KNOWN
from tests.agn_hw.tables import exact_table8, multiplier, random_lut, random_table8

MODES = pytest.mark.parametrize("overflow", [WRAP, SATURATE])


def narrowed(number: int, bits: int, overflow: str) -> int:
    """What `bits` bits of two's complement make of it."""
    half = 2 ** (bits - 1)
    return (number + half) % (2 * half) - half if overflow == WRAP else min(max(number, -half), half - 1)


def accumulated(x: np.ndarray, w: np.ndarray, table: np.ndarray, accumulator: Accumulator) -> np.ndarray:
    """Codes x [M, K] and w [N, K] on the array: each tile's sum, then the total of the tiles so far; int64 [M, N]."""
    bits, overflow, rows = accumulator
    y = np.zeros((len(x), len(w)), np.int64)
    for m, n in np.ndindex(y.shape):
        total = 0
        for start in range(0, x.shape[1], rows):
            taps = range(start, min(start + rows, x.shape[1]))
            total = narrowed(total + sum(int(table[x[m, k] & 255, w[n, k] & 255]) for k in taps), bits, overflow)
        y[m, n] = total
    return y


def fields(x: np.ndarray, source: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """Of a convolution: the receptive field of each output pixel, codes [pixels, C, taps], and the output's size."""
    sides, axes = padding(source), x.ndim - 2
    reach = [d * (k - 1) + 1 for k, d in zip(source.kernel_size, source.dilation, strict=True)]
    size = tuple((n + sum(s) - r) // t + 1
                 for n, s, r, t in zip(x.shape[2:], sides, reach, source.stride, strict=True))
    found = []
    for image, *at in itertools.product(x, *map(range, size)):
        taps = []
        for tap in np.ndindex(*source.kernel_size):
            place = [at[a] * source.stride[a] + tap[a] * source.dilation[a] - sides[a][0] for a in range(axes)]
            pixel = [oracles.source(p, n, source.padding_mode) for p, n in zip(place, x.shape[2:], strict=True)]
            taps.append(np.zeros(len(image), np.int64) if None in pixel else image[(slice(None), *pixel)])
        found.append(np.stack(taps, 1))
    return np.array(found), size


def expected(layer: TableLayer, x: torch.Tensor, source: Any, table: np.ndarray | None = None) -> np.ndarray:
    """The layer's accumulator, int64, with `table` as what the array adds."""
    assert layer.accumulator is not None
    w, codes = constants(layer)[0].reshape(len(layer.weight), -1), oracles.integers(x)
    if table is None:
        table = layer.lut.numpy() if layer.lut.numel() else exact_table(layer.in_codes[0])
    if isinstance(source, nn.Linear):
        found = accumulated(codes.reshape(-1, codes.shape[-1]), w, table, layer.accumulator)
        return found.reshape(*codes.shape[:-1], -1)
    windows, size = fields(codes, source)
    parts = [accumulated(part.reshape(len(part), -1), own, table, layer.accumulator) for part, own in zip(
        np.split(windows, source.groups, axis=1), np.split(w, source.groups), strict=True)]
    return np.moveaxis(np.concatenate(parts, 1).reshape(len(codes), *size, -1), -1, 1)


def check(layer: TableLayer, x: torch.Tensor, source: Any, table: np.ndarray | None = None) -> None:
    """With and without gradients and compiled kernels: the accumulator, and the codes that become of it."""
    wanted = expected(layer, x, source, table)
    flat = np.moveaxis(wanted, layer.channel_axis, 0).reshape(len(layer.weight), -1).T
    _, bias, m, s = constants(layer)
    codes = oracles.requantize(flat + bias, m, s, *layer.out_codes)
    for compiled in back_ends():
        for mode in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
            with using(compiled), mode:
                found, y = layer.accumulate(x), layer(x)
                assert np.array_equal(oracles.integers(found), wanted) and found.shape == y.shape
                got = np.moveaxis(oracles.integers(y), layer.channel_axis, 0).reshape(len(layer.weight), -1).T
                assert np.array_equal(got, codes)


SHAPES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(3, 4, 3, padding=1), (2, 3, 4, 5)),
    "odd": (nn.Conv2d(2, 3, (2, 3), (2, 1), (0, 2), (1, 2)), (1, 2, 5, 4)),
    "groups": (nn.Conv2d(4, 6, 3, 2, 1, groups=2), (2, 4, 5, 5)),
    "depthwise": (nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False), (1, 3, 4, 4)),
    "pointwise": (nn.Conv2d(9, 2, 1, stride=2), (2, 9, 3, 4)),
    "same, even": (nn.Conv2d(2, 2, (2, 4), padding="same"), (1, 2, 4, 4)),
    "reflect": (nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"), (1, 2, 4, 4)),
    "one dimension": (nn.Conv1d(4, 4, 5, 2, 3, 2, groups=2), (2, 4, 9)),
    "one dimension, circular": (nn.Conv1d(3, 2, 4, padding="same", padding_mode="circular"), (1, 3, 7)),
    "linear": (nn.Linear(29, 3), (5, 29)),
    "linear, more axes": (nn.Linear(10, 3), (2, 3, 10)),
    "one input": (nn.Linear(1, 2, bias=False), (4, 1)),
}


def layer_of(source: Any, table: torch.Tensor | None = None, **how: Any) -> TableLayer:
    layer = settle(KNOWN[type(source)](source), **how)
    if table is not None:
        take_table(layer, table, 0.3)
    return layer


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@MODES
@pytest.mark.parametrize("table", [random_table8(3, 900), None], ids=["table", "exact"])
@pytest.mark.parametrize("source, shape", SHAPES.values(), ids=SHAPES)
def test_every_shape(source, shape, table, overflow):
    layer = layer_of(source, table, out_codes=SIGNED, bits=5)
    x = images(*shape)
    with torch.no_grad():
        plain = layer.accumulate(x)
    bits = int(plain.abs().max()).bit_length() - 1  # two too few for the largest sum
    set_accumulator(layer, bits, overflow, rows=4)
    check(layer, x, source)
    with torch.no_grad():
        assert not torch.equal(layer.accumulate(x), plain)


HOW = st.fixed_dictionaries({
    "out_codes": st.sampled_from([UNSIGNED, SIGNED, LOGITS]), "bits": st.integers(2, 8), "seed": st.integers(0, 99),
    "in_codes": st.sampled_from([UNSIGNED, SIGNED, affine(8, 100), Codes(-1, 0)]),
})  # fmt: skip
ACCUMULATORS = st.tuples(st.integers(2, 17), st.sampled_from([WRAP, SATURATE]), st.integers(1, 12))
ANY = settings(max_examples=40, deadline=None, derandomize=True)


@ANY
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 3), HOW, ACCUMULATORS, st.sampled_from([None, 30, 9000]))
def test_any_linear_layer(depth, columns, batch, how, accumulator, largest):
    source = nn.Linear(depth, columns)
    layer = layer_of(source, None if largest is None else random_table8(how["seed"], largest), **how)
    set_accumulator(layer, *accumulator)
    check(layer, images(batch, depth, codes=how["in_codes"], seed=how["seed"]), source)


@ANY
@given(st.integers(1, 2), st.tuples(*[st.integers(1, 3)] * 4), st.tuples(*[st.integers(0, 2)] * 2), HOW, ACCUMULATORS)
def test_any_convolution(groups, numbers, sides, how, accumulator):
    height, width, stride, dilation = numbers
    source = nn.Conv2d(2 * groups, 3 * groups, (height, width), stride, sides, dilation, groups)
    layer = layer_of(source, random_table8(how["seed"], 400), **how)
    set_accumulator(layer, *accumulator)
    check(layer, images(1, 2 * groups, 8, 7, codes=how["in_codes"], seed=how["seed"]), source)


@ANY
@given(st.integers(1, 60), HOW, st.integers(1, 12), st.sampled_from([WRAP, SATURATE]), st.integers(-900, 900))
def test_proven_bits_change_nothing(depth, how, rows, overflow, shift):
    """And one bit fewer does, for the inputs that reach the bound."""
    source = nn.Linear(depth, 3)
    layer = layer_of(source, random_table8(how["seed"], 800) + shift, **how)
    found = bounds.of_layer(layer, rows)
    w, table = oracles.integers(layer.weight_codes()) & 255, layer.lut.numpy()
    codes = np.arange(layer.in_codes[0].low, layer.in_codes[0].high + 1)
    ends = [codes[pick(table[codes & 255][:, own], axis=0)] for own in w for pick in (np.argmin, np.argmax)]
    extreme = torch.from_numpy(np.array(ends)).float()
    x = torch.cat([images(4, depth, codes=how["in_codes"], seed=how["seed"]), extreme])
    with torch.no_grad():
        plain, y = layer.accumulate(x), layer(x)
        set_accumulator(layer, found.acc_bits, overflow, rows)
        assert torch.equal(layer.accumulate(x), plain) and torch.equal(layer(x), y)
        if found.whole.bits() == found.acc_bits > 2:  # the largest total is the last one
            set_accumulator(layer, found.acc_bits - 1, overflow, rows)
            assert not torch.equal(layer.accumulate(x), plain)


@MODES
@pytest.mark.parametrize("source, shape", [SHAPES["groups"], SHAPES["one dimension"], SHAPES["linear"]])
def test_zero_points_are_added_after_all_overflow(source, shape, overflow):
    lut = random_lut(5, 60000).clip(0)
    codes = affine(8, 90)
    mapping = affine_mapping(multiplier(lut), codes=codes)
    layer = layer_of(source, in_codes=codes, out_codes=SIGNED)
    layer.set_table(mapping.table8(lut), mapping.gain, None, bounds.zero_terms(mapping))
    x = images(*shape, codes=codes)
    with torch.no_grad():
        plain = oracles.integers(layer.accumulate(x))
    set_accumulator(layer, bounds.of_layer(layer, 4).acc_bits, overflow, rows=4)
    with torch.no_grad():
        assert np.array_equal(oracles.integers(layer.accumulate(x)), plain)
        layer.accumulator = Accumulator(32, overflow, 4)
        raw = expected(layer, x, source, bounds.addends(mapping, lut))
        bits = int(raw.max()).bit_length()  # one too few
        layer.accumulator = Accumulator(bits, overflow, 4)
        found = oracles.integers(layer.accumulate(x))
    wanted = plain - raw + expected(layer, x, source, bounds.addends(mapping, lut))
    assert np.array_equal(found, wanted) and not np.array_equal(found, plain)


def test_the_order_of_tiles_matters_where_totals_saturate():
    """100 + 100 - 100 in 8 bits: 27 if the large ones come first, 100 if one is last; in one tile all is well."""
    layer = layer_of(nn.Linear(3, 2), exact_table8(), in_codes=UNSIGNED)
    with torch.no_grad():
        layer.weight_scale.fill_(1.0)
        layer.weight.copy_(torch.tensor([[100.0, 100.0, -100.0], [100.0, -100.0, 100.0]]))
        for rows, totals in ((1, [27, 100]), (2, [27, 100]), (3, [100, 100])):
            set_accumulator(layer, 8, SATURATE, rows)
            assert layer.accumulate(torch.ones(1, 3)).tolist() == [totals]
            set_accumulator(layer, 8, WRAP, rows)
            assert layer.accumulate(torch.ones(1, 3)).tolist() == [[100, 100]]


@pytest.mark.parametrize("bits", [2, 5, 31, 32])
def test_wrapping(bits):
    numbers = [-(2**31), -(2**30) - 7, -9, -3, -2, -1, 0, 1, 2, 15, 16, 17, 2**30, 2**31 - 1]
    found = wrapped(torch.tensor(numbers, dtype=torch.int32), bits)
    assert found.dtype == torch.int32 and found.tolist() == [narrowed(number, bits, WRAP) for number in numbers]


@pytest.mark.parametrize("bits", [3, 20, 32])
def test_saturating_operator(bits):
    """Tables so large that total and sum do not fit int32 together; the operator's contract with torch."""
    table, generator = random_table8(1, 2**28).abs(), torch.Generator().manual_seed(0)
    x, w = (torch.randint(0, 256, (count, 23), generator=generator, dtype=torch.uint8) for count in (5000, 4))
    found = saturating_matmul(x, w, table, bits, 5)
    wanted = accumulated(x[-20:].numpy(), w.numpy(), table.numpy(), Accumulator(bits, SATURATE, 5))
    assert np.array_equal(found[-20:].numpy(), wanted)
    torch.library.opcheck(saturating_matmul, (x[:9], w, table, bits, 5))
    with pytest.raises(RuntimeError, match="int32"):
        saturating_matmul(x, w, table, bits, 23)


@MODES
@pytest.mark.parametrize("table", [random_table8(3, 900), None], ids=["table", "exact"])
def test_gradients_pass_straight_through(table, overflow):
    """They are those of the layer whose sums do not overflow, where its codes lie within their range as these do."""
    source, shape = SHAPES["groups"]
    plain = layer_of(source, table, out_codes=LOGITS)
    plain.out_scale.data.mul_(3)
    narrow, x = copy.deepcopy(plain), images(*shape)
    bits = int(plain.accumulate(x).detach().abs().max()).bit_length() - 1  # two too few for the largest sum
    set_accumulator(narrow, bits, overflow, rows=4)
    gradients = []
    for layer in (plain, narrow):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        assert int(y.abs().max()) < LOGITS.high
        y.backward(images(*y.shape, seed=4))
        gradients.append((leaf.grad, layer.weight.grad, layer.bias.grad))
    assert not torch.equal(plain(x), narrow(x))
    for a, b in zip(*gradients, strict=True):
        assert a.abs().sum() > 0 and torch.allclose(a, b, rtol=1e-5)


@MODES
def test_compiled_layers(overflow):
    source, shape = SHAPES["one dimension"]
    layer, x = layer_of(source, random_table8(3, 900), out_codes=SIGNED), images(*shape)
    set_accumulator(layer, 13, overflow, rows=4)
    torch.compiler.reset()
    with torch.no_grad():
        assert torch.equal(torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x))
