"""Radix-4 Booth multiplication, row by row on the values of the digits."""

from collections.abc import Mapping
from fractions import Fraction
from math import floor

import numpy as np

from tests.rtl.models.operands import IntArray, signed_operands, twos_complement

SET = Fraction(3, 8)
"""How often a bit of the matrix is set for uniform operands."""


def encoded(encoder: int, digit: IntArray, above: IntArray, a: IntArray) -> IntArray:
    """A row before its n_i is added, all its bits from one encoder: digit * a, less 1 if `above` complements it."""
    if encoder == 2:
        return np.where(above == 1, -a - 1, a)
    kept = digit if encoder == 0 else np.where(abs(digit) == 2, 0, digit)
    return kept * a - (kept < 0)


def booth(parameters: Mapping[str, int]) -> IntArray:
    (a, b), (a_bits, b_bits) = signed_operands(parameters), (parameters["A_BITS"], parameters["B_BITS"])
    drop, approximate = parameters.get("DROP", 0), parameters.get("APPROXIMATE", 0)
    total = np.zeros_like(a * b)
    omitted = Fraction(0)
    for row in range((b_bits + 1) // 2):
        column = 2 * row
        below, middle, above = ((2 * b) >> (column + k) & 1 for k in range(3))
        digit = below + middle - 2 * above
        low = (1 << max(approximate - column, 0)) - 1 if approximate - column <= a_bits else -1
        rough = encoded(parameters.get("ENCODER", 1), digit, above, a) if low else 0
        bits = (encoded(0, digit, above, a) & ~low) | (rough & low)
        gone = max(drop - column, 0)
        negative = (digit < 0) * (gone == 0)
        total += ((bits >> gone << gone) + negative) << column
        omitted += SET * (((1 << gone) - 1) + (gone > 0)) * (1 << column)
    if parameters.get("CORRECTION", 0):
        total += floor(omitted / (1 << drop) + Fraction(1, 2)) << drop
    return twos_complement(total, a_bits + b_bits)


FAMILIES = {
    "booth": booth,
    "r4abm1": booth,
    "r4abm2": booth,
}
