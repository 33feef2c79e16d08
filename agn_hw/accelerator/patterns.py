"""What an array gets of a layer: its products as matrices of operand patterns, and back from sums to accumulators.

A convolution is a matrix product for each group: one row a receptive field (padding included, it goes through the
multiplier too), one column a tap, taps in the order of the weights (channel, kernel row, kernel column).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from agn_hw.kernels import autograd
from agn_hw.mapping import TWOS_COMPLEMENT, Mapping
from agn_hw.nn.layers import TableLayer
from lut_gen.element.operand_streams import Operands


@dataclass(frozen=True)
class GroupPatterns(Operands):
    """One matrix product: unsigned patterns x [M, K], w [N, K] on the multiplier's ports, and what the sign logic takes
    as negative (None for two's complement patterns, which need no sign logic)."""

    @property
    def operands(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        """x, w, x_negative, w_negative."""
        return self.x, self.w, self.x_negative, self.w_negative

    def split(self, images: int) -> list[GroupPatterns]:
        """The product of each image by itself."""
        parts = np.split(self.x, images)
        signs = [None] * images if self.x_negative is None else np.split(self.x_negative, images)
        return [replace(self, x=x, x_negative=negative) for x, negative in zip(parts, signs, strict=True)]

    def products(self, lut: np.ndarray, row: int, column: int) -> np.ndarray:
        """Of row `row` of x and row `column` of w, int64 [K]; lut: the multiplier's, the activation's port first."""
        found = lut[self.x[row], self.w[column]].astype(np.int64)
        if self.x_negative is None or self.w_negative is None:
            return found
        return np.where(self.x_negative[row] ^ self.w_negative[column], -found, found)

    def correction(self, mapping: Mapping) -> np.ndarray | int:
        """What the host adds to the array's sums, int64 [M, N]: the terms of an affine encoding's zero points."""
        if not (mapping.activation_zero or mapping.weight_zero):
            return 0
        x, w = (patterns.sum(axis=1, dtype=np.int64) for patterns in (self.x, self.w))
        constant = self.x.shape[1] * mapping.activation_zero * mapping.weight_zero
        return constant - mapping.weight_zero * x[:, None] - mapping.activation_zero * w[None, :]


@torch.no_grad()
def of_layer(layer: TableLayer, mapping: Mapping, codes: torch.Tensor) -> Iterator[GroupPatterns]:
    """The patterns of each group's product for these input codes."""
    weights = autograd.to_bytes(layer.weight_codes()).flatten(1).unflatten(0, (layer.groups, -1)).numpy()
    signs = mapping.encoding != TWOS_COMPLEMENT
    for fields, own in zip(layer.windows(autograd.to_bytes(layer.padded(codes))), weights, strict=True):
        x = fields.numpy()
        yield GroupPatterns(
            mapping.activation_codes[x],
            mapping.weight_codes[own],
            mapping.activation_negative[x] if signs else None,
            mapping.weight_negative[own] if signs else None,
        )


def accumulator(layer: TableLayer, codes: torch.Tensor, sums: list[np.ndarray]) -> torch.Tensor:
    """The groups' sums [M, N / groups] as the layer's accumulator, int32, shaped as its output."""
    whole = torch.from_numpy(np.concatenate(sums, axis=1).astype(np.int32))  # [M, N]
    return layer.placed(whole, layer.padded(codes))
