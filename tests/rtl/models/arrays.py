"""Multipliers that leave out or simplify parts of the partial-product matrix."""

from collections.abc import Mapping

import numpy as np

from tests.rtl.models.operands import IntArray, signed_operands, twos_complement, unsigned_operands


def exact_array(parameters: Mapping[str, int]) -> IntArray:
    a, b = unsigned_operands(parameters)
    return a * b


def truncated(parameters: Mapping[str, int]) -> IntArray:
    """Product less everything the omitted columns weigh, plus the OR of the last of them one column up."""
    a, b = unsigned_operands(parameters)
    drop = parameters["DROP"]
    product = a * b
    last = np.zeros_like(product)
    for i in range(parameters["A_BITS"]):
        for j in range(parameters["B_BITS"]):
            bit = (a >> i & 1) * (b >> j & 1)
            product -= (bit << (i + j)) * (i + j < drop)
            last |= bit * (i + j == drop - 1)
    return product + (last << drop) * parameters.get("COMPENSATE", 0)


def baugh_wooley(parameters: Mapping[str, int]) -> IntArray:
    """Signed product less what the omitted columns hold: product bits, complements, constants."""
    (a, b), (a_bits, b_bits) = signed_operands(parameters), (parameters["A_BITS"], parameters["B_BITS"])
    drop = parameters["DROP"]
    product = a * b
    for i in range(a_bits):
        for j in range(b_bits):
            if i + j < drop:
                bit = (a >> i & 1) * (b >> j & 1)
                product -= (1 - bit if (i == a_bits - 1) != (j == b_bits - 1) else bit) << (i + j)
    constants = (1 << (a_bits - 1)) + (1 << (b_bits - 1)) + (1 << (a_bits + b_bits - 1))
    return twos_complement(product - constants % (1 << drop), a_bits + b_bits)


def broken_array(parameters: Mapping[str, int]) -> IntArray:
    """The cells that are left: row HBL and below, column VBL and to the left."""
    a, b = unsigned_operands(parameters)
    total = np.zeros_like(a * b)
    for row in range(parameters["HBL"], parameters["B_BITS"]):
        for column in range(max(parameters["VBL"], row), row + parameters["A_BITS"]):
            total += ((a >> (column - row) & 1) * (b >> row & 1)) << column
    return total


def kulkarni(parameters: Mapping[str, int]) -> IntArray:
    """The paper's recursion: four products of halves, down to 2x2 blocks in which 3 * 3 = 7."""
    a, b = unsigned_operands(parameters)
    exact_column = parameters.get("EXACT_COLUMN", parameters["A_BITS"] + parameters["B_BITS"])

    def multiply(x: IntArray, y: IntArray, bits: int, column: int) -> IntArray:
        if bits == 2:
            return x * y - 2 * ((x == 3) & (y == 3)) * (column < exact_column)
        half = bits // 2
        (x_high, x_low), (y_high, y_low) = np.divmod(x, 1 << half), np.divmod(y, 1 << half)
        middle = multiply(x_high, y_low, half, column + half) + multiply(x_low, y_high, half, column + half)
        high, low = multiply(x_high, y_high, half, column + bits), multiply(x_low, y_low, half, column)
        return (high << bits) + (middle << half) + low

    return multiply(a, b, parameters["A_BITS"], 0)


FAMILIES = {
    "exact_array": exact_array,
    "truncated": truncated,
    "baugh_wooley": baugh_wooley,
    "broken_array": broken_array,
    "kulkarni": kulkarni,
}
