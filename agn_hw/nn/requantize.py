"""From accumulator to 8-bit code in integers: the one formula that layers, sums, poolings and hardware share.

    y = clamp((((acc + bias) * m + (1 << (s - 1))) >> s), low, high)

m is a 15-bit positive integer and s a shift (together a number m / 2^s), per output channel. The operator
`agn_hw.kernels.autograd.requantize` computes it; here are its constants.
"""

from __future__ import annotations

from typing import Any

import torch

_MANTISSA_BITS = 15
_SHIFTS = (1, 40)


class _RoundThrough(torch.autograd.Function):
    """Floor or clamp in the forward pass, identity in the backward pass."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
        return rounded.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0], None


def round_half_up(value: torch.Tensor) -> torch.Tensor:
    """floor(value + 1/2) with a straight-through gradient."""
    rounded = torch.floor(value.detach() + 0.5)
    return _RoundThrough.apply(value, rounded) if torch.is_grad_enabled() and value.requires_grad else rounded


def multiplier_and_shift(ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers m in [2^14, 2^15) and s, as float64, with m / 2^s nearest to `ratio` > 0 (any shape).

    A ratio of 0 gives m = 0. A ratio too small for the largest shift gets a smaller m. Raises ValueError for ratios
    that are negative, not finite or 2^13 and more.
    """
    ratio = ratio.detach().double()
    if not torch.compiler.is_compiling():  # a compiled graph cannot look at values
        smallest, largest = torch.stack(torch.aminmax(ratio)).tolist()
        if not 0 <= smallest <= largest < 2**13:  # nor NaN
            raise ValueError(f"requantisation ratios must lie in [0, 2^13), got {smallest} to {largest}")
    _, exponent = torch.frexp(ratio)
    shift = torch.clamp(_MANTISSA_BITS - exponent, *_SHIFTS).double()
    mantissa = torch.floor(ratio * torch.exp2(shift) + 0.5)
    full = mantissa >= 2**_MANTISSA_BITS  # rounding went up to the next power of two
    return torch.where(full, mantissa / 2, mantissa), torch.where(full, shift - 1, shift)
