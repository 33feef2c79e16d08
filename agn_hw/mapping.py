"""Mapping: how a layer's 8-bit numbers become operand patterns of a multiplier, and the table that results.

A layer knows activation codes x (0..255) and weight codes w (int8, as a byte). The mapping says which pattern each
puts on its port, on which port, and whether the product's sign is applied outside the multiplier. Remapped weights,
pre-scaled and clipped activations, narrow operands: all are another mapping, hence another folded 256x256 table,
and one gain that requantisation divides by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lut_gen.catalog import Multiplier

SIGN_MAGNITUDE, TWOS_COMPLEMENT = "sign_magnitude", "twos_complement"
WEIGHTS = np.arange(256) - (np.arange(256) >> 7) * 256
"""The weight that each byte stands for, int64 [256]: 0..127, -128..-1."""
LARGEST_WEIGHT = 127
LARGEST_ACTIVATION = 255


@dataclass(frozen=True)
class Mapping:
    """Operand patterns for each code.

    activation_codes: uint8 [256], the pattern of activation code x on `activation_port` ("a" or "b").
    weight_codes: uint8 [256], the pattern of weight byte w on the other port.
    weight_negative: bool [256], whether the sign logic negates the product of weight byte w.
    gain: what the table makes of the product 1: table8[x, w] is about gain * x * w.
    prescale: factor on activations before rounding and clipping (1: the whole range, 2: the upper half clips).
    remap: "none" or "gain" (weight patterns chosen by search/remap.py).
    """

    encoding: str
    activation_port: str
    activation_codes: np.ndarray
    weight_codes: np.ndarray
    weight_negative: np.ndarray
    gain: float
    prescale: float = 1.0
    remap: str = "none"

    def oriented(self, lut: np.ndarray) -> np.ndarray:
        """The multiplier's table with the activation's port first: a view, int32 [activation, weight patterns]."""
        return lut if self.activation_port == "a" else lut.T

    def table8(self, lut: np.ndarray) -> np.ndarray:
        """The folded table, int32 [256, 256] by activation code and weight byte: derived, never stored as truth."""
        folded = self.oriented(lut)[np.ix_(self.activation_codes, self.weight_codes)]
        return np.where(self.weight_negative, -folded, folded).astype(np.int32)

    def with_weights(self, codes: np.ndarray, gain: float) -> Mapping:
        """The same mapping with other weight patterns (uint8 [256]) and the gain that belongs to them."""
        return replace(self, weight_codes=codes.astype(np.uint8), gain=gain, remap="gain")


def default(multiplier: Multiplier, activation_port: str = "a", prescale: float = 1.0) -> Mapping:
    """The plain mapping of a multiplier: operands use the ports' whole range.

    Unsigned multipliers take sign and magnitude: an 8-bit weight port sees 2 * |w| (0..254), a narrower one |w|
    rounded to its own levels. Signed multipliers take two's complement; activations use the positive half.
    """
    a_bits, w_bits = int(multiplier.a_bits), int(multiplier.b_bits)
    if activation_port == "b":
        a_bits, w_bits = w_bits, a_bits
    signed = bool(multiplier.signed)
    top_x = 2 ** (a_bits - signed) - 1
    top_w = 2 ** (w_bits - signed) - 1
    if not signed and w_bits == 8:
        top_w = 2 * LARGEST_WEIGHT
    per_x, per_w = prescale * top_x / LARGEST_ACTIVATION, top_w / LARGEST_WEIGHT
    x = np.minimum(np.floor(np.arange(256) * per_x + 0.5), top_x).astype(np.int64)
    magnitude = np.minimum(np.floor(np.abs(WEIGHTS) * per_w + 0.5), top_w).astype(np.int64)
    if signed:
        weights, negative = (
            np.where(WEIGHTS < 0, -magnitude, magnitude) & (2**w_bits - 1),
            np.zeros(256, bool),
        )
    else:
        weights, negative = magnitude, WEIGHTS < 0
    return Mapping(
        encoding=TWOS_COMPLEMENT if signed else SIGN_MAGNITUDE,
        activation_port=activation_port,
        activation_codes=x.astype(np.uint8),
        weight_codes=weights.astype(np.uint8),
        weight_negative=negative,
        gain=per_x * per_w,
        prescale=prescale,
    )
