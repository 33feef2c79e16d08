"""What each layer multiplies: one pass of the quantised network over calibration images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.codes import UNSIGNED, Codes
from agn_hw.mapping import LARGEST_WEIGHT, WEIGHTS
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.nn.products import TableConv2d


@dataclass(frozen=True)
class Operands:
    """One layer's multiplications.

    layer_type: "Conv1d", "Conv2d" or "Linear". macs: multiplications an image. fan_in: products an accumulator.
    activations: share of each activation byte (code & 255), float64 [256], padding counted. weights: share of each
    weight byte, float64 [256]. codes, largest_weight: the ranges of both.
    """

    layer_type: str
    macs: int
    fan_in: int
    activations: np.ndarray
    weights: np.ndarray
    codes: Codes = UNSIGNED
    largest_weight: int = LARGEST_WEIGHT

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
def record(model: nn.Module, images: torch.Tensor) -> dict[str, Operands]:
    """Operands of every layer for these images (float [B, ...])."""
    found: dict[str, Operands] = {}
    hooks = []
    for name, layer in table_layers(model).items():

        def hook(layer: Any, inputs: tuple, output: torch.Tensor, name: str = name) -> None:
            found[name] = _operands(layer, inputs[0], output.shape)

        hooks.append(layer.register_forward_hook(hook))
    try:
        model(images)
    finally:
        for handle in hooks:
            handle.remove()
    return {name: found[name] for name in table_layers(model)}


def _operands(layer: TableLayer, codes: torch.Tensor, output: torch.Size) -> Operands:
    fan_in = int(np.prod(layer.weight.shape[1:]))
    activations = _activation_counts(layer, codes)
    weights = np.bincount(layer.weight_codes().detach().to(torch.int64).ravel().numpy() & 255, minlength=256)
    return Operands(
        type(layer).__name__.removeprefix("Table"),
        layer.macs(output) // len(codes),
        fan_in,
        activations / activations.sum(),
        weights / weights.sum(),
        layer.in_codes[0],
        layer.largest_weight,
    )


def _activation_counts(layer: TableLayer, codes: torch.Tensor) -> np.ndarray:
    """How often each activation byte is multiplied, float64 [256], by any one output channel."""
    if not isinstance(layer, TableConv2d):
        return _counts(codes)
    axes = layer.weight.dim() - 2
    stride, padding, dilation = (sizes[-axes:] for sizes in (layer.stride, layer.padding, layer.dilation))
    codes = layer.padded(codes)  # then zeros follow, as many at both ends of an axis
    codes = F.pad(codes, [zeros for size in reversed(padding) for zeros in (size, size)])
    reads = np.ones(())
    for axis in range(axes):
        size, kernel = codes.shape[2 + axis], layer.weight.shape[2 + axis]
        reads = np.multiply.outer(reads, _reads(size, kernel, stride[axis], dilation[axis]))
    return _counts(codes, np.broadcast_to(reads, codes.shape))


def _counts(codes: torch.Tensor, times: np.ndarray | None = None) -> np.ndarray:
    """How often each byte stands among codes, each counted once or so many times: float64 [256]."""
    numbers = codes.to(torch.int64).ravel().numpy() & 255
    weights = None if times is None else times.ravel()
    return np.bincount(numbers, weights, minlength=256).astype(np.float64)


def _reads(size: int, kernel: int, stride: int, dilation: int) -> np.ndarray:
    """How many windows read each position of an axis, int64 [size]."""
    starts = np.arange(0, size - dilation * (kernel - 1), stride)
    return np.bincount((starts[:, None] + dilation * np.arange(kernel)).ravel(), minlength=size)
