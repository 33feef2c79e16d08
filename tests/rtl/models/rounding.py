"""Multipliers that round their operands: RoBA and TOSAM."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.rtl.models.operands import IntArray, bit_length, signed_operands
from tests.rtl.models.signs import signed_or_unsigned


def nearest_power(value: IntArray) -> IntArray:
    """The power of two next to a value; the upper one in the middle, except for 3; 0 for 0."""
    lower = 1 << np.maximum(bit_length(value) - 1, 0)
    upper = 2 * lower
    nearest = np.where((upper - value <= value - lower) & (value != 3), upper, lower)
    return np.where(value == 0, 0, nearest)


def roba_product(a: IntArray, b: IntArray) -> IntArray:
    """The paper's approximation of a * b, which leaves out (p - a)(q - b) with p, q the nearest powers."""
    p, q = nearest_power(a), nearest_power(b)
    return p * b + q * a - p * q


def roba_magnitudes(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    return roba_product(a, b)


def roba(parameters: Mapping[str, int]) -> IntArray:
    """U-RoBA and S-RoBA, or AS-RoBA where COMPLEMENT says that ~x stands in for -x, before and behind."""
    if not parameters.get("COMPLEMENT", 0):
        return signed_or_unsigned(roba_magnitudes)(parameters)
    a, b = signed_operands(parameters)
    product = roba_product(np.where(a < 0, ~a, a), np.where(b < 0, ~b, b))
    return np.where((a < 0) != (b < 0), ~product, product)


def fraction(value: IntArray) -> NDArray[np.float64]:
    """x of value = 2^k (1 + x), float64; 0 for 0."""
    return np.where(value > 0, value / 2.0 ** np.maximum(bit_length(value) - 1, 0) - 1, 0)


def tosam_significand(x: NDArray[np.float64], y: NDArray[np.float64], h: int, t: int) -> NDArray[np.float64]:
    """(1 + x)(1 + y) as TOSAM(h, t) has it: the sum of t-bit fractions, the product of rounded h-bit ones."""

    def cut(part: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
        return np.floor(part * 2.0**bits) / 2.0**bits

    middle = 2.0 ** -(h + 1)
    return 1 + cut(x, t) + cut(y, t) + (cut(x, h) + middle) * (cut(y, h) + middle)


def tosam(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    power = 2.0 ** (np.maximum(bit_length(a) - 1, 0) + np.maximum(bit_length(b) - 1, 0))
    product = power * tosam_significand(fraction(a), fraction(b), parameters["H"], parameters["T"])
    return np.where((a == 0) | (b == 0), 0, np.floor(product)).astype(np.int64)


FAMILIES = {
    "roba": roba,
    "tosam": signed_or_unsigned(tosam),
}
