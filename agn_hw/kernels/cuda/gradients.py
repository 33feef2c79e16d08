"""Gradients of table products on a device by tables of derivatives: one large product for all ranks of a table.

What `agn_hw.kernels.table_gradients` computes rank by rank. There x gets sum_r ux[x, r] * (G by vx[w, r]); here the
columns of vx[w, r] for all r stand side by side, group by group, so that G is multiplied with all of them at once, and
one pass weighs and adds the parts. Ranks are taken in several portions where their planes would fill too much memory.
"""

from __future__ import annotations

import torch

from agn_hw.kernels import table_gradients
from agn_hw.kernels.cuda import launch
from agn_hw.kernels.forms import DEVICES, Geometry
from agn_hw.kernels.table_gradients import Factors, Pair

SOURCE = "gradients"
THREADS = 256
VARIANTS = tuple({"VALUES": values} for values in (1, 4))
MOST_RANKS = 32
"""Columns of a factor that shared memory holds at once."""
_BLOCKS = 8  # for each multiprocessor
MOST_BYTES = 2**30
"""Of the planes of a portion of ranks."""


def of_matmul(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, slope: torch.Tensor, factors: Factors, needed: list[bool]
) -> Pair:
    """As `table_gradients.of_matmul`: of x [M, K] and w [N, K], from slope (scalar or [N]) * grad [M, N]."""
    if not factors:
        return table_gradients.of_matmul(grad, x, w, slope, factors, needed)
    grad = grad.to(x.dtype) * slope.to(x.dtype)
    ux, vx, uw, vw = factors
    to_x = _of_product(grad, (x, ux), (w, vx)) if needed[0] else None
    to_w = _of_product(grad.t(), (w, vw), (x, uw)) if needed[1] else None
    return to_x, to_w


def _of_product(
    grad: torch.Tensor, to: tuple[torch.Tensor, torch.Tensor], by: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """sum over r of u[codes, r] * (grad @ v[others, r]), from (codes, u) and (others, v)."""
    (codes, u), (others, v) = to, by
    total = _Sum(codes, u)
    for first, ranks in _portions(u, max(codes.numel(), others.numel())):
        total.add(grad @ expand(others, v, first, ranks).flatten(1), first, ranks)
    return total.result()


def of_conv2d(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, slope: torch.Tensor, factors: Factors,
    geometry: Geometry, needed: list[bool],
) -> Pair:
    """As `table_gradients.of_conv2d`: of x [B, C, H, W] and w [N, C/groups, kh, kw], from slope * grad [B, N, H', W'].

    Its padding, too, is taken off all activations and added for all windows at once.
    """
    if not factors:
        return table_gradients.of_conv2d(grad, x, w, slope, factors, geometry, needed)
    grad, slope = grad.to(x.dtype), slope.to(x.dtype).reshape(-1, 1, 1, 1)
    to_x = _to_images(grad, x, w, slope, factors[:2], geometry) if needed[0] else None
    to_w = _to_kernels(grad, x, w, factors[2:], geometry) * slope if needed[1] else None
    return to_x, to_w


def _to_images(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, slope: torch.Tensor, factors: Factors, geometry: Geometry
) -> torch.Tensor:
    (batch, channels, *size), (u, v) = x.shape, factors
    total = _Sum(x.reshape(batch * geometry.groups, -1), u)
    for first, ranks in _portions(u, x.numel(), geometry.groups == channels > 1):
        weight = expand(w, v, first, ranks).flatten(1, 2) * slope  # [N, ranks * C/groups, kh, kw]
        image = x.new_empty(batch, ranks * channels, *size)  # only its shape is asked for
        parts, _ = _backward(grad, image, weight, geometry, [True, False])
        total.add(parts, first, ranks)
    return total.result().reshape(x.shape)


def _to_kernels(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, factors: Factors, geometry: Geometry
) -> torch.Tensor:
    (batch, channels, *size), (u, v) = x.shape, factors
    images = x.reshape(batch * geometry.groups, channels // geometry.groups, *size)
    of_padding = u[0] if len(u) else u.new_ones(1)
    of_all_windows = grad.sum((0, 2, 3))[:, None, None]
    total = _Sum(w, v)
    for first, ranks in _portions(u, x.numel(), geometry.groups == channels > 1):
        parts = (of_all_windows * of_padding[first : first + ranks, None]).expand(-1, -1, w.shape[1:].numel())
        if len(u):
            image = expand(images, u, first, ranks, less_zero=True).reshape(batch, ranks * channels, *size)
            weight = w.new_empty(len(w), ranks * w.shape[1], *w.shape[2:])  # only its shape is asked for
            parts = parts + _backward(grad, image, weight, geometry, [False, True])[1].reshape(parts.shape)
        total.add(parts, first, ranks)
    return total.result()


def _backward(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, geometry: Geometry, needed: list[bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    stride, padding, dilation, groups, _ = geometry
    to_x, to_w, _ = torch.ops.aten.convolution_backward(
        grad, x, w, None, stride, padding, dilation, False, [0, 0], groups, [*needed, False]
    )
    return to_x, to_w


def _portions(u: torch.Tensor, elements: int, one_by_one: bool = False) -> list[tuple[int, int]]:
    """(first rank, how many), at most so many that float32 planes of this many elements keep within `MOST_BYTES`.

    `one_by_one`: depthwise convolutions have kernels of their own, which need one channel a group.
    """
    ranks = u.shape[1]
    most = 1 if one_by_one else max(1, min(MOST_RANKS, MOST_BYTES // max(4 * elements, 1)))
    return [(first, min(most, ranks - first)) for first in range(0, ranks, most)]


class _Sum:
    """sum over r of factor[codes, r] * part r, in the order of r; codes [A, ...], any shape behind."""

    def __init__(self, codes: torch.Tensor, factor: torch.Tensor) -> None:
        self.codes, self.factor = codes, factor
        self.value: torch.Tensor | None = None

    def add(self, parts: torch.Tensor, first: int, ranks: int) -> None:
        """parts: [A, ranks, ...] in any shape with A first."""
        if len(self.factor):
            self.value = combine(parts, self.codes, self.factor, first, ranks, self.value)
        else:
            self.value = parts.reshape(self.codes.shape)  # ones have one rank

    def result(self) -> torch.Tensor:
        return torch.zeros_like(self.codes) if self.value is None else self.value


def expand(
    codes: torch.Tensor, factor: torch.Tensor, first: int, ranks: int, less_zero: bool = False
) -> torch.Tensor:
    """float32 [A, ranks, ...]: factor[code, first + r] for codes float32 [A, ...], whole numbers taken as bytes.

    factor: float32 [256, R], or [0, 1] for ones. `less_zero`: less the value of code 0.
    """
    if len(factor):
        return _expand(codes, factor, first, ranks, less_zero)
    return codes.new_full((codes.shape[0], ranks, *codes.shape[1:]), 0.0 if less_zero else 1.0)


@torch.library.custom_op("agn_hw::expand_codes", mutates_args=(), device_types=DEVICES)
def _expand(codes: torch.Tensor, factor: torch.Tensor, first: int, ranks: int, less_zero: bool) -> torch.Tensor:
    """An operator, as is `combine`, so that a compiled network's backward can be traced."""
    codes = codes.contiguous()
    y = codes.new_empty(codes.shape[0], ranks, *codes.shape[1:])
    pointers = codes, factor.contiguous(), y
    _launch("expand", codes, (*pointers, *_sizes(codes), factor.shape[1], first, ranks, int(less_zero)), ranks)
    return y


@_expand.register_fake
def _(codes: torch.Tensor, factor: torch.Tensor, first: int, ranks: int, less_zero: bool) -> torch.Tensor:
    return codes.new_empty(codes.shape[0], ranks, *codes.shape[1:])


@torch.library.custom_op("agn_hw::combine_parts", mutates_args=(), device_types=DEVICES)
def combine(
    parts: torch.Tensor, codes: torch.Tensor, factor: torch.Tensor, first: int, ranks: int,
    before: torch.Tensor | None = None,
) -> torch.Tensor:
    """float32, shaped as codes [A, ...]: before + sum over r of factor[code, first + r] * parts[a, r], r by r.

    parts: float32, `ranks` times as many as codes; before: shaped as codes, or nothing.
    """
    codes, parts = codes.contiguous(), parts.to(codes.dtype).contiguous()
    before = None if before is None else before.contiguous()
    y = torch.empty_like(codes)
    pointers = codes, factor.contiguous(), parts, before, y
    _launch("combine", codes, (*pointers, *_sizes(codes), factor.shape[1], first, ranks), ranks)
    return y


@combine.register_fake
def _(
    parts: torch.Tensor, codes: torch.Tensor, factor: torch.Tensor, first: int, ranks: int,
    before: torch.Tensor | None = None,
) -> torch.Tensor:
    return torch.empty_like(codes, memory_format=torch.contiguous_format)


def _sizes(codes: torch.Tensor) -> tuple[int, int]:
    return codes.shape[0], codes.shape[1:].numel()


def _launch(kernel: str, codes: torch.Tensor, arguments: tuple, ranks: int) -> None:
    if codes.numel() == 0:
        return
    aligned = all(tensor.data_ptr() % 16 == 0 for tensor in arguments if isinstance(tensor, torch.Tensor))
    values = 4 if _sizes(codes)[1] % 4 == 0 and aligned else 1
    blocks = min(-(-codes.numel() // (THREADS * values)), _BLOCKS * launch.facts(codes.device).multiprocessors)
    launch.launch(SOURCE, kernel, (blocks, 1, 1), THREADS, 1024 * ranks, arguments, VALUES=values)
