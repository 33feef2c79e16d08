"""Convolutions with few outputs a group (depthwise): output by output, whole table entries (direct.cu)."""

from __future__ import annotations

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.cuda.images import Output
from agn_hw.kernels.forms import Geometry

SOURCE = "direct"
THREADS = 256
TABLES = 32
_K = 4 * 256 + 16 + 4
"""Bytes of shared memory for a k: its table, its place, its weight."""
_AT_ONCE = 8  # blocks on a multiprocessor
_LEAST_OUTPUTS = 2048
"""Of a block, where there are as many: building its tables should not take longer than looking up."""
VARIANTS = tuple({"FLOATING": floating} for floating in (0, 1))


def few_columns(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, geometry: Geometry, output: Output) -> None:
    """Sums of lut[x, w] over the windows, or codes made of them; output.y is [B, N, H', W'].

    x: [B, C, H, W], uint8 or whole numbers -128..255 in float32, which stand for their byte; w: uint8
    [N, C/groups, kh, kw]; lut: int32 [256, 256]. Sums are modulo 2^32.
    """
    x, w, lut = x.contiguous(), w.contiguous(), lut.contiguous()
    channels, kernel = w.shape[1], w.shape[2:]
    size = geometry.output_size(x.shape, w.shape)
    outputs = x.shape[0] * size[0] * size[1]
    depth = w[0].numel()
    blocks = _blocks(outputs, w.shape[0], launch.facts(x.device).multiprocessors)
    launch.launch(
        SOURCE, "direct", (w.shape[0] * blocks if outputs else 0, 1, 1), THREADS, min(depth, TABLES) * _K,
        (x, w, lut, output, channels, *x.shape[2:], *kernel, *size, *geometry.stride, *geometry.padding,
         *geometry.dilation, geometry.padding_code, outputs, blocks, -(-outputs // blocks)),
        FLOATING=int(x.dtype == torch.float32),
    )


def _blocks(outputs: int, channels: int, multiprocessors: int) -> int:
    """That a channel's outputs are cut into: enough to fill the machine a few times, each worth its tables."""
    wanted = -(-4 * _AT_ONCE * multiprocessors // channels)
    return max(min(wanted, outputs // _LEAST_OUTPUTS), 1)
