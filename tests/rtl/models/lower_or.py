"""Multipliers that add with lower-part OR adders (LOA)."""

from collections.abc import Mapping

import numpy as np

from tests.rtl.models.operands import IntArray
from tests.rtl.models.signs import signed_or_unsigned


def lower_or_sum(x: IntArray, y: IntArray, low: int) -> IntArray:
    """LOA: the `low` lowest bits are ORs; above, an exact sum whose carry-in is the AND of the highest of them."""
    carry = (x & y) >> (low - 1) & 1 if low else 0
    return ((x >> low) + (y >> low) + carry << low) | ((x | y) & ((1 << low) - 1))


def lower_or_array(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Row after row is added to what is there already, from the row's own column up."""
    total = np.zeros_like(a * b)
    for row in range(parameters["B_BITS"]):
        low = min(max(parameters["LOW"] - row, 0), parameters["A_BITS"])
        done = total & ((1 << row) - 1)
        total = (lower_or_sum(total >> row, a * (b >> row & 1), low) << row) | done
    return total


def lower_or_recursive(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Four exact products of halves and two additions that start at the lower one of the inner products."""
    a_half, b_half = parameters["A_BITS"] // 2, parameters["B_BITS"] // 2
    first = min(a_half, b_half)
    (a_high, a_low), (b_high, b_low) = np.divmod(a, 1 << a_half), np.divmod(b, 1 << b_half)
    outer = (a_high * b_high << (a_half + b_half)) + a_low * b_low
    low = parameters["LOW"]
    inner = lower_or_sum(a_high * b_low << (a_half - first), a_low * b_high << (b_half - first), low)
    return (lower_or_sum(outer >> first, inner, low) << first) | (outer & ((1 << first) - 1))


FAMILIES = {
    "lower_or_array": signed_or_unsigned(lower_or_array),
    "lower_or_recursive": signed_or_unsigned(lower_or_recursive),
}
