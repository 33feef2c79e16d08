"""Exact integer low-rank forms of a folded table, so that its product runs as a few plain matrix products.

A table's error is often of small rank over the integers: a dropped or merged partial product is a product of a
function of x and a function of w. Floating-point factors would be wrong by whole units; everything here is exact.
The order is the kernels': table[x, w], 256 activation codes x (0..255) by 256 weight bytes w.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agn_hw.kernels import lattice

_STEPS = np.array([sign * step for step in (1, 2, 3, 4, 6, 8, 16, 32, 64, 128) for sign in (1, -1)])
_SWEEPS = 50
_Part = tuple[int, np.ndarray, np.ndarray]  # scale, expand column within 0..255, factor row within -128..127


def moebius(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(masks uint8 [k], rows int64 [k, n]): matrix[x, w] = sum_j [(x & masks[j]) == masks[j]] * rows[j, w].

    matrix: integers [256, n] within int32; transpose a table to factor over the weight's bits. The Moebius
    transform over the subsets of x's bits (Rota 1964); rows that are zero are left out.
    """
    rows = np.array(matrix, np.int64, order="C")
    for bit in range(8):
        pairs = rows.reshape(128 >> bit, 2, -1)  # without and with this bit; the lower bits are within the last axis
        pairs[:, 1] -= pairs[:, 0]
    masks = np.flatnonzero(rows.any(axis=1))
    return masks.astype(np.uint8), rows[masks]


def integer_factors(matrix: np.ndarray, most: int = 40) -> tuple[np.ndarray, np.ndarray] | None:
    """(left int64 [m, r], right int64 [r, n]) with left @ right == matrix, r its rank; None if r > `most`.

    matrix: integers [m, n] within int32. The lattice of the rows, and that of the columns, gets an LLL-reduced basis
    (Lenstra, Lenstra and Lovasz 1982), found through the Hermite normal form, and is tried again with both factors
    balanced (Seysen 1993); the form with the smallest largest entry is taken. Raises OverflowError if an entry
    leaves 64 bits, RuntimeError if the form taken does not give the matrix back.
    """
    matrix = matrix.astype(np.int64)
    of_rows = lattice.factors(matrix, most)
    of_columns = lattice.factors(matrix.T, most)
    if of_rows is None or of_columns is None:
        return None
    starts = of_rows, (of_columns[1].T, of_columns[0].T)
    found = [pair for start in starts for pair in (start, lattice.balance(*start))]
    left, right = min(found, key=_sizes)
    if not np.array_equal(lattice.product(left, right), matrix):
        raise RuntimeError("the factors found do not give the matrix back")
    return left, right


def _sizes(pair: tuple[np.ndarray, np.ndarray]) -> tuple[int, int]:
    """The largest entry and the sum of all entries of two factors, without signs."""
    left, right = (np.abs(side) for side in pair)
    return max(int(left.max(initial=0)), int(right.max(initial=0))), int(left.sum() + right.sum())


@dataclass(frozen=True, eq=False)
class Terms:
    """table[x, w] = sum over t of scale[t] * expand[t, x] * factor[t, w] + constants[w], modulo 2^32.

    scale: int32 [terms], 256 for the first terms and 1 for the others. expand: uint8 [terms, 256], by activation
    code. factor: int8 [terms, 256], by weight byte. constants: int32 [256], by weight byte.
    """

    scale: np.ndarray
    expand: np.ndarray
    factor: np.ndarray
    constants: np.ndarray

    def __len__(self) -> int:
        return len(self.scale)

    def table(self) -> np.ndarray:
        """The table that the terms stand for, int64 [256, 256] within int32."""
        scaled = self.scale[:, None] * self.expand.astype(np.int64)
        return _wrapped(scaled.T @ self.factor.astype(np.int64) + self.constants)

    def largest_sum(self) -> int:
        """A bound on the sum of the terms without the constants."""
        sizes = self.expand.max(axis=1).astype(np.int64) * np.abs(self.factor.astype(np.int64)).max(axis=1)
        return int((self.scale * sizes).sum())


def int8_terms(table: np.ndarray, most: int = 16) -> Terms | None:
    """The fewest products of an unsigned byte and a signed byte found that give a table, or None above `most`.

    table: int32 [256, 256]. Its first row is subtracted: a constant for each weight is free, and so is a constant
    in an expand column. What is left, with and without an exact term x * slope(w), is factored over the integers;
    pairs of factors are exchanged until few exceed a byte, and those are split in two. (The Moebius form generates
    the same lattice, so it is not tried on its own.) Ties go to the smaller sums. None also where an entry is too
    wide for two bytes. Raises RuntimeError if the form found does not rebuild the table.
    """
    table = table.astype(np.int64)
    rest = table - table[0]
    if np.abs(rest).max() > most * 256 * 255 * 128:
        return None
    codes = np.arange(256)
    slopes = np.clip(np.rint(codes @ rest / (codes @ codes)), -128, 127).astype(np.int64)  # least squares
    found: list[Terms] = []
    for first, left in (([], rest), ([(1, codes, slopes)], rest - np.outer(codes, slopes))):
        fewest = min((len(terms) for terms in found), default=most + 1)
        for parts in _forms(left, fewest - 1 - len(first)):
            found.append(_assembled(table, first + parts))
    best = min(found, key=lambda terms: (len(terms), terms.largest_sum()), default=None)
    return best if best is not None and len(best) <= most else None


def _forms(matrix: np.ndarray, most: int) -> Iterator[list[_Part]]:
    """Sums of byte products that give an int64 [256, 256] but for constants in w; none where its rank is over `most`.

    From the lattice of the rows and of the columns, balanced with and without the mean of the expand columns; each
    as it is (narrowing knows nothing of scales, so it can do harm) and narrowed.
    """
    for turned in (False, True):
        start = lattice.factors(matrix.T if turned else matrix, most)
        if start is None:
            return
        left, right = (start[1].T, start[0].T) if turned else start
        for centred in (False, True):
            expand, factor = lattice.balance(left, right, centred)
            for sides in ((expand.T, factor), _narrowed(expand.T, factor)):
                pairs = [_split(*pair) for pair in zip(*sides, strict=True)]
                if all(pairs):
                    yield [part for parts in pairs for part in parts]


def _narrowed(expand: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same sum of products, int64 [r, 256] each, with fewer factors wider than a byte.

    factor[i] += step * factor[j] with expand[j] -= step * expand[i], the best j and step for each i in turn.
    """
    expand, factor = expand.copy(), factor.copy()
    for _ in range(_SWEEPS):
        moved = False
        for i in range(len(factor)):
            cost = _cost(_span(expand), _size(factor))
            others = np.flatnonzero((cost > 1) | (cost[i] > 1))  # where both fit, nothing can be won
            others = others[others != i]
            if not len(others):
                continue
            factors = factor[i] + _STEPS[:, None] * factor[others, None]  # [others, steps, 256]
            expands = expand[others, None] - _STEPS[:, None] * expand[i]
            after = _cost(_span(expand[i]), _size(factors)) + _cost(_span(expands), _size(factor[others])[:, None])
            won = cost[i] + cost[others, None] - after
            j, step = np.unravel_index(np.argmax(won), won.shape)
            if won[j, step] > 1e-9:
                factor[i], expand[others[j]] = factors[j, step], expands[j, step]
                moved = True
        if not moved:
            break
    return expand, factor


def _span(expand: np.ndarray) -> np.ndarray:
    """Distance between the smallest and the largest value along the last axis."""
    return expand.max(axis=-1) - expand.min(axis=-1)


def _size(factor: np.ndarray) -> np.ndarray:
    """The largest value along the last axis without sign; one less where only one sign has it: -128 is a byte."""
    above, below = factor.max(axis=-1), -factor.min(axis=-1)
    return np.maximum(np.minimum(above, below), np.maximum(above, below) - 1)


def _cost(span: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Terms that a pair of factors needs, and a little for every bit in excess, to show the way."""
    terms = np.where(span > 255, 2, 1) * np.where(size > 127, 2, 1)
    hopeless = (span > 65535) | (size > 32639) | ((span > 510) & (size > 254))
    excess = np.log2(np.maximum(span / 255, 1)) + np.log2(np.maximum(size / 127, 1))
    return np.where(hopeless, 20, terms) + excess / 50


def _split(expand: np.ndarray, factor: np.ndarray) -> list[_Part]:
    """The fewest parts whose sum is expand * factor plus something in w only; nothing where two bytes do not do."""
    if factor.max() > -factor.min():
        expand, factor = -expand, -factor
    expand = expand - expand.min()
    of_expand, of_factor = int(np.gcd.reduce(expand)), int(np.gcd.reduce(factor))
    expand, factor, common = expand // of_expand, factor // of_factor, of_expand * of_factor
    powers = [2**k for k in range(common.bit_length()) if common % 2**k == 0]
    found = []
    for share in {*powers, *(common // power for power in powers)}:
        left, right = _expand_bytes(expand * share), _factor_bytes(factor * (common // share))
        scales = [a * b for a, _ in left for b, _ in right]
        if scales and max(scales) <= 256:
            found.append((len(scales), sum(scales), share, [(a * b, e, f) for a, e in left for b, f in right]))
    return min(found, default=(0, 0, 0, []))[-1]


def _expand_bytes(expand: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(scale, values 0..255) that add up to `expand`, int64 [256] from 0 up; nothing where two bytes do not do."""
    largest = expand.max()
    if largest <= 255:
        return [(1, expand)]
    if largest > 65535:
        return []
    low = expand & 255
    if not low.any():
        return [(256, expand >> 8)]
    return [(1, expand // 2), (1, expand - expand // 2)] if largest <= 510 else [(256, expand >> 8), (1, low)]


def _factor_bytes(factor: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(scale, values -128..127) that add up to `factor`, int64 [256]; nothing where two bytes do not do."""
    size = _size(factor)
    if size <= 127:
        return [(1, factor)]
    if size > 32639:
        return []
    low = ((factor + 128) & 255) - 128
    high = (factor - low) >> 8
    if not low.any():
        return [(256, high)]
    return [(1, factor // 2), (1, factor - factor // 2)] if size <= 254 else [(256, high), (1, low)]


def _assembled(table: np.ndarray, parts: list[_Part]) -> Terms:
    """Terms with the larger scale first and the constants that fit, checked against the whole table."""
    parts = sorted(parts, key=lambda part: -part[0])
    scale = np.array([part[0] for part in parts], np.int32)
    expand = np.array([part[1] for part in parts], np.int64).reshape(-1, 256)
    factor = np.array([part[2] for part in parts], np.int64).reshape(-1, 256)
    constants = _wrapped(table[0] - (scale * expand[:, 0]) @ factor)
    terms = Terms(scale, expand.astype(np.uint8), factor.astype(np.int8), constants.astype(np.int32))
    if not np.array_equal(terms.table(), table):
        raise RuntimeError("the terms found do not give the table back")
    return terms


def _wrapped(values: np.ndarray) -> np.ndarray:
    """Values modulo 2^32, int64 within int32."""
    return (values + 2**31) % 2**32 - 2**31
