"""What each layer multiplies: one pass of the quantised network over calibration images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.codes import UNSIGNED, Codes
from agn_hw.mapping import LARGEST_WEIGHT, WEIGHTS
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.nn.products import TableConv2d

Found = TypeVar("Found")


@dataclass(frozen=True)
class Operands:
    """One layer's multiplications.

    layer_type: "Conv1d", "Conv2d" or "Linear". macs: multiplications an image. fan_in: products an accumulator.
    activations: share of each activation byte (code & 255), float64 [256], padding counted. weights: share of each
    weight byte, float64 [256]. codes, largest_weight: the ranges of both. reuse: multiplications an image with one
    weight (output positions). channels: where asked for, the share of each byte among the activations of each input
    channel (of each input of a linear layer), float64 [C, 256], padding counted.
    """

    layer_type: str
    macs: int
    fan_in: int
    activations: np.ndarray
    weights: np.ndarray
    codes: Codes = UNSIGNED
    largest_weight: int = LARGEST_WEIGHT
    reuse: float = 1.0
    channels: np.ndarray | None = None

    def mean_square(self) -> float:
        """E[x^2] E[w^2]: the mean square of an exact product of independent operands."""
        return max(float(self.activations @ self.codes.of_bytes() ** 2) * float(self.weights @ WEIGHTS**2), 1e-12)

    def summary(self) -> dict[str, float]:
        """Figures for the plan: how far from uniform the operands are."""
        return {
            "activation_mean": round(float(self.activations @ self.codes.of_bytes()), 3),
            "activation_zero": round(float(self.activations[0]), 4),
            "weight_mean_magnitude": round(float(self.weights @ np.abs(WEIGHTS)), 3),
        }


@torch.no_grad()
def record(model: nn.Module, images: torch.Tensor, *, per_channel: bool = False) -> dict[str, Operands]:
    """Operands of every layer for these images (float [B, ...]); per_channel: with `Operands.channels`."""
    return at_layers(model, images, lambda layer, codes, output: _operands(layer, codes, output.shape, per_channel))


@torch.no_grad()
def at_layers(
    model: nn.Module, images: torch.Tensor, look: Callable[[TableLayer, torch.Tensor, torch.Tensor], Found]
) -> dict[str, Found]:
    """What look(layer, its input codes, its output) gives at every layer, by name, in one pass over these images."""
    found: dict[str, Found] = {}
    hooks = []
    for name, layer in table_layers(model).items():

        def hook(layer: Any, inputs: tuple, output: torch.Tensor, name: str = name) -> None:
            found[name] = look(layer, inputs[0], output)

        hooks.append(layer.register_forward_hook(hook))
    try:
        model(images)
    finally:
        for handle in hooks:
            handle.remove()
    return {name: found[name] for name in table_layers(model)}


def _operands(layer: TableLayer, codes: torch.Tensor, output: torch.Size, per_channel: bool) -> Operands:
    fan_in = int(np.prod(layer.weight.shape[1:]))
    channels = _activation_counts(layer, codes)
    activations = channels.sum(0)
    weights = np.bincount(layer.weight_codes().detach().to(torch.int64).ravel().numpy() & 255, minlength=256)
    return Operands(
        type(layer).__name__.removeprefix("Table"),
        layer.macs(output) // len(codes),
        fan_in,
        activations / activations.sum(),
        weights / weights.sum(),
        layer.in_codes[0],
        layer.largest_weight,
        layer.macs(output) / (len(codes) * layer.weight.numel()),
        channels / channels.sum(1, keepdims=True) if per_channel else None,
    )


def _activation_counts(layer: TableLayer, codes: torch.Tensor) -> np.ndarray:
    """How often each activation byte is multiplied, by input channel, float64 [C, 256]: by one output channel of each
    group."""
    if not isinstance(layer, TableConv2d):
        return _counts(codes.flatten(0, -2))
    axes = layer.weight.dim() - 2
    codes = zero_padded(layer, codes)
    reads = np.ones(())
    for axis in range(axes):
        size, kernel = codes.shape[2 + axis], layer.weight.shape[2 + axis]
        stride, dilation = layer.stride[axis - axes], layer.dilation[axis - axes]
        reads = np.multiply.outer(reads, _reads(size, kernel, stride, dilation))
    return _counts(codes, np.broadcast_to(reads, codes.shape))


def zero_padded(layer: TableConv2d, codes: torch.Tensor) -> torch.Tensor:
    """Codes [B, C, ...] with all the padding of a convolution."""
    codes = layer.padded(codes)  # then zeros follow, as many at both ends of an axis
    padding = layer.padding[2 - layer.weight.dim() :]
    return F.pad(codes, [zeros for size in reversed(padding) for zeros in (size, size)])


def _counts(codes: torch.Tensor, times: np.ndarray | None = None) -> np.ndarray:
    """How often each byte stands in each channel of codes [B, C, ...], each counted once or so many times: [C, 256]."""
    channels = codes.shape[1]
    first = 256 * torch.arange(channels).reshape(-1, *[1] * (codes.dim() - 2))
    numbers = ((codes.to(torch.int64) & 255) + first).ravel().numpy()
    weights = None if times is None else times.ravel()
    return np.bincount(numbers, weights, minlength=256 * channels).astype(np.float64).reshape(channels, 256)


def _reads(size: int, kernel: int, stride: int, dilation: int) -> np.ndarray:
    """How many windows read each position of an axis, int64 [size]."""
    starts = np.arange(0, size - dilation * (kernel - 1), stride)
    return np.bincount((starts[:, None] + dilation * np.arange(kernel)).ravel(), minlength=size)
