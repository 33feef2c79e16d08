"""Operators on float-valued codes, with autograd: product and requantisation in one, and sums of branches.

Codes are whole numbers in float32: activations 0..255, or -128..127 taken as bytes; weights -128..127. The gradients
are straight-through: as if each table entry were gain * x * w and nothing were rounded (Bengio et al., "Estimating or
propagating gradients through stochastic neurons", 2013), and zero where a code lies at a limit of its range.
"""

from __future__ import annotations

from typing import Any

import torch

from agn_hw.kernels import backend, native, portable
from agn_hw.kernels.forms import Finish, Geometry
from agn_hw.kernels.op import check_images, check_matrices, geometry_of

Gradients = tuple[Any, ...]  # one for each argument; None where there is none


def to_bytes(codes: torch.Tensor) -> torch.Tensor:
    """Whole numbers -128..255 as their byte pattern, uint8."""
    return codes.to(torch.int16).to(torch.uint8)


def _check_limits(low: int, high: int) -> None:
    fits = -(2**15) <= low <= high < 2**15
    torch._check(fits, lambda: f"codes must lie within 16 bits, got limits {low} and {high}")


def _check_finish(channels: int, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int) -> None:
    _check_limits(low, high)
    for given in (bias, factor):
        torch._check(
            given.dtype == torch.float64 and given.shape == (channels,),
            lambda given=given: f"bias and factor must be float64 [{channels}], got {given.dtype} {given.shape}",
        )


def _prepared(w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], geometry: Geometry | None) -> Any:
    """What a layer kept: all that `prepare` makes, the table's split alone, or nothing."""
    if len(kept) < 2:
        return backend.prepare(to_bytes(w), lut, geometry, kept)
    torch._check(
        kept[0].shape == w.shape,
        lambda: f"weights of {kept[0].shape} were prepared, but w has {w.shape}; prepare again",
    )
    backend.check_prepared(kept, geometry)
    return kept


def _through(grad: torch.Tensor, y: torch.Tensor, low: int, high: int) -> torch.Tensor:
    return torch.ops.aten.hardtanh_backward(grad, y, low, high)


@torch.library.custom_op("agn_hw::linear", mutates_args=(), device_types="cpu")
def linear(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: float,
    bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
) -> torch.Tensor:
    """A linear layer on codes: x [M, K], w [N, K] -> codes [M, N], requantised by bias and factor float64 [N].

    kept: what `prepare` or `split_table` made for these weights and this table, or an empty list.
    """
    check_matrices(x, w)
    backend.check_lut(lut)
    _check_finish(len(w), bias, factor, low, high)
    return backend.matmul(to_bytes(x), _prepared(w, lut, kept, None), Finish(bias, factor, low, high))


@linear.register_fake
def _(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: float,
    bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
) -> torch.Tensor:
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.float32)


def _save_linear(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    x, w, _, kept, ctx.gain, _, factor, *ctx.limits = inputs
    ctx.kept = [None] * len(kept)
    ctx.save_for_backward(x, w, factor, output)


def _linear_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    x, w, factor, y = ctx.saved_tensors
    grad = _through(grad, y, *ctx.limits) * factor.to(grad.dtype)
    to_bias = grad.sum(0).to(factor.dtype)
    grad = grad * ctx.gain
    return grad @ w, grad.t() @ x, None, ctx.kept, None, to_bias, None, None, None


linear.register_autograd(_linear_backward, setup_context=_save_linear)


@torch.library.custom_op("agn_hw::conv2d", mutates_args=(), device_types="cpu")
def conv2d(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: float,
    bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
    stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> torch.Tensor:
    """A convolution on codes: x [B, C, H, W], w [N, C/groups, kh, kw] -> codes [B, N, H', W'], as `linear`.

    Padding is activation code 0 and goes through the table.
    """
    geometry = geometry_of(stride, padding, dilation, groups)
    check_images(x, w, geometry)
    backend.check_lut(lut)
    _check_finish(len(w), bias, factor, low, high)
    return backend.conv2d(
        to_bytes(x), _prepared(w, lut, kept, geometry), geometry, Finish(bias, factor, low, high)
    )


@conv2d.register_fake
def _(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: float,
    bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
    stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> torch.Tensor:
    size = geometry_of(stride, padding, dilation, groups).output_size(x.shape, w.shape)
    return x.new_empty((x.shape[0], w.shape[0], *size), dtype=torch.float32)


def _save_conv2d(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    x, w, _, kept, ctx.gain, _, factor, low, high, *ctx.geometry = inputs
    ctx.limits, ctx.kept = (low, high), [None] * len(kept)
    ctx.save_for_backward(x, w, factor, output)


def _conv2d_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    x, w, factor, y = ctx.saved_tensors
    stride, padding, dilation, groups = ctx.geometry
    grad = _through(grad, y, *ctx.limits)
    to_bias = grad.sum((0, 2, 3)) * factor
    slope = (factor * ctx.gain).to(grad.dtype).reshape(-1, 1, 1, 1)
    needed = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
    to_x, to_w, _ = torch.ops.aten.convolution_backward(
        grad, x, w * slope, None, stride, padding, dilation, False, [0, 0], groups, needed
    )
    to_w = None if to_w is None else to_w * slope
    return to_x, to_w, None, ctx.kept, None, to_bias, *[None] * 7


conv2d.register_autograd(_conv2d_backward, setup_context=_save_conv2d)


@torch.library.custom_op("agn_hw::requantize", mutates_args=(), device_types="cpu")
def requantize(
    sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int
) -> torch.Tensor:
    """Codes float32 from sums [B, N, ...], whole numbers in int32, float32 or float64: see `Finish`."""
    finish = Finish(bias, factor, low, high)
    torch._check(sums.dim() > 1, lambda: f"sums must be [B, N, ...], got {sums.shape}")
    _check_finish(sums.shape[1], bias, factor, low, high)
    if sums.dtype in (torch.float32, torch.int32) and backend.compiled():
        return native.requantize(sums, finish)
    return portable.requantize(sums, finish)


@requantize.register_fake
def _(sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor, low: int, high: int) -> torch.Tensor:
    return torch.empty_like(sums, dtype=torch.float32, memory_format=torch.contiguous_format)


def _save_requantize(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    _, _, factor, *ctx.limits = inputs
    ctx.dtype = inputs[0].dtype
    ctx.save_for_backward(factor, output)


def _requantize_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    factor, y = ctx.saved_tensors
    shape = (1, -1) + (1,) * (y.dim() - 2)
    grad = _through(grad, y, *ctx.limits)
    to_bias = grad.sum((0, *range(2, y.dim()))) * factor
    return (grad * factor.to(grad.dtype).reshape(shape)).to(ctx.dtype), to_bias, None, None, None


requantize.register_autograd(_requantize_backward, setup_context=_save_requantize)


@torch.library.custom_op("agn_hw::add_codes", mutates_args=(), device_types="cpu")
def add_codes(
    left: torch.Tensor, right: torch.Tensor, first: float, second: float, low: int, high: int
) -> torch.Tensor:
    """clamp(floor(left * first + right * second + 1/2), low, high), codes float32 of one shape."""
    torch._check(
        left.shape == right.shape and left.dtype == right.dtype == torch.float32,
        lambda: f"wanted float32 of one shape, got {left.dtype} {left.shape} and {right.dtype} {right.shape}",
    )
    _check_limits(low, high)
    add = native.add_codes if backend.compiled() else portable.add_codes
    return add(left, right, first, second, low, high)


@add_codes.register_fake
def _(
    left: torch.Tensor, right: torch.Tensor, first: float, second: float, low: int, high: int
) -> torch.Tensor:
    return torch.empty_like(left, memory_format=torch.contiguous_format)


def _save_add_codes(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    _, _, ctx.first, ctx.second, *ctx.limits = inputs
    ctx.save_for_backward(output)


def _add_codes_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    (y,) = ctx.saved_tensors
    grad = _through(grad, y, *ctx.limits)
    return grad * ctx.first, grad * ctx.second, None, None, None, None


add_codes.register_autograd(_add_codes_backward, setup_context=_save_add_codes)
