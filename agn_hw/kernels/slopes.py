"""A table taken apart without a compiler at hand: int8 terms, constants and residual bytes, by numpy.

    table[x, w] = 2^shift * sum over t of scale[t] * expand[t, x] * factor[t, w] + constants[w]
                  + sum over p of planes[p, w, x] * 256^p                                           modulo 2^32

The same split that csrc/split.cpp makes. What the terms cannot hold is left to residual bytes: for one weight the
entries t(x) are s * x + c + r(x) with 0 <= r, and the slope s is chosen so that the largest r is smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from agn_hw.kernels import decompose
from agn_hw.kernels.approximate import terms_for_fewer_bytes
from agn_hw.kernels.decompose import Terms

MOST_TERMS = 16
_LARGEST_NEAR = 2**24  # entries of tables that are approximated: float64 must hold squares of sums of them
_MOST_SLOPES = 3  # int8 factors that add up to a weight's slope
_CODES = np.arange(256)
Cost = Callable[[int, int], float]
"""Expected time of a product by the number of terms and the number of residual bytes."""


class Split(NamedTuple):
    """A table's form, see above. scale: int32 [T], 256 for the first terms and 1 for the others; expand: uint8
    [T, 256] by activation code; factor: int8 [T, 256] by weight byte; constants: int32 [256]; planes: uint8
    [P, 256, 256] by weight byte and activation code."""

    scale: np.ndarray
    expand: np.ndarray
    factor: np.ndarray
    shift: int
    constants: np.ndarray
    planes: np.ndarray


def form_of(table: np.ndarray, cost: Cost) -> Split:
    """The form of a table int32 [256, 256], [x, w], with the least cost(terms, planes); of those that cost the same,
    the one with the smallest residual.

    Tried are: no terms; slopes, in one to three terms; an exact low-rank form over the integers; and, where two bytes
    and more would be left, slopes with terms that come near the table. All have up to 16 terms.
    """

    def order(split: Split) -> tuple[float, int, int]:
        return cost(len(split.scale), len(split.planes)), *_residual_size(split.planes)

    table = table.astype(np.int64)
    best = min((_with_residual(table, *found) for found in (*slopes(table), *_exact(table))), key=order)
    if len(best.planes) < 2:
        return best
    return min((best, *(_with_residual(table, *found) for found in _near(table))), key=order)


def _with_residual(table: np.ndarray, terms: Terms, shift: int) -> Split:
    return Split(terms.scale, terms.expand, terms.factor, shift, *residual(table, terms, shift))


def _residual_size(planes: np.ndarray) -> tuple[int, int]:
    """The largest byte of the uppermost plane, and all bytes of it."""
    return (int(planes[-1].max()), int(planes[-1].sum(dtype=np.int64))) if len(planes) else (0, 0)


def residual(table: np.ndarray, terms: Terms, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """(constants int32 [256], planes uint8 [P, 256 weights, 256 activations]) that the terms times 2^shift leave of a
    table [256, 256]; their own constants are not used.

    A constant is the smallest of what is left for its weight, as a signed number, so the rest starts at 0.
    """
    scaled = terms.scale[:, None] * terms.expand.astype(np.int64)
    products = scaled.T @ terms.factor.astype(np.int64) << shift
    left = np.ascontiguousarray((table.astype(np.int64) - products).astype(np.int32).T)  # [w, x]; int32 wraps
    constants = left.min(axis=1)
    rest = left.view(np.uint32) - constants.view(np.uint32)[:, None]
    planes = (int(rest.max()).bit_length() + 7) // 8
    bytes_of = np.ascontiguousarray(rest).astype("<u4").view(np.uint8).reshape(256, 256, 4)
    return constants, np.ascontiguousarray(np.moveaxis(bytes_of, 2, 0)[:planes])


def slopes(table: np.ndarray) -> Iterator[tuple[Terms, int]]:
    """(terms, shift) for a table [256, 256]: none, then slopes for activations as bytes x and as x ^ 0x80, whole
    multiples of 1 or 2, in one int8 term and in as many as they take.

    The constants of the terms are 0: see `residual`.
    """
    yield _terms(np.zeros((0, 256), np.int64), np.zeros((0, 256), np.int64)), 0
    entries = np.ascontiguousarray(table.T, np.int64)  # [w, x]
    for flip in (0, 0x80):
        expand = _CODES ^ flip
        for shift in (0, 1):  # a magnitude of seven bits often goes through an eight-bit port doubled
            slope = _best_slopes(entries, expand << shift)
            needed = max(_terms_for(slope), 1)
            for count in range(1, needed + 1):
                parts = _int8_parts(slope, count)
                yield _terms(np.broadcast_to(expand, parts.shape), parts), shift
            if needed == 1:
                break


def _best_slopes(entries: np.ndarray, x: np.ndarray) -> np.ndarray:
    """For each weight the slope within reach that leaves entries [256, 256] - slope * x the smallest range.

    The range is a convex function of the slope: halving finds the first slope whose successor is no better.
    """
    low, high = np.full(256, -128 * _MOST_SLOPES), np.full(256, 127 * _MOST_SLOPES)
    while (low < high).any():
        middle = (low + high) >> 1
        rest = entries - middle[:, None] * x
        here = np.ptp(rest, axis=1)
        rest -= x
        better = np.ptp(rest, axis=1) < here
        low, high = np.where(better & (low < high), middle + 1, low), np.where(better, high, middle)
    return low


def _terms_for(slope: np.ndarray) -> int:
    """How many int8 factors add up to every slope."""
    return int(max(-(-slope.max() // 127), -(slope.min() // 128)))


def _int8_parts(slope: np.ndarray, count: int) -> np.ndarray:
    """int64 [count, 256] within int8 that add up to the slopes, or as near as they get."""
    parts = np.zeros((count, 256), np.int64)
    for t in range(count):
        parts[t] = (slope - parts.sum(axis=0)).clip(-128, 127)
    return parts


def _terms(expand: np.ndarray, factor: np.ndarray) -> Terms:
    scale = np.ones(len(factor), np.int32)
    return Terms(scale, expand.astype(np.uint8), factor.astype(np.int8), np.zeros(256, np.int32))


def _near(table: np.ndarray) -> Iterator[tuple[Terms, int]]:
    """(terms, shift) that save bytes by coming near the table, after a slope in one term: the two best of those."""
    if np.abs(table).max() > _LARGEST_NEAR:
        return
    found = [(terms, shift) for terms, shift in slopes(table) if len(terms) == 1]
    left = [table - (terms.table() << shift) for terms, shift in found]
    for i in sorted(range(len(found)), key=lambda i: np.ptp(left[i], axis=0).max())[:2]:
        (slope, shift), rest = found[i], left[i]
        for terms in terms_for_fewer_bytes(rest, shift, MOST_TERMS - 1):
            expand, factor = (np.stack(side) for side in zip(*terms, strict=True))
            yield _terms(np.concatenate([slope.expand, expand]), np.concatenate([slope.factor, factor])), shift


def _exact(table: np.ndarray) -> Iterator[tuple[Terms, int]]:
    """(terms, shift) that leave constants alone; nothing where that takes too many terms."""
    rest = table - table[0]
    common = int(np.bitwise_or.reduce(np.abs(rest), axis=None)) or 1
    shift = (common & -common).bit_length() - 1
    rest >>= shift
    if rest.max() < 2**31 and rest.min() >= -(2**31):
        terms = decompose.int8_terms(rest.astype(np.int32), MOST_TERMS)
        if terms is not None:
            yield terms, shift
