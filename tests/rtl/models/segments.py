"""Multipliers that work on a few leading bits of each operand."""

from collections.abc import Mapping

import numpy as np

from tests.rtl.models.operands import IntArray, bit_length, signed_operands, unsigned_operands


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


FAMILIES = {
    "drum": drum,
    "drum_signed": drum_signed,
}
