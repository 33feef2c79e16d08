"""Multipliers with sign logic or zero points, one pair of codes at a time, in Python's own integers and fractions.

Written from the rules in words, apart from agn_hw.mapping:

- sign magnitude: a port of n bits sees magnitudes up to 2^n - 1, which stand for the largest magnitude of the code; the
  product is negated when one of the codes, not both, is negative.
- two's complement: a port of n bits sees -2^(n-1) .. 2^(n-1) - 1, neither end exceeded.
- affine: a port sees code - lowest code, stretched; zero points are the patterns of code 0, and (X - zx)(W - zw) is
  expanded around the product that the multiplier really makes. Weights have one code more below than above.
- stretching: by the largest power of two that fits, or where the port is too narrow, by the fraction that just fits.
- rounding: half away from zero.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor

Product = Callable[[int, int], int]
"""What a multiplier makes of the numbers on its ports a and b: unsigned, or signed for signed multipliers."""


def factor(ends: list[tuple[int, int]]) -> Fraction:
    """The stretch for which |code| * factor <= room at every end (room, |code|)."""
    fits = min(Fraction(room, code) for room, code in ends if code)
    return Fraction(max(2**k for k in range(9) if 2**k <= fits)) if fits >= 1 else fits


def rounded(value: Fraction) -> int:
    magnitude = floor(abs(value) + Fraction(1, 2))
    return -magnitude if value < 0 else magnitude


def on_ports(product: Product, port: str, activation: int, weight: int) -> int:
    return product(activation, weight) if port == "a" else product(weight, activation)


def sign_magnitude(
    product: Product, bits: tuple[int, int], port: str, prescale: float, codes: tuple[int, int], largest: int
) -> tuple[Callable[[int, int], int], Fraction]:
    """What a pair of codes makes, and the gain. bits: of the activation's and of the weight's port."""
    tops = [2**n - 1 for n in bits]
    by_x = Fraction(prescale) * factor([(tops[0], max(-codes[0], codes[1]))])
    by_w = factor([(tops[1], largest)])

    def pair(x: int, w: int) -> int:
        made = on_ports(product, port, min(rounded(abs(x) * by_x), tops[0]), min(rounded(abs(w) * by_w), tops[1]))
        return -made if (x < 0) != (w < 0) else made

    return pair, by_x * by_w


def twos_complement(
    product: Product, bits: tuple[int, int], port: str, prescale: float, codes: tuple[int, int], largest: int
) -> tuple[Callable[[int, int], int], Fraction]:
    lowest, highest = [-(2 ** (n - 1)) for n in bits], [2 ** (n - 1) - 1 for n in bits]
    by_x = Fraction(prescale) * factor([(-lowest[0], -codes[0]), (highest[0], codes[1])])
    by_w = factor([(-lowest[1], largest), (highest[1], largest)])

    def pair(x: int, w: int) -> int:
        numbers = [rounded(x * by_x), rounded(w * by_w)]
        inside = [min(max(n, low), high) for n, low, high in zip(numbers, lowest, highest, strict=True)]
        return on_ports(product, port, *inside)

    return pair, by_x * by_w


def affine(
    product: Product, bits: tuple[int, int], port: str, codes: tuple[int, int], largest: int
) -> tuple[Callable[[int, int], int], Fraction]:
    by_x = factor([(2 ** bits[0] - 1, codes[1] - codes[0])])
    by_w = factor([(2 ** bits[1] - 1, 2 * largest + 1)])
    zero_x, zero_w = rounded(-codes[0] * by_x), rounded((largest + 1) * by_w)

    def pair(x: int, w: int) -> int:
        on_x, on_w = rounded((x - codes[0]) * by_x), rounded((w + largest + 1) * by_w)
        return on_ports(product, port, on_x, on_w) - zero_w * on_x - zero_x * on_w + zero_x * zero_w

    return pair, by_x * by_w
