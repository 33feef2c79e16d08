"""How large sums in the array can become, proven: from these the smallest widths that never overflow.

The array (rtl/accelerator) adds the products of one output channel in the order k of its weights (channel, kernel
row, kernel column), cut into tiles of `rows`; a last tile that is not full has disabled rows, which add nothing. Two
numbers grow: the sum that runs down a column, begun at 0 with each tile (SUM_BITS), and the total of the tiles so far
(ACC_BITS).

Each weight's product lies between the least and the largest entry of its column of the table, over all activation codes
that the layer can see, the code 0 of padding among them. Added up along k, these ends bound every sum. Where each
activation can be any code, whatever the others are, the bounds are attained. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agn_hw.codes import Codes
from agn_hw.mapping import LARGEST_WEIGHT, WEIGHTS, Mapping

if TYPE_CHECKING:
    from agn_hw.nn.layers import TableLayer

_INT32 = Codes(-(2**31), 2**31 - 1)
_NARROWEST = 2
"""Bits of the narrowest sums that the array's Verilog takes."""


class Interval(NamedTuple):
    """The least and the largest value of something in each output channel, int64 [N], both included."""

    low: np.ndarray
    high: np.ndarray

    def bits(self) -> int:
        """The smallest width of two's complement numbers that holds all of them, at least 2."""
        least, most = int(self.low.min(initial=0)), int(self.high.max(initial=0))
        return max(_NARROWEST, *((end if end >= 0 else ~end).bit_length() + 1 for end in (least, most)))


@dataclass(frozen=True)
class Bounds:
    """Of one layer. sums: of what any row of a column hands on, within any tile. totals: of what the accumulator holds,
    before, between and after the tiles. whole: of the sum of all products, which is the last total."""

    sums: Interval
    totals: Interval
    whole: Interval

    @property
    def sum_bits(self) -> int:
        """The smallest SUM_BITS that never overflows."""
        return self.sums.bits()

    @property
    def acc_bits(self) -> int:
        """The smallest ACC_BITS that never overflows."""
        return self.totals.bits()


class Widths(NamedTuple):
    """Of an array, in bits."""

    sum_bits: int
    acc_bits: int


def of_weights(weights: np.ndarray, addends: np.ndarray, codes: Codes, rows: int) -> Bounds:
    """Bounds of a layer with these weights, on an array of this many rows.

    weights: codes or bytes, whole numbers [N, ...], the axes after the first in the order of k (of a convolution with
    groups, each channel's own inputs). addends: what the array adds, int [256, 256] by activation byte and weight byte
    (`addends`, or the folded table where no encoding is affine). codes: of the activations.
    """
    least, most = _extremes(addends, codes)
    taken = np.asarray(weights).reshape(len(weights), -1).astype(np.int64) & 255
    return _along(least[taken], most[taken], rows)


def any_weights(
    depth: int, addends: np.ndarray, codes: Codes, rows: int, largest_weight: int = LARGEST_WEIGHT
) -> Bounds:
    """Bounds of sums of `depth` products whatever the weights -largest_weight..largest_weight are; N = 1."""
    usual = np.abs(WEIGHTS) <= largest_weight
    least, most = (part[usual] for part in _extremes(addends, codes))
    return _along(np.full((1, depth), least.min()), np.full((1, depth), most.max()), rows)


def widths(bounds: Iterable[Bounds]) -> Widths:
    """Of an array that serves all these layers. Raises ValueError for none."""
    pairs = [(one.sum_bits, one.acc_bits) for one in bounds]
    if not pairs:
        raise ValueError("wanted the bounds of at least one layer")
    return Widths(*map(max, zip(*pairs, strict=True)))


def of_layer(layer: TableLayer, rows: int) -> Bounds:
    """Bounds of a layer as it is: its weights, its table (without the terms of zero points) and range of activations.

    An exact layer counts as one with an exact multiplier of gain 1.
    """
    table = _folded(layer)
    if layer.zero_terms is not None:
        activation, weight = layer.zero_terms.numpy(force=True).astype(np.int64)
        table = table - activation[:, None] - weight
    return of_weights(layer.weight_codes().numpy(force=True), table, layer.in_codes[0], rows)


def addends(mapping: Mapping, lut: np.ndarray) -> np.ndarray:
    """What the array really adds for activation byte and weight byte, int32 [256, 256].

    `mapping.table8(lut)` but for affine encodings: there it is the multiplier's own entry, and the host adds the terms
    of the zero points (`zero_terms`) afterwards.
    """
    return replace(mapping, activation_zero=0, weight_zero=0).table8(lut)


def zero_terms(mapping: Mapping) -> np.ndarray | None:
    """What the host adds for each activation byte and for each weight byte, int64 [2, 256]; None if that is nothing.

    table8[x, w] = addends[x, w] + terms[0, x] + terms[1, w].
    """
    if not (mapping.activation_zero or mapping.weight_zero):
        return None
    x, w = mapping.activation_codes.astype(np.int64), mapping.weight_codes.astype(np.int64)
    return np.stack([mapping.weight_zero * (mapping.activation_zero - x), -mapping.activation_zero * w])


class BiasAddition(NamedTuple):
    """What becomes of acc + bias, the first step of requantisation, by output channel.

    fits: bool [N], whether it lies within int32. harmless: bool [N], whether an adder of 32 bits that saturates makes
    the same code: it fits, or what does not is clipped by the output's range in any case. bits: of an adder that never
    overflows. The layer itself computes in float64 and is exact in any case. A channel that is not harmless
    needs that wider adder, or a larger weight scale, which makes its bias smaller (`TableLayer.fit_bias`).
    """

    fits: np.ndarray
    harmless: np.ndarray
    bits: int


def bias_addition(whole: Interval, bias: np.ndarray, m: np.ndarray, s: np.ndarray, codes: Codes) -> BiasAddition:
    """Whether 32 bits hold acc + bias, for acc within `whole` (of the folded table: zero points are added before).

    bias, m, s: whole numbers [N], the constants of requantisation ((acc + bias) * m + (1 << (s - 1))) >> s, m below
    2^16; codes: the range that its result is clipped to.
    """
    bias, m, s = (np.asarray(part).astype(np.int64) for part in (bias, m, s))
    ends = Interval(whole.low + bias, whole.high + bias)
    below, above = ends.low < _INT32.low, ends.high > _INT32.high
    least, most = ((end * m + (1 << (s - 1))) >> s for end in _INT32)
    harmless = (~below | (least <= codes.low)) & (~above | (most >= codes.high))
    return BiasAddition(~(below | above), harmless, ends.bits())


def bias_of_layer(layer: TableLayer) -> BiasAddition:
    """`bias_addition` of a layer as it is."""
    weights = layer.weight_codes().numpy(force=True)
    bounds = of_weights(weights, _folded(layer), layer.in_codes[0], rows=max(1, weights[0].size))
    bias, m, s = (part.numpy(force=True) for part in layer.integers())
    return bias_addition(bounds.whole, bias, m, s, layer.out_codes)


def _folded(layer: TableLayer) -> np.ndarray:
    """The layer's table, int64 [256, 256]; of an exact layer that of the product."""
    if layer.lut.numel():
        return layer.lut.numpy(force=True).astype(np.int64)
    return np.outer(layer.in_codes[0].of_bytes(), WEIGHTS)


def _extremes(addends: np.ndarray, codes: Codes) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest entry for each weight byte over all codes, int64 [256]."""
    seen = np.asarray(addends)[np.arange(codes.low, codes.high + 1) & 255].astype(np.int64)
    return seen.min(axis=0), seen.max(axis=0)


def _along(least: np.ndarray, most: np.ndarray, rows: int) -> Bounds:
    """From the ends of each product, int64 [N, K]."""
    if rows < 1:
        raise ValueError(f"wanted an array of at least one row, got {rows}")
    lows, highs = _prefixes(least, rows), _prefixes(most, rows)
    sums, totals = (
        Interval(low.min(axis=1, initial=0), high.max(axis=1, initial=0)) for low, high in zip(lows, highs, strict=True)
    )
    return Bounds(sums, totals, Interval(least.sum(axis=1), most.sum(axis=1)))


def _prefixes(products: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums down the rows of each tile, int64 [N, tiles * rows], and totals after each tile, int64 [N, tiles]."""
    channels, depth = products.shape
    padded = np.pad(products, ((0, 0), (0, -depth % rows))).reshape(channels, -1, rows)
    sums = padded.cumsum(axis=2)
    return sums.reshape(channels, -1), sums[:, :, -1].cumsum(axis=1)
