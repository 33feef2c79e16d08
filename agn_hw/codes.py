"""Codes: the whole numbers that the edges of an integer network carry, and the bytes that stand for them.

The real number is scale * code. There is no separate zero point: an affine edge with zero point z carries codes -z to
255 - z, so that code 0 is always the number 0, and always what padding feeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Codes(NamedTuple):
    """A range of codes, both ends included; low <= 0 <= high. Up to 256 of them have bytes of their own."""

    low: int
    high: int

    @property
    def signed(self) -> bool:
        """Whether a code can be negative."""
        return self.low < 0

    @property
    def largest(self) -> int:
        """The largest magnitude of a code."""
        return max(-self.low, self.high)

    def of_bytes(self) -> np.ndarray:
        """The code that each byte stands for, int64 [256]: byte = code & 255.

        Bytes that no code of this range has stand for the nearest end of the range.
        """
        numbers = np.arange(256)
        return np.clip(np.where(numbers > self.high, numbers - 256, numbers), self.low, self.high)


def unsigned(bits: int) -> Codes:
    """0 .. 2**bits - 1."""
    return Codes(0, 2**bits - 1)


def signed(bits: int) -> Codes:
    """-(2**(bits - 1) - 1) .. 2**(bits - 1) - 1: as many below zero as above, so that magnitudes fill a port."""
    return Codes(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)


def affine(bits: int, zero_point: int) -> Codes:
    """-zero_point .. 2**bits - 1 - zero_point."""
    return Codes(-zero_point, 2**bits - 1 - zero_point)


UNSIGNED, SIGNED, LOGITS = unsigned(8), signed(8), signed(16)
