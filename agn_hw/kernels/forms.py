"""What every back end is told besides the operands: a convolution's geometry, and how sums become codes."""

from __future__ import annotations

from typing import NamedTuple

import torch

DEVICES = ("cpu", "cuda")
"""Types of devices that the operators work on."""


class Geometry(NamedTuple):
    """Of a convolution: two numbers each, rows first; `padding_code` is the activation byte around the image."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    padding_code: int = 0

    def output_size(self, image: torch.Size, kernel: torch.Size) -> tuple[int, int]:
        """Height and width of the output, from [.., H, W] and [.., kh, kw]."""
        sizes = [
            (image[i - 2] + 2 * self.padding[i] - self.dilation[i] * (kernel[i - 2] - 1) - 1) // self.stride[i] + 1
            for i in (0, 1)
        ]
        return sizes[0], sizes[1]


def check_sums(depth: int, low: int, high: int) -> None:
    """Raises RuntimeError if `depth` numbers within low..high could add up to more than int32 holds."""
    if depth * high >= 2**31 or depth * low < -(2**31):
        raise RuntimeError(
            f"wanted sums within int32, but K = {depth} products of up to {max(high, -low)} could leave it; "
            "split K and add the parts in int64"
        )


class Finish(NamedTuple):
    """Requantisation fused into a product: clamp(floor((sum + bias) * factor + 1/2), low, high) as float32.

    bias, factor: float64 [N], whole numbers and m / 2^s (see agn_hw.nn.requantize).
    """

    bias: torch.Tensor
    factor: torch.Tensor
    low: int
    high: int
