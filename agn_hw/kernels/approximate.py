"""Int8 terms that come near a table, so that what is left of it needs fewer bytes.

Exact low-rank forms (decompose.py) exist for some tables; logarithmic multipliers and compressor trees have none. But a
few products more than a slope leave so little that one residual byte does instead of two. Which products: those of the
largest singular vectors, one after another, each rounded to bytes before the next is sought, which so makes up for the
rounding (greedy rank-one approximation).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_POWER_STEPS = 6
_SCALES = 2.0 ** np.array([-1, -0.5, 0, 0.5, 1])
_EMPHASES = (0, 2)
"""Powers of a weight's range that it counts with."""


class Term(NamedTuple):
    """expand: uint8 [256] by activation code; factor: int8 [256] by weight byte."""

    expand: np.ndarray
    factor: np.ndarray


def terms_for_fewer_bytes(rest: np.ndarray, shift: int, most: int) -> Iterator[list[Term]]:
    """Up to `most` terms whose products, times 2^shift, leave fewer bytes of rest [256, 256], [x, w]; each weight's
    smallest entry is free.

    Yielded is a list each time that one more byte is saved.
    """
    for emphasis in _EMPHASES:
        left = rest.astype(np.float64)
        found: list[Term] = []
        needed = _bytes_for(left)
        while needed > 1 and len(found) < most:
            term = _next_term(left / 2**shift, emphasis)
            if term is None:
                break
            found.append(term)
            left -= np.outer(term.expand, term.factor.astype(np.float64)) * 2**shift
            if _bytes_for(left) < needed:
                needed = _bytes_for(left)
                yield list(found)


def _bytes_for(rest: np.ndarray) -> int:
    return (int(np.ptp(rest, axis=0).max()).bit_length() + 7) // 8


def _next_term(rest: np.ndarray, emphasis: int) -> Term | None:
    """The product of bytes that takes most off rest; None where nothing is left or none fits."""
    centred = rest - rest.mean(axis=0)
    left, right = _singular_vectors(centred * np.ptp(rest, axis=0) ** emphasis, centred)
    span, size = np.ptp(left), np.abs(right).max()
    if span == 0 or size == 0:
        return None
    made = [_rounded(centred, (left - left.min()) * scale) for scale in np.sqrt(size / span) * _SCALES
            if scale * span <= 255 and size / scale <= 127]
    return min(made, key=lambda term: _ranges(rest, term), default=None)


def _singular_vectors(weighted: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left singular vector of the weighted rest for its largest singular value, by power iteration, and the best
    vector to go with it for the rest as it is."""
    right = weighted[np.argmax((weighted**2).sum(axis=1))]
    left = weighted @ right
    for _ in range(_POWER_STEPS):
        left = left / max(float(np.linalg.norm(left)), 1e-300)
        left = weighted @ (left @ weighted)
    left = left / max(float(np.linalg.norm(left)), 1e-300)
    return left, left @ rest


def _rounded(centred: np.ndarray, expand: np.ndarray) -> Term:
    """The expand column rounded, and the best factors for it as it is then."""
    expand = np.rint(expand)
    around = expand - expand.mean()
    factor = np.rint(around @ centred / max(float(around @ around), 1)).clip(-128, 127)
    return Term(expand.astype(np.uint8), factor.astype(np.int8))


def _ranges(rest: np.ndarray, term: Term) -> float:
    """What the term leaves; large ranges count more."""
    return float((np.ptp(rest - np.outer(term.expand, term.factor.astype(np.float64)), axis=0) ** 4).sum())
