"""Operators on float-valued codes, with autograd: table products, alone or requantised in one go.

Codes are whole numbers in float32: activations within -128..255, taken as bytes; weights -128..127. `lut` is a folded
table, int32 [256, 256]; `kept` what `backend.prepare` or `backend.split_table` made for these weights and this table,
or an empty list. `gain` (float64 scalar) and `gradient` say how operands get their gradients: see table_gradients.py.
Rescaling without products is in rescale.py; its operators are here, too.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from agn_hw.kernels import backend, cuda, table_gradients
from agn_hw.kernels.cuda import gradients as cuda_gradients
from agn_hw.kernels.forms import DEVICES, Finish, Geometry
from agn_hw.kernels.op import check_images, check_matrices, geometry_of
from agn_hw.kernels.rescale import Gradients, add_codes, check_finish, inside, requantize

__all__ = ["add_codes", "conv2d", "conv2d_sums", "linear", "linear_sums", "requantize", "to_bytes"]


def to_bytes(codes: torch.Tensor) -> torch.Tensor:
    """Whole numbers -128..255 as their byte pattern, uint8."""
    return codes.to(torch.int16).to(torch.uint8)


def _activations(codes: torch.Tensor) -> torch.Tensor:
    """What the back end takes: the CUDA kernels make bytes of codes while they lay them out."""
    taken = codes.dtype in (torch.uint8, torch.float32) and cuda.serves(codes)
    return codes if taken else to_bytes(codes)


def _check_table(lut: torch.Tensor, gain: torch.Tensor, gradient: list[torch.Tensor]) -> None:
    backend.check_lut(lut)
    torch._check(
        gain.dtype == torch.float64 and gain.dim() == 0,
        lambda: f"gain must be a float64 scalar, got {gain.dtype} {tuple(gain.shape)}",
    )
    table_gradients.check_factors(gradient)


def _prepared(w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], geometry: Geometry | None) -> Any:
    """What a layer kept: all that `prepare` makes, the table's split alone, or nothing."""
    if not backend.is_prepared(kept):
        return backend.prepare(to_bytes(w), lut, geometry, kept)
    torch._check(
        kept[0].shape == w.shape,
        lambda: f"weights of {kept[0].shape} were prepared, but w has {w.shape}; prepare again",
    )
    backend.check_prepared(kept, geometry)
    return kept


def _matmul(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], finish: Finish | None
) -> torch.Tensor:
    check_matrices(x, w)
    return backend.matmul(_activations(x), _prepared(w, lut, kept, None), finish)


def _conv2d(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], geometry: Geometry,
    finish: Finish | None,
) -> torch.Tensor:
    check_images(x, w, geometry)
    return backend.conv2d(_activations(x), _prepared(w, lut, kept, geometry), geometry, finish)


def _save(ctx: Any, inputs: tuple, *more: torch.Tensor) -> None:
    """What the backward of every product needs; `more` are one or two tensors of the fused ones, or none."""
    x, w, _, kept, gain, gradient = inputs[:6]
    ctx.nothing = [None, [None] * len(kept), None, [None] * len(gradient)]
    ctx.count = len(more)
    ctx.save_for_backward(*more, x, w, gain, *gradient)


def _saved(ctx: Any) -> tuple[Any, ...]:
    """more, x, w, gain (1 where the gradient's factors hold it), factors."""
    more, (x, w, gain, *factors) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
    return more, x, w, torch.ones_like(gain) if factors else gain, factors


def _rules(x: torch.Tensor, factors: list[torch.Tensor]) -> ModuleType:
    """Where gradients are for these operands."""
    return cuda_gradients if factors and x.dtype == torch.float32 and cuda.serves(x) else table_gradients


def _of_matmul(*given: Any) -> Any:
    """As `table_gradients.of_matmul`, in whole precision inside autocast too."""
    _, x, _, _, factors, *_ = given
    with torch.autocast(x.device.type, enabled=False):
        return _rules(x, factors).of_matmul(*given)


def _of_conv2d(*given: Any) -> Any:
    _, x, _, _, factors, *_ = given
    with torch.autocast(x.device.type, enabled=False):
        return _rules(x, factors).of_conv2d(*given)


@torch.library.custom_op("agn_hw::linear", mutates_args=(), device_types=DEVICES)
def linear(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor], bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
) -> torch.Tensor:
    """A linear layer on codes: x [M, K], w [N, K] -> codes [M, N], requantised by bias and factor float64 [N].

    Gradients: of x, w and bias.
    """
    _check_table(lut, gain, gradient)
    check_finish(len(w), bias, factor, low, high)
    return _matmul(x, w, lut, kept, Finish(bias, factor, low, high))


@linear.register_fake
def _(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor], bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
) -> torch.Tensor:
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.float32)


def _save_linear(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    *_, factor, low, high = inputs
    ctx.limits = low, high
    _save(ctx, inputs, factor, output)


def _linear_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    (factor, y), x, w, gain, factors = _saved(ctx)
    grad = inside(grad, y, *ctx.limits)
    to_bias = grad.sum(0).to(factor.dtype) * factor
    pair = _of_matmul(grad, x, w, factor * gain, factors, ctx.needs_input_grad[:2])
    return *pair, *ctx.nothing, to_bias, None, None, None


linear.register_autograd(_linear_backward, setup_context=_save_linear)


@torch.library.custom_op("agn_hw::conv2d", mutates_args=(), device_types=DEVICES)
def conv2d(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor], bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
    stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> torch.Tensor:
    """A convolution on codes: x [B, C, H, W], w [N, C/groups, kh, kw] -> codes [B, N, H', W'], as `linear`.

    Padding is activation code 0 and goes through the table.
    """
    _check_table(lut, gain, gradient)
    check_finish(len(w), bias, factor, low, high)
    geometry = geometry_of(stride, padding, dilation, groups)
    return _conv2d(x, w, lut, kept, geometry, Finish(bias, factor, low, high))


@conv2d.register_fake
def _(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor], bias: torch.Tensor, factor: torch.Tensor, low: int, high: int,
    stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> torch.Tensor:
    size = geometry_of(stride, padding, dilation, groups).output_size(x.shape, w.shape)
    return x.new_empty((x.shape[0], w.shape[0], *size), dtype=torch.float32)


def _save_conv2d(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    factor, low, high, *geometry = inputs[7:]
    ctx.limits, ctx.geometry = (low, high), geometry_of(*geometry)
    _save(ctx, inputs, factor, output)


def _conv2d_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    (factor, y), x, w, gain, factors = _saved(ctx)
    grad = inside(grad, y, *ctx.limits)
    to_bias = grad.sum((0, 2, 3)) * factor
    pair = _of_conv2d(grad, x, w, factor * gain, factors, ctx.geometry, ctx.needs_input_grad[:2])
    return *pair, *ctx.nothing, to_bias, *[None] * 7


conv2d.register_autograd(_conv2d_backward, setup_context=_save_conv2d)


@torch.library.custom_op("agn_hw::linear_sums", mutates_args=(), device_types=DEVICES)
def linear_sums(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor],
) -> torch.Tensor:
    """The table's sums alone: x [M, K], w [N, K] -> whole numbers float64 [M, N]. Gradients: of x and w."""
    _check_table(lut, gain, gradient)
    return _matmul(x, w, lut, kept, None).double()


@linear_sums.register_fake
def _(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor],
) -> torch.Tensor:
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.float64)


def _linear_sums_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    _, x, w, gain, factors = _saved(ctx)
    return *_of_matmul(grad, x, w, gain, factors, ctx.needs_input_grad[:2]), *ctx.nothing


linear_sums.register_autograd(
    _linear_sums_backward, setup_context=lambda ctx, inputs, output: _save(ctx, inputs)
)


@torch.library.custom_op("agn_hw::conv2d_sums", mutates_args=(), device_types=DEVICES)
def conv2d_sums(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor], stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> torch.Tensor:
    """The table's sums alone: as `conv2d`, whole numbers float64 [B, N, H', W']. Gradients: of x and w."""
    _check_table(lut, gain, gradient)
    return _conv2d(x, w, lut, kept, geometry_of(stride, padding, dilation, groups), None).double()


@conv2d_sums.register_fake
def _(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kept: list[torch.Tensor], gain: torch.Tensor,
    gradient: list[torch.Tensor], stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> torch.Tensor:
    size = geometry_of(stride, padding, dilation, groups).output_size(x.shape, w.shape)
    return x.new_empty((x.shape[0], w.shape[0], *size), dtype=torch.float64)


def _save_conv2d_sums(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    ctx.geometry = geometry_of(*inputs[6:])
    _save(ctx, inputs)


def _conv2d_sums_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    _, x, w, gain, factors = _saved(ctx)
    pair = _of_conv2d(grad, x, w, gain, factors, ctx.geometry, ctx.needs_input_grad[:2])
    return *pair, *ctx.nothing, *[None] * 4


conv2d_sums.register_autograd(_conv2d_sums_backward, setup_context=_save_conv2d_sums)
