"""Sums and codes rescaled to codes, with gradients: requantisation, and the sum of two branches.

Rounding counts as the identity; there is no gradient where a code lies at a limit of its range. The rescaling factors
have gradients too, so that step sizes can be learned.
"""

from __future__ import annotations

from typing import Any

import torch

from agn_hw.kernels import backend, cuda, native, portable
from agn_hw.kernels.cuda import finish as ending
from agn_hw.kernels.forms import DEVICES, Finish

Gradients = tuple[Any, ...]  # one for each argument; None where there is none


def _check_limits(low: int, high: int) -> None:
    fits = -(2**15) <= low <= high < 2**15
    torch._check(fits, lambda: f"codes must lie within 16 bits, got limits {low} and {high}")


def check_finish(channels: int, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int) -> None:
    """Raises RuntimeError unless bias and factor are float64 [channels] and the limits lie within 16 bits."""
    _check_limits(low, high)
    for given in (bias, factor):
        torch._check(
            given.dtype == torch.float64 and given.shape == (channels,),
            lambda given=given: f"bias and factor must be float64 [{channels}], got {given.dtype} {given.shape}",
        )


def inside(grad: torch.Tensor, codes: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """The gradient where the codes lie inside their limits, 0 elsewhere."""
    return torch.ops.aten.hardtanh_backward(grad, codes, low, high)


@torch.library.custom_op("agn_hw::requantize", mutates_args=(), device_types=DEVICES)
def requantize(
    sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int
) -> torch.Tensor:
    """Codes float32 from sums [B, N, ...], whole numbers in int32, float32 or float64: see `Finish`.

    Gradients: of sums, bias and factor.
    """
    finish = Finish(bias, factor, low, high)
    torch._check(sums.dim() > 1, lambda: f"sums must be [B, N, ...], got {sums.shape}")
    check_finish(sums.shape[1], bias, factor, low, high)
    if cuda.serves(sums):
        return ending.requantize(sums, finish)
    if sums.dtype in (torch.float32, torch.int32) and backend.has_kernels(sums):
        return native.requantize(sums, finish)
    return portable.requantize(sums, finish)


@requantize.register_fake
def _(sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int) -> torch.Tensor:
    return torch.empty_like(sums, dtype=torch.float32, memory_format=torch.contiguous_format)


def _save_requantize(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    sums, bias, factor, *ctx.limits = inputs
    ctx.dtype = sums.dtype
    ctx.save_for_backward(bias, factor, output, *([sums] if ctx.needs_input_grad[2] else []))


def _requantize_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    bias, factor, y, *sums = ctx.saved_tensors
    axes, shape = (0, *range(2, y.dim())), (1, -1) + (1,) * (y.dim() - 2)
    grad = inside(grad, y, *ctx.limits)
    total = grad.sum(axes).to(factor.dtype)
    to_factor = None
    if sums:
        to_factor = (grad * sums[0]).sum(axes, dtype=factor.dtype) + total * bias
    to_sums = (grad * factor.to(grad.dtype).reshape(shape)).to(ctx.dtype) if ctx.needs_input_grad[0] else None
    return to_sums, total * factor, to_factor, None, None


requantize.register_autograd(_requantize_backward, setup_context=_save_requantize)


@torch.library.custom_op("agn_hw::add_codes", mutates_args=(), device_types=DEVICES)
def add_codes(
    left: torch.Tensor, right: torch.Tensor, factors: torch.Tensor, low: int, high: int
) -> torch.Tensor:
    """clamp(floor(left * factors[0] + right * factors[1] + 1/2), low, high), codes float32 of one shape.

    factors: float64 [2]. Gradients: of left, right and factors.
    """
    torch._check(
        left.shape == right.shape and left.dtype == right.dtype == torch.float32,
        lambda: f"wanted float32 of one shape, got {left.dtype} {left.shape} and {right.dtype} {right.shape}",
    )
    torch._check(
        factors.dtype == torch.float64 and factors.shape == (2,),
        lambda: f"factors must be float64 [2], got {factors.dtype} {factors.shape}",
    )
    _check_limits(low, high)
    if cuda.serves(left):
        return ending.add_codes(left, right, factors, low, high)
    if left.is_cuda:
        return portable.add_codes(left, right, factors[0], factors[1], low, high)
    first, second = factors.tolist()
    add = native.add_codes if backend.compiled() else portable.add_codes
    return add(left, right, first, second, low, high)


@add_codes.register_fake
def _(left: torch.Tensor, right: torch.Tensor, factors: torch.Tensor, low: int, high: int) -> torch.Tensor:
    return torch.empty_like(left, memory_format=torch.contiguous_format)


def _save_add_codes(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    left, right, factors, *ctx.limits = inputs
    ctx.save_for_backward(factors, output, *([left, right] if ctx.needs_input_grad[2] else []))


def _add_codes_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    factors, y, *branches = ctx.saved_tensors
    grad = inside(grad, y, *ctx.limits)
    first, second = factors.to(grad.dtype).unbind()
    to_factors = None
    if branches:
        to_factors = torch.stack([(grad * branch).sum(dtype=factors.dtype) for branch in branches])
    return grad * first, grad * second, to_factors, None, None


add_codes.register_autograd(_add_codes_backward, setup_context=_save_add_codes)
