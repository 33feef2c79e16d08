"""Multipliers that add logarithms."""

from collections.abc import Mapping

import numpy as np

from tests.rtl.models.operands import IntArray, bit_length, signed_operands, unsigned_operands


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


FAMILIES = {
    "mitchell": mitchell,
    "mitchell_signed": mitchell_signed,
}
