"""Activations as the table products read them: bytes, channels last, padded. One pass over memory, or none."""

from __future__ import annotations

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.cuda.images import padded_channels
from agn_hw.kernels.forms import Geometry

SOURCE = "layout"
THREADS = 256
TILES = (4, 16, 64)
"""Bytes of a pixel that a block writes."""
VARIANTS = tuple(
    {"FLOATING": floating, "LAST": last, "CHANNELS": channels}
    for floating in (0, 1)
    for last in (0, 1, 2)
    for channels in TILES
)


def padded_images(x: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """uint8 [B, H + 2 ph, W + 2 pw, groups * padded_channels(C / groups)] from codes [B, C, H, W].

    x: uint8, or whole numbers -128..255 in float32, which stand for their byte. Around the image lies
    geometry.padding_code; the channels that fill up a group are 0 everywhere.
    """
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return _laid_out(x if last else x.contiguous(), geometry, last)


def padded_matrix(x: torch.Tensor) -> torch.Tensor:
    """uint8 [M, padded_channels(K)] from codes [M, K], filled up with 0; x itself where nothing is to be done.

    x: uint8, or whole numbers -128..255 in float32, which stand for their byte.
    """
    x = x.contiguous()
    if x.dtype == torch.uint8 and x.shape[1] % 16 == 0 and x.data_ptr() % 16 == 0:
        return x
    return _laid_out(x[:, :, None, None], Geometry(), last=True)[:, 0, 0]


def _laid_out(x: torch.Tensor, geometry: Geometry, last: bool) -> torch.Tensor:
    """x [B, C, H, W] without gaps; `last`: channels side by side."""
    (batch, channels, height, width), (above, left) = x.shape, geometry.padding
    group = channels // geometry.groups
    group_bytes = padded_channels(group)
    pixel_bytes = group_bytes * geometry.groups
    y = x.new_empty(batch, height + 2 * above, width + 2 * left, pixel_bytes, dtype=torch.uint8)
    if y.numel() == 0:
        return y
    if x.numel() == 0:
        x = x.new_zeros(4)  # padding alone
    tile = next((tile for tile in TILES if pixel_bytes <= tile), TILES[-1])
    pixels = 4096 // tile
    vectors = group % 4 == 0 and x.data_ptr() % (4 * x.element_size()) == 0
    launch.launch(
        SOURCE, "layout", (-(-y.numel() // pixel_bytes // pixels), -(-pixel_bytes // tile), 1), THREADS,
        8 * pixels + 40 * (tile // 4) + 4 * pixels * (tile // 4 | 1),
        (x, y, batch, channels, height, width, above, left, group, group_bytes, pixel_bytes, geometry.padding_code),
        FLOATING=int(x.dtype == torch.float32), LAST=(2 if vectors else 1) if last else 0, CHANNELS=tile,
    )
    return y
