"""The torch operators on integers: `torch.ops.agn_hw.lut_matmul`, `lut_conv2d`, and both on prepared weights.

No autograd here (see autograd.py), and nothing is kept from call to call.
"""

from __future__ import annotations

import torch

from agn_hw.kernels import backend
from agn_hw.kernels.forms import DEVICES, Geometry

_MOST_BYTES = 2**40  # of padded images


def check_table(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> None:
    backend.check_table(x, lut)
    backend.check_table(w, lut)


def check_matrices(x: torch.Tensor, w: torch.Tensor) -> None:
    torch._check(x.dim() == 2 and w.dim() == 2, lambda: f"x and w must be matrices, got {x.shape}, {w.shape}")
    torch._check(x.shape[1] == w.shape[1], lambda: f"x has K = {x.shape[1]}, w has K = {w.shape[1]}")


def check_images(x: torch.Tensor, w: torch.Tensor, geometry: Geometry) -> None:
    torch._check(x.dim() == 4 and w.dim() == 4, lambda: f"x and w must have 4 axes, got {x.shape}, {w.shape}")
    groups = geometry.groups
    torch._check(
        groups > 0 and x.shape[1] == w.shape[1] * groups and w.shape[0] % groups == 0,
        lambda: f"x has {x.shape[1]} channels, w {tuple(w.shape)} wants {w.shape[1]} in each of {groups} groups",
    )
    size = geometry.output_size(x.shape, w.shape)
    torch._check(min(size) > 0, lambda: f"the kernel {tuple(w.shape[2:])} is larger than the padded image {x.shape}")
    padded = [x.shape[i - 2] + 2 * geometry.padding[i] for i in (0, 1)]
    torch._check(
        x.shape[0] * x.shape[1] * padded[0] * padded[1] < _MOST_BYTES,
        lambda: f"the padded images {x.shape[0]} x {x.shape[1]} x {padded[0]} x {padded[1]} are too large",
    )
    torch._check(0 <= geometry.padding_code < 256, lambda: f"padding_code {geometry.padding_code} is no byte")


def geometry_of(
    stride: list[int], padding: list[int], dilation: list[int], groups: int, padding_code: int = 0
) -> Geometry:
    for name, pair in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        fits = len(pair) == 2 and min(pair) >= (name != "padding")
        torch._check(fits, lambda name=name, pair=pair: f"{name} must be two sizes, got {pair}")
    return Geometry(tuple(stride), tuple(padding), tuple(dilation), groups, padding_code)  # type: ignore[arg-type]


@torch.library.custom_op("agn_hw::lut_matmul", mutates_args=(), device_types=DEVICES)
def lut_matmul(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    """y[m, n] = sum_k lut[x[m, k], w[n, k]].

    x: uint8 [M, K], w: uint8 [N, K], lut: int32 [256, 256] -> int32 [M, N]. Exact for any table. Raises
    RuntimeError for other dtypes or shapes and when K * max|lut| could leave int32.
    """
    check_table(x, w, lut)
    check_matrices(x, w)
    return backend.matmul(x, backend.prepare(w, lut))


@lut_matmul.register_fake
def _(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    check_table(x, w, lut)
    check_matrices(x, w)
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.int32)


@torch.library.custom_op("agn_hw::lut_matmul_prepared", mutates_args=(), device_types=DEVICES)
def lut_matmul_prepared(x: torch.Tensor, prepared: list[torch.Tensor]) -> torch.Tensor:
    """`lut_matmul` with weights and table from `prepare(w, lut)`: x uint8 [M, K] -> int32 [M, N]."""
    backend.check_prepared(prepared, None)
    check_table(x, *prepared[:2])
    check_matrices(x, prepared[0])
    return backend.matmul(x, prepared)


@lut_matmul_prepared.register_fake
def _(x: torch.Tensor, prepared: list[torch.Tensor]) -> torch.Tensor:
    check_matrices(x, prepared[0])
    return x.new_empty((x.shape[0], prepared[0].shape[0]), dtype=torch.int32)


@torch.library.custom_op("agn_hw::lut_conv2d", mutates_args=(), device_types=DEVICES)
def lut_conv2d(
    x: torch.Tensor,
    w: torch.Tensor,
    lut: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    padding_code: int = 0,
) -> torch.Tensor:
    """Sums of a convolution: x uint8 [B, C, H, W], w uint8 [N, C/groups, kh, kw] -> int32 [B, N, H', W'].

    Around the image lies `padding_code`, which goes through the table like any other activation. Raises as
    `lut_matmul` does.
    """
    geometry = geometry_of(stride, padding, dilation, groups, padding_code)
    check_table(x, w, lut)
    check_images(x, w, geometry)
    return backend.conv2d(x, backend.prepare(w, lut, geometry), geometry)


@lut_conv2d.register_fake
def _(
    x: torch.Tensor,
    w: torch.Tensor,
    lut: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    padding_code: int = 0,
) -> torch.Tensor:
    geometry = geometry_of(stride, padding, dilation, groups, padding_code)
    check_table(x, w, lut)
    check_images(x, w, geometry)
    return x.new_empty((x.shape[0], w.shape[0], *geometry.output_size(x.shape, w.shape)), dtype=torch.int32)


@torch.library.custom_op("agn_hw::lut_conv2d_prepared", mutates_args=(), device_types=DEVICES)
def lut_conv2d_prepared(
    x: torch.Tensor,
    prepared: list[torch.Tensor],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    padding_code: int = 0,
) -> torch.Tensor:
    """`lut_conv2d` with weights and table from `prepare(w, lut, geometry)`, for that geometry."""
    geometry = geometry_of(stride, padding, dilation, groups, padding_code)
    backend.check_prepared(prepared, geometry)
    check_table(x, *prepared[:2])
    check_images(x, prepared[0], geometry)
    return backend.conv2d(x, prepared, geometry)


@lut_conv2d_prepared.register_fake
def _(
    x: torch.Tensor,
    prepared: list[torch.Tensor],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    padding_code: int = 0,
) -> torch.Tensor:
    geometry = geometry_of(stride, padding, dilation, groups, padding_code)
    check_images(x, prepared[0], geometry)
    size = geometry.output_size(x.shape, prepared[0].shape)
    return x.new_empty((x.shape[0], prepared[0].shape[0], *size), dtype=torch.int32)
