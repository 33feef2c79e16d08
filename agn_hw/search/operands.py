"""What each layer multiplies: one pass of the quantised network over calibration images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.nn.layers import TableConv2d, TableLayer, table_layers


@dataclass(frozen=True)
class Operands:
    """One layer's multiplications.

    layer_type: "Conv2d" or "Linear". macs: multiplications an image. fan_in: products an accumulator.
    activations: share of each activation code, float64 [256] (padding counted). weights: share of each weight
    byte, float64 [256].
    """

    layer_type: str
    macs: int
    fan_in: int
    activations: np.ndarray
    weights: np.ndarray

    def mean_square(self) -> float:
        """E[x^2] E[w^2]: the mean square of an exact product of independent operands."""
        codes = np.arange(256.0)
        weights = np.where(codes < 128, codes, codes - 256)
        return max(float(self.activations @ codes**2) * float(self.weights @ weights**2), 1e-12)

    def summary(self) -> dict[str, float]:
        """Figures for the plan: how far from uniform the operands are."""
        codes = np.arange(256)
        magnitude = np.abs(codes - (codes >> 7) * 256)
        return {
            "activation_mean": round(float(self.activations @ codes), 3),
            "activation_zero": round(float(self.activations[0]), 4),
            "weight_mean_magnitude": round(float(self.weights @ magnitude), 3),
        }


@torch.no_grad()
def record(model: nn.Module, images: torch.Tensor) -> dict[str, Operands]:
    """Operands of every layer for these images (float [B, C, H, W])."""
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
    )


def _activation_counts(layer: TableLayer, codes: torch.Tensor) -> np.ndarray:
    """How often each activation code is multiplied, float64 [256], by any one output channel."""
    if not isinstance(layer, TableConv2d):
        return np.bincount(codes.to(torch.int64).ravel().numpy(), minlength=256).astype(np.float64)
    rows, columns = (
        _reads(codes.shape[2 + i], layer.weight.shape[2 + i], layer.stride[i], layer.padding[i], layer.dilation[i])
        for i in (0, 1)
    )
    top, left = layer.padding
    padded = F.pad(codes, (left, left, top, top)).to(torch.int64).numpy()
    reads = np.broadcast_to(np.outer(rows, columns), padded.shape)
    return np.bincount(padded.ravel(), weights=reads.ravel(), minlength=256)


def _reads(size: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """How many windows read each position of a padded axis, int64 [size + 2 * padding]."""
    padded = size + 2 * padding
    starts = np.arange(0, padded - dilation * (kernel - 1), stride)
    return np.bincount((starts[:, None] + dilation * np.arange(kernel)).ravel(), minlength=padded)
