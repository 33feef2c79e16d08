"""The torch operators: `torch.ops.agn_hw.lut_matmul` on integers, `lut_linear` and `lut_conv2d` with autograd.

The float-valued operators take codes that are whole numbers (activations 0..255, weights -128..127) and return
accumulators as float64, which holds every int32 sum exactly. Their gradients are straight-through: as if each table
entry were gain * x * w (Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from agn_hw.kernels import portable


@torch.library.custom_op("agn_hw::lut_matmul", mutates_args=())
def lut_matmul(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    """y[m, n] = sum_k lut[x[m, k], w[n, k]].

    x: uint8 [M, K], w: uint8 [N, K], lut: int32 [256, 256] -> int32 [M, N]. Exact for any table. Raises
    RuntimeError for other dtypes or shapes and when K * max|lut| could leave int32.
    """
    _check(x, w, lut)
    largest = max(int(lut.max()), -int(lut.min()))
    if x.shape[1] * largest >= 2**31:
        raise RuntimeError(
            f"lut_matmul: wanted sums within int32, but K = {x.shape[1]} products of up to {largest} could leave "
            "it; split K and add the parts in int64"
        )
    return portable.lut_matmul(x, w, lut)


@lut_matmul.register_fake
def _(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    _check(x, w, lut)
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.int32)


def _check(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> None:
    torch._check(x.dim() == 2 and w.dim() == 2, lambda: f"x and w must be matrices, got {x.shape}, {w.shape}")
    torch._check(x.shape[1] == w.shape[1], lambda: f"x has K = {x.shape[1]}, w has K = {w.shape[1]}")
    torch._check(
        x.dtype == torch.uint8 and w.dtype == torch.uint8,
        lambda: f"x and w must be uint8, got {x.dtype}, {w.dtype}",
    )
    torch._check(
        lut.dtype == torch.int32 and lut.shape == (256, 256),
        lambda: f"lut must be int32 [256, 256], got {lut.dtype} {tuple(lut.shape)}",
    )


def _bytes(codes: torch.Tensor) -> torch.Tensor:
    """Whole numbers -128..255 as their byte pattern, uint8."""
    return (codes.to(torch.int16) & 255).to(torch.uint8)


@torch.library.custom_op("agn_hw::lut_linear", mutates_args=())
def lut_linear(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, gain: float) -> torch.Tensor:
    """Accumulators of a linear layer: x codes float [M, K], w codes float [N, K] -> float64 [M, N]."""
    return lut_matmul(_bytes(x), _bytes(w), lut).to(torch.float64)


@lut_linear.register_fake
def _(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, gain: float) -> torch.Tensor:
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.float64)


def _save_operands(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.rest = inputs[3:]


def _linear_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, w = ctx.saved_tensors
    grad = grad.to(x.dtype) * ctx.rest[0]
    return grad @ w, grad.t() @ x, None, None


lut_linear.register_autograd(_linear_backward, setup_context=_save_operands)


@torch.library.custom_op("agn_hw::lut_conv2d", mutates_args=())
def lut_conv2d(
    x: torch.Tensor,
    w: torch.Tensor,
    lut: torch.Tensor,
    gain: float,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> torch.Tensor:
    """Accumulators of a convolution: x codes float [B, C, H, W], w codes float [N, C/groups, kh, kw] ->
    float64 [B, N, H', W']. Padding is activation code 0 and goes through the table like any other."""
    weights = _bytes(w).permute(0, 2, 3, 1).reshape(groups, w.shape[0] // groups, -1)
    parts = []
    for g, part in enumerate(_bytes(x).chunk(groups, dim=1)):
        windows, height, width = im2col(part, w.shape[2:], stride, padding, dilation)
        parts.append(lut_matmul(windows, weights[g], lut))
    y = torch.cat(parts, dim=1).to(torch.float64)
    return y.reshape(x.shape[0], height, width, w.shape[0]).permute(0, 3, 1, 2).contiguous()


def im2col(
    x: torch.Tensor, kernel: torch.Size, stride: list[int], padding: list[int], dilation: list[int]
) -> tuple[torch.Tensor, int, int]:
    """Windows [B * H' * W', kh * kw * C] of x [B, C, H, W], and H', W'; borders are padded with zeros.

    Channels run fastest, so that the copy moves runs of C bytes.
    """
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1).contiguous()
    for axis in (0, 1):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        x = x.unfold(1 + axis, reach, stride[axis])
    x = x[..., :: dilation[0], :: dilation[1]]  # [B, H', W', C, kh, kw]
    batch, height, width, channels = x.shape[:4]
    columns = x.permute(0, 1, 2, 4, 5, 3).reshape(batch * height * width, channels * kernel[0] * kernel[1])
    return columns, height, width


@lut_conv2d.register_fake
def _(
    x: torch.Tensor,
    w: torch.Tensor,
    lut: torch.Tensor,
    gain: float,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> torch.Tensor:
    size = [(x.shape[2 + i] + 2 * padding[i] - dilation[i] * (w.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    return x.new_empty((x.shape[0], w.shape[0], *size), dtype=torch.float64)


def _conv2d_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, w = ctx.saved_tensors
    gain, stride, padding, dilation, groups = ctx.rest
    grad = grad.to(x.dtype) * gain
    to_x, to_w, _ = torch.ops.aten.convolution_backward(
        grad, x, w, None, stride, padding, dilation, False, [0, 0], groups, [True, True, False]
    )
    return to_x, to_w, None, None, None, None, None, None


lut_conv2d.register_autograd(_conv2d_backward, setup_context=_save_operands)
