"""Bounds of sums against all activations there are, one product after another; widths, and what bias does to them."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from agn_hw.accelerator import bounds
from agn_hw.accelerator.bounds import Interval
from agn_hw.codes import LOGITS, SIGNED, UNSIGNED, Codes
from agn_hw.mapping import WEIGHTS, Mapping, affine, default
from agn_hw.nn.products import TableConv2d, TableLinear
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import images, settle, take_table
from tests.agn_hw.tables import exact_lut, multiplier, random_lut, random_table8

SMALL = settings(max_examples=150, deadline=None, derandomize=True)
FEW = st.sampled_from([Codes(0, 0), Codes(0, 2), Codes(-1, 1), Codes(-2, 0), Codes(-1, 2)])
"""So few codes that all activations of a layer can be tried."""
TABLES = st.builds(
    lambda seed, shift, cleared: cleared_rows(random_lut(seed, 50) + shift, cleared),
    st.integers(0, 999), st.integers(-90, 90), st.booleans(),
)  # fmt: skip
"""Entries of both signs, or nearly all of one; in some, code 0 makes nothing."""


def cleared_rows(table: np.ndarray, cleared: bool) -> np.ndarray:
    return table * (np.arange(256) > 0)[:, None] if cleared else table


def weights_of(shape: tuple[int, ...], seed: int, largest: int = 127) -> np.ndarray:
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape)


LAYERS = st.builds(weights_of, st.tuples(st.integers(1, 3), st.integers(1, 5)), st.integers(0, 999))


def ends(interval: Interval) -> list[tuple[int, int]]:
    return [(int(low), int(high)) for low, high in zip(*interval, strict=True)]


def contains(outer: Interval, inner: Interval) -> bool:
    return bool((outer.low <= inner.low).all() and (inner.high <= outer.high).all())


def every_sum(
    weights: list[int], table: np.ndarray, codes: Codes, rows: int
) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """For all activations of one channel: what its rows hand on, the totals of tiles, the whole sum."""
    for chosen in itertools.product(range(codes.low, codes.high + 1), repeat=len(weights)):
        sums, totals, total = [0], [0], 0
        for start in range(0, len(weights), rows):
            tile = 0
            for x, w in list(zip(chosen, weights, strict=True))[start : start + rows]:
                tile += int(table[x & 255, w & 255])
                sums.append(tile)
            total += tile
            totals.append(total)
        yield sums, totals, [total]


@SMALL
@given(LAYERS, TABLES, FEW, st.integers(1, 6))
def test_bounds_are_what_all_activations_reach(weights, table, codes, rows):
    """Never exceeded, and attained."""
    found = bounds.of_weights(weights, table, codes, rows)
    for n, channel in enumerate(weights.tolist()):
        values = [np.concatenate(part) for part in zip(*every_sum(channel, table, codes, rows), strict=True)]
        for interval, reached in zip((found.sums, found.totals, found.whole), values, strict=True):
            assert ends(interval)[n] == (reached.min(), reached.max())


@SMALL
@given(LAYERS, TABLES, st.integers(1, 6))
def test_more_codes_never_tighten_a_bound(weights, table, rows):
    few, many = (bounds.of_weights(weights, table, codes, rows) for codes in (Codes(-3, 9), Codes(-20, 9)))
    assert contains(many.sums, few.sums) and contains(many.totals, few.totals) and contains(many.whole, few.whole)
    assert many.sum_bits >= few.sum_bits and many.acc_bits >= few.acc_bits


@SMALL
@given(LAYERS, TABLES, st.integers(1, 6))
def test_bytes_are_weights(weights, table, rows):
    found = [bounds.of_weights(given, table, SIGNED, rows) for given in (weights, weights.astype(np.uint8))]
    assert ends(found[0].sums) == ends(found[1].sums) and ends(found[0].totals) == ends(found[1].totals)


@SMALL
@given(LAYERS, st.integers(0, 99), st.integers(1, 4))
def test_taller_arrays(weights, seed, rows):
    """Where code 0 makes nothing, twice the rows add up no less, and totals are bounded by the whole sum."""
    table = cleared_rows(random_lut(seed, 50), True)
    short, tall = (bounds.of_weights(weights, table, Codes(-3, 5), count) for count in (rows, 2 * rows))
    assert contains(tall.sums, short.sums) and contains(short.totals, tall.sums)
    assert ends(short.totals) == ends(tall.totals) == ends(short.whole)


@SMALL
@given(LAYERS, TABLES, st.integers(0, 9))
def test_one_tile_and_tiles_of_one_product(weights, table, beyond):
    depth = weights.shape[1]
    one = bounds.of_weights(weights, table, Codes(-3, 5), depth + beyond)
    seen = table[np.arange(-3, 6) & 255]
    assert contains(one.sums, one.totals) and contains(one.totals, one.whole)
    single = bounds.of_weights(weights, table, Codes(-3, 5), 1)
    low, high = (end[weights & 255] for end in (seen.min(0), seen.max(0)))
    assert single.sums.low.tolist() == np.minimum(low.min(1), 0).tolist()
    assert single.sums.high.tolist() == np.maximum(high.max(1), 0).tolist()
    assert ends(single.totals) == ends(one.sums)  # a tile of all of them, or as many tiles


@SMALL
@given(LAYERS, TABLES, FEW, st.integers(1, 6), st.sampled_from([1, 7, 127]))
def test_any_weights_bound_all_weights(weights, table, codes, rows, largest):
    """And are attained by the weight with the largest entry."""
    weights = np.clip(weights, -largest, largest)
    general = bounds.any_weights(weights.shape[1], table, codes, rows, largest)
    found = bounds.of_weights(weights, table, codes, rows)
    assert contains(general.sums, found.sums) and contains(general.totals, found.totals)
    assert contains(general.whole, found.whole)
    alike = np.arange(-largest, largest + 1)[:, None].repeat(weights.shape[1], 1)
    all_alike = bounds.of_weights(alike, table, codes, rows)
    for worst, of_all in ((general.sums, all_alike.sums), (general.totals, all_alike.totals)):
        assert ends(worst) == [(of_all.low.min(), of_all.high.max())]


@pytest.mark.parametrize("low, high, bits", [
    (0, 0, 2), (-1, 1, 2), (-2, 1, 2), (-3, 1, 3), (-2, 2, 3), (0, 127, 8), (-128, 127, 8), (-129, 0, 9), (0, 128, 9),
    (-(2**31), 2**31 - 1, 32), (0, 2**31, 33),
])  # fmt: skip
def test_widths(low, high, bits):
    assert Interval(np.array([0, low]), np.array([high, 0])).bits() == bits


@SMALL
@given(LAYERS, TABLES, st.integers(1, 6))
def test_widths_hold_everything_and_one_bit_less_does_not(weights, table, rows):
    found = bounds.of_weights(weights, table * 1000, Codes(-3, 5), rows)
    for interval, bits in ((found.sums, found.sum_bits), (found.totals, found.acc_bits)):
        least, most = int(interval.low.min()), int(interval.high.max())
        assert -(2 ** (bits - 1)) <= least and most < 2 ** (bits - 1)
        assert bits == 2 or not (-(2 ** (bits - 2)) <= least and most < 2 ** (bits - 2))


def test_an_array_takes_the_widest_layer():
    layers = [bounds.of_weights(weights_of((2, depth), 1, largest), exact_lut()[:, WEIGHTS & 127], UNSIGNED, rows=4)
              for depth, largest in ((4, 127), (60, 3))]
    shared = bounds.widths(layers)
    assert shared == (max(one.sum_bits for one in layers), max(one.acc_bits for one in layers))
    assert bounds.widths(layers[:1]) == (layers[0].sum_bits, layers[0].acc_bits)
    with pytest.raises(ValueError, match="at least one layer"):
        bounds.widths([])
    with pytest.raises(ValueError, match="at least one row"):
        bounds.any_weights(9, random_lut(0), UNSIGNED, 0)


def test_the_exact_product_needs_what_is_known_of_it():
    """8 x 8 bits: a product of 0..255 and -127..127 has 16 bits, 8 of them 19; 144 products have 24."""
    table = np.outer(UNSIGNED.of_bytes(), WEIGHTS)
    worst = bounds.any_weights(144, table, UNSIGNED, 8)
    assert worst.sum_bits == (8 * 255 * 127).bit_length() + 1 and worst.acc_bits == (144 * 255 * 127).bit_length() + 1
    assert ends(worst.whole) == [(-144 * 255 * 127, 144 * 255 * 127)]


LUT, SIGNED_LUT = random_lut(0, 60000).clip(0), random_lut(1, 16000)
MAPPINGS: dict[str, tuple[np.ndarray, Mapping]] = {
    "sign magnitude": (LUT, default(multiplier(LUT))),
    "signed codes": (LUT, default(multiplier(LUT), "b", codes=SIGNED)),
    "two's complement": (SIGNED_LUT, default(multiplier(SIGNED_LUT, signed=True), codes=SIGNED)),
    "affine": (LUT, affine(multiplier(LUT), codes=Codes(-77, 178))),
    "affine, 4-bit weights": (LUT, affine(multiplier(LUT), "b", codes=Codes(-9, 50), largest_weight=7)),
}


@pytest.mark.parametrize("lut, mapping", MAPPINGS.values(), ids=MAPPINGS)
def test_what_the_array_adds(lut, mapping):
    """The multiplier's entry, negated by the sign logic; zero points' terms are the host's."""
    found, terms = bounds.addends(mapping, lut), bounds.zero_terms(mapping)
    assert found.dtype == np.int32
    for x, w in np.random.default_rng(0).integers(0, 256, (300, 2)):
        ports = mapping.activation_codes[x], mapping.weight_codes[w]
        entry = lut[ports] if mapping.activation_port == "a" else lut[ports[::-1]]
        assert found[x, w] == (-entry if mapping.activation_negative[x] != mapping.weight_negative[w] else entry)
    assert (terms is None) == (mapping.encoding != "affine")
    host = 0 if terms is None else terms[0][:, None] + terms[1]
    assert np.array_equal(found + host, mapping.table8(lut))


def attained(layer: TableLinear, addends: np.ndarray, interval: Interval) -> None:
    """One input for each channel and end that reaches it, and no random input goes beyond."""
    weights = oracles.integers(layer.weight_codes()) & 255
    codes = np.arange(layer.in_codes[0].low, layer.in_codes[0].high + 1)
    for n, channel in enumerate(weights):
        for end, pick in ((interval.low, np.argmin), (interval.high, np.argmax)):
            x = codes[pick(addends[codes & 255][:, channel], axis=0)]
            assert addends[x & 255, channel].sum() == end[n]


@pytest.mark.parametrize("in_codes", [UNSIGNED, SIGNED, Codes(-40, 3)], ids=str)
@pytest.mark.parametrize("table", [None, random_table8(1, 9000)], ids=["exact", "table"])
def test_bounds_of_layers(table, in_codes):
    linear = settle(TableLinear(nn.Linear(20, 4)), in_codes=in_codes, bits=5)
    if table is not None:
        take_table(linear, table, 0.4)
    found = bounds.of_layer(linear, rows=8)
    attained(linear, np.outer(in_codes.of_bytes(), WEIGHTS) if table is None else table.numpy(), found.whole)
    conv = settle(TableConv2d(nn.Conv2d(4, 6, 3, padding=1, groups=2)), in_codes=in_codes)
    conv.set_table(None if table is None else table.numpy())
    whole = bounds.of_layer(conv, rows=7).whole
    with torch.no_grad():
        sums = oracles.integers(conv.accumulate(images(3, 4, 5, 6, codes=in_codes))).swapaxes(0, 1).reshape(6, -1)
    assert (whole.low <= sums.min(1)).all() and (sums.max(1) <= whole.high).all()
    assert (whole.high - whole.low > np.ptp(sums, axis=1)).all()  # random inputs lie inside


def test_affine_layers_are_bounded_by_what_the_array_adds():
    lut, mapping = MAPPINGS["affine"]
    layer = settle(TableLinear(nn.Linear(20, 4)), in_codes=mapping.codes)
    layer.set_table(mapping.table8(lut), mapping.gain, None, bounds.zero_terms(mapping))
    found = bounds.of_layer(layer, rows=8)
    attained(layer, bounds.addends(mapping, lut), found.whole)
    assert (found.sums.low == 0).all()  # entries of an unsigned multiplier
    layer.set_table(mapping.table8(lut), mapping.gain)
    assert ends(bounds.of_layer(layer, rows=8).whole) != ends(found.whole)


def as_python(total: int, m: int, s: int, codes: Codes) -> int:
    return min(max((total * m + (1 << (s - 1))) >> s, codes.low), codes.high)


@SMALL
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**31), st.integers(-(2**31), 2**31 - 1),
       st.integers(2**14, 2**15 - 1), st.integers(1, 40), st.sampled_from([UNSIGNED, SIGNED, LOGITS, Codes(-7, 0)]))
def test_bias(low, width, bias, m, s, codes):
    """In Python's integers, at both ends of the sums and where 32 bits end between them."""
    high = min(low + width, 2**31 - 1)
    found = bounds.bias_addition(Interval(np.array([low]), np.array([high])), *map(np.array, ([bias], [m], [s])), codes)
    totals = [low + bias, high + bias]
    assert found.fits.tolist() == [all(-(2**31) <= total < 2**31 for total in totals)]
    assert found.bits == Interval(np.array(totals[:1]), np.array(totals[1:])).bits()
    totals += [edge for edge in (-(2**31) - 1, 2**31) if totals[0] <= edge <= totals[1]]
    same = all(as_python(min(max(t, -(2**31)), 2**31 - 1), m, s, codes) == as_python(t, m, s, codes) for t in totals)
    assert same or not found.harmless[0]
    assert found.harmless[0] or not found.fits[0]


def test_bias_of_layers():
    layer = settle(TableLinear(nn.Linear(20, 4)))
    found = bounds.bias_of_layer(layer)
    assert found.fits.all() and found.harmless.all() and found.bits <= 32
    layer.bias.data[2] = float(layer.in_scale * layer.weight_scale[2]) * 2**33  # limited to the int32 range itself
    found = bounds.bias_of_layer(layer)
    assert found.fits.tolist() == [True, True, False, True] and found.bits == 33
    assert found.harmless.all()  # far beyond the output's largest code
    layer.out_scale.data.mul_(2.0**20)
    assert bounds.bias_of_layer(layer).harmless.tolist() == [True, True, False, True]


def test_results_are_plain():
    found = bounds.of_weights(np.array([[1, -2, 3]]), random_lut(0), UNSIGNED, 2)
    assert type(found.sum_bits) is type(found.acc_bits) is int
    assert all(end.dtype == np.int64 for part in (found.sums, found.totals, found.whole) for end in part)
