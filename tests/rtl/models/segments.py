"""Multipliers that work on a few leading bits of each operand."""

from collections.abc import Mapping

import numpy as np

from tests.rtl.models.operands import IntArray, bit_length, signed_operands, unsigned_operands
from tests.rtl.models.signs import signed_or_unsigned


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


def dynamic_segment(parameters: Mapping[str, int]) -> IntArray:
    """DRUM's segments, but zeros stand below them and nothing is set to 1."""
    a, b = unsigned_operands(parameters)
    a_cut, b_cut = (np.maximum(bit_length(value) - parameters["K"], 0) for value in (a, b))
    return (a >> a_cut << a_cut) * (b >> b_cut << b_cut)


def static_operand(value: IntArray, bits: int, k: int, middle: int) -> IntArray:
    """What a static segment multiplier takes of `bits` wide values: the lowest segment that holds the leading one."""
    places = [place for place in (0, middle, bits - k) if place in (0, bits - k) or 0 < place < bits - k]
    taken = np.zeros_like(value)
    for place in sorted(places, reverse=True):
        fits = value < 1 << (place + k)
        taken = np.where(fits, value - value % (1 << place), taken)
    return taken


def static_segment(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    k, middle = parameters["K"], parameters.get("MIDDLE", 0)
    a_taken = static_operand(a, parameters["A_BITS"], k, middle)
    return a_taken * static_operand(b, parameters["B_BITS"], k, middle)


FAMILIES = {
    "drum": drum,
    "drum_signed": drum_signed,
    "dynamic_segment": dynamic_segment,
    "static_segment": signed_or_unsigned(static_segment),
}
