"""Receptive fields of a layer, sampled from what it really gets: the operands of single accumulators."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agn_hw.nn.layers import TableLayer
from agn_hw.nn.products import TableConv2d
from agn_hw.search.pairs.operands import at_layers, zero_padded

FIELDS = 512
"""How many are sampled, unless told otherwise."""


def receptive_fields(layer: TableLayer, codes: torch.Tensor, count: int = FIELDS, seed: int = 0) -> np.ndarray:
    """Activation codes of `count` output positions drawn without replacement, of all if there are fewer.

    codes: the layer's inputs [B, C, L], [B, C, H, W] or, of a linear layer, [..., K]. Returns int64 [fields, groups, K]
    with K in the order of the weights, padding included.
    """
    generator = np.random.default_rng(seed)
    if not isinstance(layer, TableConv2d):
        rows = codes.detach().flatten(0, -2)
        return rows[_sample(len(rows), count, generator)].numpy().astype(np.int64)[:, None]
    axes = layer.weight.dim() - 2
    padded = zero_padded(layer, codes.detach()).numpy()
    kernel = layer.weight.shape[2:]
    stride, dilation = layer.stride[-axes:], layer.dilation[-axes:]
    sizes = [(padded.shape[2 + a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in range(axes)]
    positions = _sample(len(padded) * int(np.prod(sizes)), count, generator)
    image, *starts = np.unravel_index(positions, (len(padded), *sizes))
    index = [image.reshape(-1, *[1] * axes)]
    for a, start in enumerate(starts):
        taps = start[:, None] * stride[a] + dilation[a] * np.arange(kernel[a])  # [fields, taps]
        index.append(taps.reshape(len(taps), *[kernel[a] if other == a else 1 for other in range(axes)]))
    fields = np.moveaxis(padded, 1, -1)[tuple(index)]  # [fields, taps of each axis, C]
    return np.moveaxis(fields, -1, 1).reshape(len(positions), layer.groups, -1).astype(np.int64)


def _sample(total: int, count: int, generator: np.random.Generator) -> np.ndarray:
    return np.sort(generator.choice(total, min(count, total), replace=False))


def record_fields(model: nn.Module, images: torch.Tensor, count: int = FIELDS, seed: int = 0) -> dict[str, np.ndarray]:
    """Receptive fields of every layer for these images (float [B, ...]), by one pass."""
    return at_layers(model, images, lambda layer, codes, output: receptive_fields(layer, codes, count, seed))
