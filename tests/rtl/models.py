"""What each multiplier family computes, written from the papers' definitions and not from the Verilog.

`table(family, parameters)` is the whole product table: int32 [2**A_BITS, 2**B_BITS], indexed by the raw bit
patterns on the ports, so signed operands come as 0 ... 127, -128 ... -1.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def table(family: str, parameters: Mapping[str, int]) -> NDArray[np.int32]:
    """Product table of a family's multiplier, int32 [2**A_BITS, 2**B_BITS]; KeyError for an unknown one."""
    return FAMILIES[family](dict(parameters)).astype(np.int32)


def unsigned_operands(parameters: Mapping[str, int]) -> tuple[IntArray, IntArray]:
    """All patterns of `a` as a column [2**A_BITS, 1] and of `b` as a row [1, 2**B_BITS]."""
    a = np.arange(1 << parameters["A_BITS"], dtype=np.int64)
    b = np.arange(1 << parameters["B_BITS"], dtype=np.int64)
    return a[:, None], b[None, :]


def twos_complement(pattern: IntArray, bits: int) -> IntArray:
    """Value of a bit pattern of a signed port."""
    pattern = pattern % (1 << bits)
    return pattern - (pattern >> (bits - 1)) * (1 << bits)


def signed_operands(parameters: Mapping[str, int]) -> tuple[IntArray, IntArray]:
    """As `unsigned_operands`, but the values which the patterns have in two's complement."""
    a, b = unsigned_operands(parameters)
    return twos_complement(a, parameters["A_BITS"]), twos_complement(b, parameters["B_BITS"])


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


def drum_operand(value: IntArray, k: int) -> IntArray:
    """What DRUM-k multiplies instead of `value`: its k leading bits, the last of them set, zeros below."""
    cut = np.maximum(bit_length(value) - k, 0)
    return np.where(cut > 0, (value >> cut | 1) << cut, value)


def drum(parameters: Mapping[str, int]) -> IntArray:
    a, b = unsigned_operands(parameters)
    return drum_operand(a, parameters["K"]) * drum_operand(b, parameters["K"])


def drum_signed(parameters: Mapping[str, int]) -> IntArray:
    a, b = signed_operands(parameters)
    return np.sign(a * b) * drum_operand(abs(a), parameters["K"]) * drum_operand(abs(b), parameters["K"])


def mitchell_product(a: IntArray, b: IntArray, fraction: int) -> IntArray:
    """Mitchell's equations on real numbers; the fractions are cut to `fraction` bits. Exact in float64."""
    k1, k2 = np.maximum(bit_length(a) - 1, 0), np.maximum(bit_length(b) - 1, 0)
    x1 = np.floor((a / 2.0**k1 - 1) * 2.0**fraction) / 2.0**fraction
    x2 = np.floor((b / 2.0**k2 - 1) * 2.0**fraction) / 2.0**fraction
    no_carry = 2.0 ** (k1 + k2) * (1 + x1 + x2)
    carry = 2.0 ** (k1 + k2 + 1) * (x1 + x2)
    product = np.where((a == 0) | (b == 0), 0.0, np.where(x1 + x2 < 1, no_carry, carry))
    return product.astype(np.int64)


def mitchell(parameters: Mapping[str, int]) -> IntArray:
    a, b = unsigned_operands(parameters)
    return mitchell_product(a, b, parameters["FRACTION"])


def mitchell_signed(parameters: Mapping[str, int]) -> IntArray:
    a, b = signed_operands(parameters)
    return np.sign(a * b) * mitchell_product(abs(a), abs(b), parameters["FRACTION"])


def bit_length(value: IntArray) -> IntArray:
    """Position of the leading one plus 1; 0 for 0."""
    return np.frexp(value.astype(np.float64))[1].astype(np.int64)


FAMILIES: dict[str, Callable[[Mapping[str, int]], IntArray]] = {
    "exact_array": exact_array,
    "baugh_wooley": baugh_wooley,
    "truncated": truncated,
    "broken_array": broken_array,
    "kulkarni": kulkarni,
    "drum": drum,
    "drum_signed": drum_signed,
    "mitchell": mitchell,
    "mitchell_signed": mitchell_signed,
}
