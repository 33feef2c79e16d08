"""How the kernels see operands and results: windows of a padded image, and planes of sums or codes.

The fields are those of the structures of the same names in windows.cuh and output.cuh, in their order.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from agn_hw.kernels.forms import Geometry

WRITE, ADD, ATOMIC = 0, 1, 2
DEPTH_STEP = 64
"""Depths are multiples of this, filled up with weights that count nothing."""


class Windows(NamedTuple):
    """Activations as a matrix of `rows` windows by `depth` bytes, for each group: see windows.cuh."""

    image: torch.Tensor
    rows: int
    out_size: int
    out_width: int
    image_step: int
    step_down: int
    step_right: int
    tap_down: int
    tap_right: int
    kernel_width: int
    taps: int
    channels: int
    depth: int


class Output(NamedTuple):
    """Where sums go, and what becomes of them: see output.cuh."""

    y: torch.Tensor
    start: torch.Tensor | None
    bias: torch.Tensor | None
    factor: torch.Tensor | None
    low: float
    high: float
    columns: int
    groups: int
    mode: int


def padded_channels(channels: int) -> int:
    """Bytes that the channels of a group take in an image: 4 or 8, or a multiple of 16."""
    return -(-channels // 16) * 16 if channels > 8 else -(-channels // 4) * 4


def depth_of(taps: int, channels: int) -> int:
    """K as the kernels count it, for this many channels of a group (not padded yet)."""
    return -(-taps * padded_channels(channels) // DEPTH_STEP) * DEPTH_STEP


def windows_of_matrix(x: torch.Tensor) -> Windows:
    """Of a matrix uint8 [M, K'], K' = padded_channels(K): an image of one pixel for each row."""
    rows, channels = x.shape
    return Windows(x, rows, 1, 1, channels, 0, 0, 0, 0, 1, 1, channels, depth_of(1, channels))


def windows_of_images(
    image: torch.Tensor, weight: torch.Size, size: tuple[int, int], geometry: Geometry
) -> Windows:
    """Of padded images uint8 [B, H, W, groups * C'], for weights [.., kh, kw] and outputs of `size`, [H', W']."""
    kernel = weight[2:]
    batch, _, width, bytes_of_pixel = image.shape
    channels = bytes_of_pixel // geometry.groups
    row = width * bytes_of_pixel
    (down, right), (tap_down, tap_right) = geometry.stride, geometry.dilation
    return Windows(
        image, batch * size[0] * size[1], size[0] * size[1], size[1], image[0].numel(), down * row,
        right * bytes_of_pixel, tap_down * row, tap_right * bytes_of_pixel, kernel[1], kernel[0] * kernel[1], channels,
        depth_of(kernel[0] * kernel[1], channels),
    )
