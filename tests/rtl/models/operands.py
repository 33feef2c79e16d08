"""Operand values by raw bit pattern, and small integer helpers of the models."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


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


def bit_length(value: IntArray) -> IntArray:
    """Position of the leading one plus 1; 0 for 0."""
    return np.frexp(value.astype(np.float64))[1].astype(np.int64)
