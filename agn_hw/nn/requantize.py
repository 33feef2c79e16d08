"""From accumulator to code in integers: the one formula that layers, sums, products, poolings and hardware share.

    y = clamp((((acc + bias) * m + (1 << (s - 1))) >> s), low, high)

m is a 15-bit positive integer and s a shift (together a number m / 2^s), per output channel. The operator
`agn_hw.kernels.autograd.requantize` computes it; here are its constants.
"""

from __future__ import annotations

from typing import Any

import torch

_MANTISSA_BITS = 15
_SHIFTS = (1, 40)
_RANGE = "requantisation ratios must lie in [0, 2^13)"
_MEND = "where step sizes are learned, their learning rate is too high"


class _RoundThrough(torch.autograd.Function):
    """Another value in the forward pass, identity in the backward pass."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
        return rounded.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0], None


class _ScaledGradient(torch.autograd.Function):
    """The identity, with the gradient times a number."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, share: float) -> torch.Tensor:
        ctx.share = share
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0] * ctx.share, None


def with_gradient(value: torch.Tensor, share: float) -> torch.Tensor:
    """`value` itself; its gradient is multiplied by `share`."""
    return _ScaledGradient.apply(value, share) if torch.is_grad_enabled() and value.requires_grad else value


def straight_through(value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """`rounded`, with the gradient going to `value` as if they were one."""
    return _RoundThrough.apply(value, rounded) if torch.is_grad_enabled() and value.requires_grad else rounded


def round_half_up(value: torch.Tensor) -> torch.Tensor:
    """floor(value + 1/2) with a straight-through gradient."""
    return straight_through(value, torch.floor(value.detach() + 0.5))


@torch.library.custom_op("agn_hw::exponent", mutates_args=())
def _exponent(ratio: torch.Tensor) -> torch.Tensor:
    """frexp's exponent, float64; an operator of its own, for inductor makes C++ of frexp that does not compile."""
    return torch.frexp(ratio).exponent.double()


@_exponent.register_fake
def _(ratio: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(ratio, dtype=torch.float64)


def multiplier_and_shift(ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers m in [2^14, 2^15) and s, as float64, with m / 2^s nearest to `ratio` > 0 (any shape).

    A ratio of 0 gives m = 0. A ratio too small for the largest shift gets a smaller m. Raises ValueError for ratios
    that are negative, not finite or 2^13 and more. On a CUDA device, where looking would be waiting, their m is no
    number, and if the ratio has a gradient, hence may leave its range unseen, the device stops with an assertion.
    """
    learned, ratio = ratio.requires_grad, ratio.detach().double()
    if ratio.is_cuda:
        fits = (ratio >= 0) & (ratio < 2**13)
        if learned:
            torch._assert_async(fits.all(), f"{_RANGE}; {_MEND}")
        ratio = torch.where(fits, ratio, torch.nan)
    elif not torch.compiler.is_compiling():  # a compiled graph cannot look at values
        smallest, largest = torch.stack(torch.aminmax(ratio)).tolist()
        if not 0 <= smallest <= largest < 2**13:  # nor NaN
            raise ValueError(f"{_RANGE}, got {smallest} to {largest}; {_MEND}")
    exponent = _exponent(ratio) if torch.compiler.is_compiling() else torch.frexp(ratio).exponent.double()
    shift = torch.clamp(_MANTISSA_BITS - exponent, *_SHIFTS)
    mantissa = torch.floor(ratio * torch.exp2(shift) + 0.5)
    full = mantissa >= 2**_MANTISSA_BITS  # rounding went up to the next power of two
    return torch.where(full, mantissa / 2, mantissa), torch.where(full, shift - 1, shift)


def fixed_point(ratio: torch.Tensor) -> torch.Tensor:
    """m / 2^s for each ratio, float64; straight-through gradient, for learned step sizes."""
    m, s = multiplier_and_shift(ratio)
    return straight_through(ratio, m * torch.exp2(-s))


def common_fixed_point(ratios: torch.Tensor) -> torch.Tensor:
    """As `fixed_point` for ratios [N] that are added: all with the shift of the largest, so that sums are integers."""
    m, s = multiplier_and_shift(ratios)
    shift = s.min()
    return straight_through(ratios, torch.floor(m * torch.exp2(shift - s) + 0.5) * torch.exp2(-shift))
