"""Multipliers that correct Mitchell's error: ALM-SOA, DR-ALM, MBM, REALM and the iterative one."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.rtl.models.operands import IntArray, bit_length
from tests.rtl.models.rounding import fraction
from tests.rtl.models.signs import signed_or_unsigned


def exponent(value: IntArray) -> IntArray:
    """k of value = 2^k (1 + x); 0 for 0."""
    return np.maximum(bit_length(value) - 1, 0)


def antilogarithm(logarithm: IntArray, bits: int) -> IntArray:
    """2^k (1 + x) without what stands behind the point, from k + x as an integer of `bits` bits behind the point."""
    k, x = np.divmod(logarithm, 1 << bits)
    return np.floor(2.0**k * (1 + x / 2.0**bits)).astype(np.int64)


def alm(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Mitchell's logarithms, added exactly but for the LOWER lowest bits: these are ones, one AND makes their carry."""
    bits = max(parameters["A_BITS"], parameters["B_BITS"]) - 1
    p, q = ((exponent(value) + fraction(value)) * 2.0**bits for value in (a, b))
    p, q, lower = p.astype(np.int64), q.astype(np.int64), parameters["LOWER"]
    carry = (p >> (lower - 1)) & (q >> (lower - 1)) & 1
    logarithm = ((p >> lower) + (q >> lower) + carry << lower) + (1 << lower) - 1
    return np.where((a == 0) | (b == 0), 0, antilogarithm(logarithm, bits))


def dynamic_range_alm(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """The paper's algorithm: x cut to T - 2 bits with a 1 behind them, and a 1 more in the sum of logarithms."""
    bits = parameters["T"] - 1

    def logarithm(value: IntArray) -> IntArray:
        cut = np.floor(fraction(value) * 2.0 ** (bits - 1)).astype(np.int64)
        return (exponent(value) << bits) + 2 * cut + 1

    product = antilogarithm(logarithm(a) + logarithm(b) + 1, bits)
    return np.where((a == 0) | (b == 0), 0, product)


@cache
def reduction_factors(segments: int) -> NDArray[np.float64]:
    """REALM's factors [segments, segments]: they make the mean relative error of each part 0; multiples of 1/64.

    The means are taken over 100 x 100 points of each part, enough for every rounding to come out right.
    """
    x = (np.arange(segments)[:, None] + (np.arange(100) + 0.5) / 100) / segments
    u, v = x[:, None, :, None], x[None, :, None, :]
    mitchell = np.where(u + v < 1, 1 + u + v, 2 * (u + v))
    inverse = 1 / ((1 + u) * (1 + v))
    missing = (1 - mitchell * inverse).mean(axis=(2, 3)) / inverse.mean(axis=(2, 3))
    return np.round(missing * 64) / 64


def realm_significand(x: NDArray[np.float64], y: NDArray[np.float64], segments: int) -> NDArray[np.float64]:
    """(1 + x)(1 + y) as REALM has it, MBM for one segment. Float64, broadcast."""
    factor = reduction_factors(segments)[(x * segments).astype(int), (y * segments).astype(int)]
    return np.where(x + y < 1, 1 + x + y + factor, 2 * (x + y + factor / 2))


def realm(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    kept = parameters["FRACTION"]

    def cut(value: IntArray, bits: int) -> NDArray[np.float64]:
        x = np.floor(fraction(value) * 2.0**kept).astype(np.int64)
        return (x if kept >= bits - 1 else x | 1) / 2.0**kept

    x, y = cut(a, parameters["A_BITS"]), cut(b, parameters["B_BITS"])
    product = 2.0 ** (exponent(a) + exponent(b)) * realm_significand(x, y, parameters["SEGMENTS"])
    largest = (1 << (parameters["A_BITS"] + parameters["B_BITS"])) - 1
    return np.where((a == 0) | (b == 0), 0, np.minimum(np.floor(product), largest)).astype(np.int64)


def ilm(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Sum of 2^(k1+k2) + (a - 2^k1) 2^k2 + (b - 2^k2) 2^k1, then the same of what remains of a and b, and so on."""
    total = np.zeros_like(a * b)
    for _ in range(parameters["CORRECTIONS"] + 1):
        p, q = (np.where(value > 0, 1 << exponent(value), 0) for value in (a, b))
        total += p * q + (a - p) * q + (b - q) * p
        a, b = a - p, b - q
    return total


FAMILIES = {
    "alm": signed_or_unsigned(alm),
    "dynamic_range_alm": signed_or_unsigned(dynamic_range_alm),
    "realm": signed_or_unsigned(realm),
    "ilm": signed_or_unsigned(ilm),
}
