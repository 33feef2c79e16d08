"""From a product of unsigned operands to the table of a multiplier with the parameter SIGNED."""

from collections.abc import Callable, Mapping

import numpy as np

from tests.rtl.models.operands import IntArray, signed_operands, twos_complement, unsigned_operands

Multiply = Callable[[IntArray, IntArray, Mapping[str, int]], IntArray]
"""Product of unsigned operands a [2**A_BITS, 1] and b [1, 2**B_BITS], which broadcast."""


def signed_or_unsigned(multiply: Multiply) -> Callable[[Mapping[str, int]], IntArray]:
    """The table function of a family: with SIGNED = 1 magnitudes are multiplied and get their sign back.

    A product that does not fit keeps its lowest A_BITS + B_BITS bits.
    """

    def table(parameters: Mapping[str, int]) -> IntArray:
        bits = parameters["A_BITS"] + parameters["B_BITS"]
        if parameters.get("SIGNED", 0):
            a, b = signed_operands(parameters)
            sign = np.where((a < 0) != (b < 0), -1, 1)
            return twos_complement(sign * multiply(abs(a), abs(b), parameters), bits)
        a, b = unsigned_operands(parameters)
        return multiply(a, b, parameters) % (1 << bits)

    return table
