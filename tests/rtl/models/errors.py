"""Relative errors as the papers count them.

Where a paper counts all operand pairs of 16 bits, 2000 x 2000 random ones stand in for them.
"""

import numpy as np
from numpy.typing import NDArray

from tests.rtl.models.rounding import fraction

EIGHT = {"A_BITS": 8, "B_BITS": 8}
EXACT = np.outer(np.arange(256), np.arange(256))
_NONZERO = EXACT > 0


def relative_error(table: NDArray[np.int32]) -> NDArray[np.float64]:
    """Signed relative errors of an unsigned 8x8 table where the product is not 0, float64 [65025]."""
    return table[_NONZERO] / EXACT[_NONZERO] - 1


def sixteen_bit_fractions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x of operands 2^k (1 + x) that are uniform from 1 to 2^16 - 1, float64 [2000, 1] and [1, 2000]."""
    x, y = fraction(np.random.default_rng(0).integers(1, 2**16, size=(2, 2000)))
    return x[:, None], y[None, :]


def significand_error(approximate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed relative errors of what stands for (1 + x)(1 + y) at `sixteen_bit_fractions`, float64 [2000, 2000]."""
    x, y = sixteen_bit_fractions()
    return approximate / ((1 + x) * (1 + y)) - 1
