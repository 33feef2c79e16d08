"""Multipliers that leave out or merge parts of the partial-product matrix, corrected or chosen by weight."""

from collections.abc import Mapping
from fractions import Fraction
from math import floor

import numpy as np

from tests.rtl.models.operands import IntArray
from tests.rtl.models.signs import signed_or_unsigned


def corrected_truncated(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Kept columns, with VARIABLE the bits of the last omitted one once more, and the expected rest; then cut."""
    drop = parameters["DROP"]
    cut = parameters.get("ROUND", drop)
    total = a * b
    lost = Fraction((1 << cut) - (1 << drop), 2)
    for i in range(parameters["A_BITS"]):
        for j in range(parameters["B_BITS"]):
            product = (a >> i & 1) * (b >> j & 1)
            if i + j < drop:
                total -= product << (i + j)
                lost += Fraction(1 << (i + j), 4)
            if parameters.get("VARIABLE", 0) and i + j == drop - 1:
                total += product << drop
                lost -= Fraction(1 << drop, 4)
    total += floor(lost / (1 << drop) + Fraction(1, 2)) << drop
    return total >> cut << cut


def perforated(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """a * b without the ROWS bits of b from FIRST on."""
    first, rows = parameters["FIRST"], parameters["ROWS"]
    return a * (b - ((b >> first) % (1 << rows) << first))


def logic_compression(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Sum over clusters of rows: below COLUMNS the OR of a column's bits, from there on all of them."""
    a_bits, b_bits = parameters["A_BITS"], parameters["B_BITS"]
    total = np.zeros_like(a * b)
    for top in range(0, b_bits, parameters["DEPTH"]):
        cluster = range(top, min(top + parameters["DEPTH"], b_bits))
        for column in range(a_bits + b_bits):
            bits = [(a >> (column - j) & 1) * (b >> j & 1) for j in cluster if 0 <= column - j < a_bits]
            count = sum(bits, np.zeros_like(total))
            total += (np.minimum(count, 1) if column < parameters["COLUMNS"] else count) << column
    return total


def generate_or(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """The product less what each group of up to GROUP generate bits loses when they are OR-ed."""
    paired, group = min(parameters["A_BITS"], parameters["B_BITS"]), parameters["GROUP"]
    total = a * b
    for column in range(min(parameters.get("COLUMNS", 2 * paired), 2 * paired)):
        pairs = [(column - n, n) for n in range(paired) if n < column - n < paired]
        bits = [(a >> m & 1) * (b >> n & 1) * (a >> n & 1) * (b >> m & 1) for m, n in pairs]
        for first in range(0, len(bits), group):
            count = sum(bits[first : first + group], np.zeros_like(total))
            total -= np.maximum(count - 1, 0) << column
    return total


def rehman(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Products of two-bit digits, where 1 * 1 = 0 and 1 * 3 = 3 * 1 = 2."""
    exact_column = parameters.get("EXACT_COLUMN", parameters["A_BITS"] + parameters["B_BITS"])
    total = np.zeros_like(a * b)
    for p in range(0, parameters["A_BITS"], 2):
        for q in range(0, parameters["B_BITS"], 2):
            x, y = a >> p & 3, b >> q & 3
            wrong = (x * y == 1) | (x * y == 3)
            total += x * y - wrong * (p + q < exact_column) << (p + q)
    return total


FAMILIES = {
    "corrected_truncated": signed_or_unsigned(corrected_truncated),
    "perforated": signed_or_unsigned(perforated),
    "logic_compression": signed_or_unsigned(logic_compression),
    "generate_or": signed_or_unsigned(generate_or),
    "rehman": signed_or_unsigned(rehman),
}
