"""The best mapping of a multiplier for one layer: operand order, pre-scale and weight patterns.

Weights are known offline, so any pattern may stand for any weight. For each weight code w the pattern p is chosen
whose table row best fits s * x with s = alpha * w over the layer's activation histogram; alpha, one for the layer, is
searched and its inverse folded into requantisation. The squared error counts, less half the squared mean error
(compensation takes the mean out later), over alpha^2.

For one pattern that error is, but for a term that all patterns share, a straight line in s: s * linear + constant. The
best patterns of all weights and all gains are therefore the corners of the lower convex hull of the points (linear,
constant), and each corner serves one run of neighbouring weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agn_hw.codes import Codes
from agn_hw.mapping import SIGN_MAGNITUDE, WEIGHTS, Mapping, default
from agn_hw.search.pairs.hull import Hulls, lower_hulls
from agn_hw.search.pairs.operands import Operands
from lut_gen.catalog import Multiplier

PRESCALES = tuple(float(p) for p in np.geomspace(1.0, 4.0, 7))
GAINS = np.sort([1.0, *np.geomspace(0.35, 1.3, 10)])
_UNIT = 2.0**-55
"""Shares of weights are counted in this unit: sums of them, and of them times the weights, are exact in int64."""


@dataclass(frozen=True)
class Fit:
    """A mapping and its expected squared error a product, in units of (activation code * weight code)^2."""

    mapping: Mapping
    cost: float


class _Weights(NamedTuple):
    """The weights that need a pattern of their own, and their shares in units of _UNIT.

    values: float64 [K], rising by one. shares, moments: int64 [K + 1], running sums of the shares, and of the shares
    times the weights, from 0. square: the sum of the shares times the squared weights.
    """

    values: np.ndarray
    shares: np.ndarray
    moments: np.ndarray
    square: float


class _Group(NamedTuple):
    """Mappings that differ in their activation patterns and gains only, and what is needed of all of them.

    patterns: intp [mapping * activation byte], the activation pattern, numbered on from one mapping to the next.
    signs: float64 [mapping, activation byte], -1 where the sign logic takes the activation as negative.
    numbers: float64 [activation byte], the activation codes.
    """

    mappings: tuple[Mapping, ...]
    patterns: np.ndarray
    signs: np.ndarray
    numbers: np.ndarray


def best_mapping(multiplier: Multiplier, operands: Operands) -> Fit:
    """The cheapest fit over both operand orders and all pre-scales. Mappings may share their (read-only) arrays."""
    orders = ("a",) if _symmetric(multiplier) else ("a", "b")
    ports = int(multiplier.a_bits), int(multiplier.b_bits), bool(multiplier.signed)
    groups = [_defaults(port, *ports, operands.codes, operands.largest_weight) for port in orders]
    weights = _weights(groups[0].mappings[0], operands)
    return min((_best(group, multiplier.lut, weights, operands) for group in groups), key=lambda found: found.cost)


def fit(mapping: Mapping, multiplier: Multiplier, operands: Operands) -> Fit:
    """Gain-aware weight remap of one mapping, of any encoding."""
    rows = len(mapping.oriented(multiplier.lut))
    group = _group((mapping,), rows, operands.codes)
    return _best(group, multiplier.lut, _weights(mapping, operands), operands)


def _symmetric(multiplier: Multiplier) -> bool:
    lut = multiplier.lut
    return lut.shape[0] == lut.shape[1] and np.array_equal(lut, lut.T)


@lru_cache(maxsize=1024)
def _defaults(port: str, a_bits: int, b_bits: int, signed: bool, codes: Codes, largest_weight: int) -> _Group:
    """The default mappings of all multipliers of these widths, one a pre-scale, all arrays read-only."""
    widths = Multiplier(Path(), {"a_bits": a_bits, "b_bits": b_bits, "signed": signed})
    mappings = tuple(default(widths, port, scale, codes, largest_weight) for scale in PRESCALES)
    group = _group(mappings, 2 ** (a_bits if port == "a" else b_bits), codes)
    own = [(m.activation_codes, m.activation_negative, m.weight_codes, m.weight_negative) for m in mappings]
    for array in (*group[1:], *chain(*own)):
        array.flags.writeable = False
    return group


def _group(mappings: tuple[Mapping, ...], rows: int, codes: Codes) -> _Group:
    """Mappings to tables of so many activation patterns."""
    patterns = np.stack([mapping.activation_codes for mapping in mappings]).astype(np.intp)
    patterns += rows * np.arange(len(mappings))[:, None]
    signs = np.where([mapping.activation_negative for mapping in mappings], -1.0, 1.0)
    return _Group(mappings, patterns.ravel(), signs, codes.of_bytes().astype(np.float64))


def _best(group: _Group, lut: np.ndarray, weights: _Weights, operands: Operands) -> Fit:
    """The cheapest fit of a group."""
    mappings = group.mappings
    hulls = lower_hulls(*_lines(group, lut, operands.activations))
    gains = GAINS[:, None] * [mapping.gain for mapping in mappings]
    costs = _costs(hulls, gains, weights, _mean_square(group.numbers, operands.activations))
    m = int(np.maximum(costs.min(0), 0.0).argmin())
    g = int(costs[:, m].argmin())
    own = slice(hulls.starts[m], hulls.starts[m + 1])
    corners = np.searchsorted(hulls.right[own][:-1], -gains[g, m] * weights.values, side="right")
    patterns = _all_weights(mappings[m], hulls.pattern[own][corners])
    return Fit(mappings[m].with_weights(patterns, float(gains[g, m])), float(max(costs[g, m], 0.0)))


def _mean_square(values: np.ndarray, share: np.ndarray) -> float:
    """The mean square that counts: less half the squared mean."""
    return float(share @ values**2 - (share @ values) ** 2 / 2)


def _lines(group: _Group, lut: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear and constant term of each mapping's patterns, float64 [mapping, weight pattern].

    E(T - s x)^2 - (E(T - s x))^2 / 2 is s * linear + constant, and what no pattern changes.
    """
    table, count = _products(group.mappings[0], lut), len(group.mappings)

    def by_pattern(values: np.ndarray) -> np.ndarray:
        """Values of [mapping, activation byte] summed to [activation pattern, mapping]."""
        return np.bincount(group.patterns, values.ravel(), count * len(table)).reshape(count, -1).T

    signed = share * group.signs
    sums = table.T @ np.hstack([by_pattern(signed), by_pattern(signed * group.numbers)])
    mean_t, mean_tx = sums[:, :count], sums[:, count:]
    mean_tt = np.square(table).T @ by_pattern(np.abs(signed))
    return (mean_t * (share @ group.numbers) - 2 * mean_tx).T, (mean_tt - mean_t**2 / 2).T


def _products(mapping: Mapping, lut: np.ndarray) -> np.ndarray:
    """What activation *pattern* and weight pattern make, float64, as Mapping.products but for the activation's sign."""
    table = mapping.oriented(lut).astype(np.float64)
    if mapping.activation_zero or mapping.weight_zero:
        x, w = np.arange(float(len(table)))[:, None], np.arange(float(table.shape[1]))
        table += (mapping.weight_zero - w) * mapping.activation_zero - mapping.weight_zero * x
    return table


def _costs(hulls: Hulls, gains: np.ndarray, weights: _Weights, spread: float) -> np.ndarray:
    """Expected squared error of each gain and mapping, float64 as gains, each weight with its best pattern.

    A corner serves the weights for which -gain * weight is between its edges' slopes, the left one included. spread:
    mean square of the activations, less half their squared mean.
    """
    gain = np.repeat(gains, np.diff(hulls.starts), axis=1)
    values = weights.values
    first = np.clip(-hulls.right / gain + (1 - values[0]), 0, len(values)).astype(np.intp)
    errors = _runs(weights.shares, first, hulls.starts) * hulls.constant
    errors += _runs(weights.moments, first, hulls.starts) * gain * hulls.linear
    return (np.add.reduceat(errors, hulls.starts[:-1], axis=1) / gains**2 + weights.square * spread) * _UNIT


def _runs(sums: np.ndarray, first: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """From running sums over the weights, the sum over each corner's: from its first weight to its left neighbour's."""
    below = sums[first]
    end = np.empty_like(below)
    end[:, 1:] = below[:, :-1]
    end[:, starts[:-1]] = sums[-1]
    return end - below


def _weights(mapping: Mapping, operands: Operands) -> _Weights:
    """Sign logic turns errors of w into those of -w with the other sign, squares and squared means alike."""
    if mapping.encoding == SIGN_MAGNITUDE:
        values, shares = np.arange(129), np.bincount(np.abs(WEIGHTS), operands.weights, 129)
    else:
        values, shares = np.arange(-128, 128), np.roll(operands.weights, 128)
    counts = np.rint(shares / _UNIT).astype(np.int64)
    moments = counts * values
    return _Weights(
        values.astype(np.float64),
        np.append(0, np.cumsum(counts)),
        np.append(0, np.cumsum(moments)),
        float(moments @ values.astype(np.float64)),
    )


def _all_weights(mapping: Mapping, patterns: np.ndarray) -> np.ndarray:
    """Pattern of each of the 256 weight bytes."""
    return patterns[np.abs(WEIGHTS)] if mapping.encoding == SIGN_MAGNITUDE else np.roll(patterns, -128)
