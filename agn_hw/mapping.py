"""Mapping: how a layer's codes become operand patterns of a multiplier, and the table that results.

A layer knows activation codes x (a range of up to 256 whole numbers, codes.py) and weight codes w; both come as bytes.
The mapping says which pattern each puts on its port, on which port, and what is done to the product outside the
multiplier: a sign, or the terms of zero points. Remapped weights, pre-scaled and clipped activations, narrow operands:
all are another mapping, hence another folded 256x256 table, and one gain that requantisation divides by.

    sign magnitude     unsigned multipliers; |x| and |w| on the ports, the product negated where one of them is negative
    two's complement   signed multipliers; activations without a sign use the positive half
    affine             unsigned multipliers; x and w shifted by zero points, whose terms are taken out of the product
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from agn_hw.codes import UNSIGNED, Codes
from lut_gen.catalog import Multiplier
from lut_gen.errors import AgnError

SIGN_MAGNITUDE, TWOS_COMPLEMENT, AFFINE = "sign_magnitude", "twos_complement", "affine"
WEIGHTS = np.arange(256) - (np.arange(256) >> 7) * 256
"""The weight that each byte stands for, int64 [256]: 0..127, -128..-1."""
LARGEST_WEIGHT = 127


class MappingError(AgnError):
    """A multiplier cannot take these operands."""


@dataclass(frozen=True)
class Mapping:
    """Operand patterns for each code; arrays are by byte, code & 255.

    activation_codes: uint8 [256] (wider for ports of more than 8 bits), the pattern of activation byte x on
    `activation_port` ("a" or "b"); weight_codes: the same of weight byte w on the other port.
    activation_negative, weight_negative: bool [256], whether the sign logic takes this operand as negative.
    gain: what the table makes of the product 1: table8[x, w] is about gain * x * w.
    prescale: factor on activations before rounding and clipping (1: the whole range, 2: the upper half clips).
    remap: "none" or "gain" (weight patterns chosen by search/pairs/remap.py).
    codes, largest_weight: the activation codes, and the weight codes -largest_weight..largest_weight, it was made for;
    bytes of other numbers stand for the nearest of them.
    activation_zero, weight_zero: patterns of the number 0 where the encoding is affine, else 0.
    """

    encoding: str
    activation_port: str
    activation_codes: np.ndarray
    weight_codes: np.ndarray
    weight_negative: np.ndarray
    gain: float
    prescale: float = 1.0
    remap: str = "none"
    codes: Codes = UNSIGNED
    largest_weight: int = LARGEST_WEIGHT
    activation_zero: int = 0
    weight_zero: int = 0
    activation_negative: np.ndarray = field(default_factory=lambda: np.zeros(256, bool))

    def oriented(self, lut: np.ndarray) -> np.ndarray:
        """The multiplier's table with the activation's port first: a view, int32 [activation, weight patterns]."""
        return lut if self.activation_port == "a" else lut.T

    def products(self, lut: np.ndarray) -> np.ndarray:
        """What activation byte and weight *pattern* make, int64 [256, weight patterns]; the weight's sign is left out.

        With zero points: T[X, W] - weight_zero * X - activation_zero * W + activation_zero * weight_zero.
        """
        folded = self.oriented(lut)[self.activation_codes].astype(np.int64)
        folded[self.activation_negative] *= -1
        if self.activation_zero or self.weight_zero:
            x, w = self.activation_codes.astype(np.int64)[:, None], np.arange(folded.shape[1])
            folded += self.activation_zero * self.weight_zero - self.weight_zero * x - self.activation_zero * w
        return folded

    def table8(self, lut: np.ndarray) -> np.ndarray:
        """The folded table, int32 [256, 256] by activation byte and weight byte: derived, never stored as truth."""
        folded = self.products(lut)[:, self.weight_codes]
        return np.where(self.weight_negative, -folded, folded).astype(np.int32)

    def with_weights(self, codes: np.ndarray, gain: float) -> Mapping:
        """The same mapping with other weight patterns (whole numbers [256]) and the gain that belongs to them."""
        return replace(self, weight_codes=codes.astype(self.weight_codes.dtype), gain=gain, remap="gain")


def default(
    multiplier: Multiplier,
    activation_port: str = "a",
    prescale: float = 1.0,
    codes: Codes = UNSIGNED,
    largest_weight: int = LARGEST_WEIGHT,
) -> Mapping:
    """The plain mapping of a multiplier: sign magnitude of an unsigned, two's complement of a signed one.

    Operands use as much of their ports as they can. Where a port has room, codes are multiplied by the largest power of
    two that fits (a shift), so that an exact multiplier stays exact: an unsigned 8-bit port sees weights -127..127 as
    2 * |w|, 4-bit weights (-7..7) as 32 * |w|. A port that is too narrow sees the codes rounded to its own levels.
    Activation codes -128..127 fill an unsigned 8-bit port with prescale=2 only, where -128 counts as -127.5;
    -127..127 do so by themselves. Raises MappingError for ports that do not exist or hold no number.
    """
    x_bits, w_bits = _ports(multiplier, activation_port)
    signed = bool(multiplier.signed)
    weights = Codes(-largest_weight, largest_weight)
    x, per_x = _numbers(codes, x_bits, signed, prescale)
    w, per_w = _numbers(weights, w_bits, signed)
    return Mapping(
        encoding=TWOS_COMPLEMENT if signed else SIGN_MAGNITUDE,
        activation_port=activation_port,
        activation_codes=_patterns(x, x_bits, signed),
        weight_codes=_patterns(w, w_bits, signed),
        activation_negative=(codes.of_bytes() < 0) & (not signed),
        weight_negative=(weights.of_bytes() < 0) & (not signed),
        gain=per_x * per_w,
        prescale=prescale,
        codes=codes,
        largest_weight=largest_weight,
    )


def affine(
    multiplier: Multiplier,
    activation_port: str = "a",
    codes: Codes = UNSIGNED,
    largest_weight: int = LARGEST_WEIGHT,
) -> Mapping:
    """Both operands shifted to be non-negative, for comparison: 8-bit weights as w + 128 on an 8-bit port.

    The usual way of accelerators that have unsigned multipliers (Jacob et al., "Quantization and training of neural
    networks for efficient integer-arithmetic-only inference", CVPR 2018); the zero points' terms are exact here. Small
    weights become large operands, so that most approximate multipliers are at their worst. Raises MappingError for
    signed multipliers and ports that do not exist.
    """
    if multiplier.signed:
        raise MappingError("an unsigned multiplier", f"{multiplier.name} is signed", "take mapping.default")
    x_bits, w_bits = _ports(multiplier, activation_port)
    x, x_zero, per_x = _shifted(codes, x_bits)
    w, w_zero, per_w = _shifted(Codes(-largest_weight - 1, largest_weight), w_bits)
    return Mapping(
        encoding=AFFINE,
        activation_port=activation_port,
        activation_codes=_patterns(x, x_bits, False),
        weight_codes=_patterns(w, w_bits, False),
        weight_negative=np.zeros(256, bool),
        gain=per_x * per_w,
        codes=codes,
        largest_weight=largest_weight,
        activation_zero=x_zero,
        weight_zero=w_zero,
    )


def _ports(multiplier: Multiplier, activation_port: str) -> tuple[int, int]:
    """Bits of the activation's and of the weight's port."""
    a_bits, b_bits = int(multiplier.a_bits), int(multiplier.b_bits)
    if activation_port not in ("a", "b"):
        raise MappingError("the activation's port, a or b", f"{activation_port!r} came", "choose one of the two")
    return (a_bits, b_bits) if activation_port == "a" else (b_bits, a_bits)


def _numbers(codes: Codes, bits: int, signed: bool, prescale: float = 1.0) -> tuple[np.ndarray, float]:
    """The number on a port for each byte, int64 [256], rounded half away from zero; and what code 1 makes of it."""
    most = 2 ** (bits - signed) - 1
    least = -most - signed  # of magnitudes, the sign is the sign logic's
    sides = [(number, code) for number, code in ((most, codes.high), (-least, -codes.low)) if code]
    number, code = min(sides, key=lambda side: side[0] / side[1])
    if number < 1:
        raise MappingError("ports that hold a number", f"a signed port of {bits} bit came", "take a wider multiplier")
    reach = prescale * _whole(number, code)
    values = codes.of_bytes()
    rounded = np.sign(values) * np.floor(np.abs(values) * reach / code + 0.5)
    return np.clip(rounded, least, most).astype(np.int64), reach / code


def _shifted(codes: Codes, bits: int) -> tuple[np.ndarray, int, float]:
    """Patterns for each byte, int64 [256], so that the lowest code is 0; the pattern of code 0; patterns a code."""
    span = codes.high - codes.low
    reach = _whole(2**bits - 1, span)
    patterns = np.floor((codes.of_bytes() - codes.low) * reach / span + 0.5).astype(np.int64)
    return patterns, int(patterns[0]), reach / span


def _whole(number: int, code: int) -> int:
    """`code` times the largest power of two up to `number`; `number` itself where even `code` is more.

    A shift costs no hardware, and requantisation undoes it exactly.
    """
    return code << ((number // code).bit_length() - 1) if number >= code else number


def _patterns(numbers: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Bit patterns of numbers, or of their magnitudes."""
    patterns = numbers & (2**bits - 1) if signed else np.abs(numbers)
    return patterns.astype(np.min_scalar_type(2**bits - 1))
