"""Quantised layers on integer codes. Tensors hold whole numbers as float32; every edge of the network has one scale.

Activations are 0..255 after a ReLU, -128..127 before a sum; weights are -127..127 with one scale an output channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.kernels import autograd, backend, op
from agn_hw.nn import exact
from agn_hw.nn.kept import Constants, Kept
from agn_hw.nn.requantize import multiplier_and_shift, round_half_up

UNSIGNED, SIGNED, LOGITS = (0, 255), (-128, 127), (-32768, 32767)
_LARGEST_WEIGHT = 127


class Quantize(nn.Module):
    """Real input -> codes 0..255: floor(x / scale + 1/2), clipped. The network's first step."""

    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1.0 / 255))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(round_half_up(x.float() / self.scale), *UNSIGNED)


class Dequantize(nn.Module):
    """Codes -> real numbers. The network's last step."""

    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1.0))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return codes * self.scale


class TableLayer(nn.Module):
    """What convolution and linear layers share: weights, scales, table, compensation, requantisation.

    weight, bias: real numbers, trainable. weight_scale: float64 [N]; in_scale, out_scale: float64 scalars. `lut` is
    the folded table of a mapping, int32 [256, 256], or empty for the exact product; `gain` what it makes of the
    product 1. channel_gain, channel_offset: float64 [N], the compensation: the accumulator (in products) is taken
    as channel_gain * acc + channel_offset.
    """

    weight_scale: torch.Tensor
    in_scale: torch.Tensor
    out_scale: torch.Tensor
    lut: torch.Tensor
    gain: torch.Tensor
    channel_gain: torch.Tensor
    channel_offset: torch.Tensor
    groups = 1

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        channels = weight.shape[0]
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(channels) if bias is None else bias.detach().clone())
        self.register_buffer("weight_scale", _weight_scale(weight))
        self.register_buffer("in_scale", torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("out_scale", torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("lut", torch.empty(0, dtype=torch.int32))
        self.register_buffer("gain", torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("channel_gain", torch.ones(channels, dtype=torch.float64))
        self.register_buffer("channel_offset", torch.zeros(channels, dtype=torch.float64))
        self.output_range = SIGNED
        self._kept = Kept()

    def set_table(self, table8: np.ndarray | None, gain: float = 1.0) -> None:
        """Takes a folded table (None: the exact product) and forgets any compensation."""
        self.lut = torch.empty(0, dtype=torch.int32) if table8 is None else torch.from_numpy(table8.copy())
        self._kept = Kept()
        self.gain = torch.tensor(gain, dtype=torch.float64)
        self.channel_gain = torch.ones_like(self.channel_gain)
        self.channel_offset = torch.zeros_like(self.channel_offset)

    def weight_codes(self) -> torch.Tensor:
        """Weights as whole numbers -127..127, float32 of the weight's shape; straight-through gradient."""
        scale = self.weight_scale.reshape(-1, *[1] * (self.weight.dim() - 1)).float()
        return torch.clamp(round_half_up(self.weight / scale), -_LARGEST_WEIGHT, _LARGEST_WEIGHT)

    def accumulate(self, codes: torch.Tensor) -> torch.Tensor:
        """The integer sums of products (float32 or float64) or, without gradients, of table entries (int32)."""
        weights = self.weight_codes()
        if self.lut.numel():
            return self._table_sums(autograd.to_bytes(codes), autograd.to_bytes(weights))
        return exact.sums(self._exact_product, codes, weights, self._cuts(weights))

    def _cuts(self, weights: torch.Tensor) -> int:
        return exact.cuts(weights, weights.shape[1] if self.groups == 1 else 1)

    def finish(self, accumulator: torch.Tensor) -> torch.Tensor:
        """Bias, compensation and requantisation: codes float32 in `output_range`."""
        bias, m, s = self.integers()
        return autograd.requantize(accumulator, bias, m * torch.exp2(-s), *self.output_range)

    def integers(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The hardware's constants for each channel: bias (int32 range), m, s; float64 [N]."""
        product_scale = self.in_scale * self.weight_scale
        m, s = multiplier_and_shift(product_scale * self.channel_gain / (self.gain * self.out_scale))
        per_product = self.gain / self.channel_gain.clamp_min(1e-9)
        bias = (self.bias.double() / product_scale + self.channel_offset) * per_product
        return torch.clamp(round_half_up(bias), -(2.0**31), 2.0**31 - 1), m, s

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling() or torch.is_grad_enabled():
            if not self.lut.numel():
                return self.finish(self.accumulate(codes))
            bias, m, s = self.integers()
            kept = [] if torch.compiler.is_compiling() else self._kept.split(self.lut, len(self.weight) // self.groups)
            return self._table_layer(codes, Constants(self.weight_codes(), kept, 0, bias, m * torch.exp2(-s)))
        lut, columns = self.lut if self.lut.numel() else exact.TABLE, len(self.weight) // self.groups
        made_from = (self.weight, self.bias, *self.buffers(), self.geometry())
        constants = self._kept.constants(lut, columns, made_from, self.constants)
        if constants.prepared:
            return self._table_layer(codes, constants)
        sums = exact.sums(self._exact_product, codes, constants.weights, constants.cuts)
        return autograd.requantize(sums, constants.bias, constants.factor, *self.output_range)

    @torch.no_grad()
    def constants(self, lut: torch.Tensor, split: backend.Prepared) -> Constants:
        """What a pass without gradients needs, as things are now: for a table, or exact.TABLE, and its split."""
        weights, (bias, m, s) = self.weight_codes(), self.integers()
        factor = m * torch.exp2(-s)
        if self.lut.numel() or (backend.compiled() and weights[0].numel() < exact.MOST_PRODUCTS):
            return Constants(weights, self._prepare(autograd.to_bytes(weights), lut, split), 0, bias, factor)
        return Constants(weights, [], self._cuts(weights), bias, factor)

    def _arguments(self, constants: Constants) -> tuple:
        """Of the table operators, after the activations."""
        weights, prepared, _, bias, factor = constants
        lut = prepared[1] if len(prepared) > 1 else self.lut
        return weights, lut, prepared, float(self.gain), bias, factor, *self.output_range

    def _prepare(self, weights: torch.Tensor, lut: torch.Tensor, split: backend.Prepared) -> backend.Prepared:
        """Weights uint8 packed for this layer's product."""
        return backend.prepare(weights, lut, None, split)

    def geometry(self) -> tuple:
        """Stride, padding, dilation and groups of a convolution."""
        return ()

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        raise NotImplementedError

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def macs(self, output: torch.Size) -> int:
        """Multiplications for an output of this shape (batch included)."""
        return int(np.prod(output)) * int(np.prod(self.weight.shape[1:]))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A saved table has its own size; make room for it."""
        if prefix + "lut" in state_dict:
            self.lut = torch.empty_like(state_dict[prefix + "lut"])
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _weight_scale(weight: torch.Tensor) -> torch.Tensor:
    """Scale of each output channel, float64 [N]: its largest weight is 127.

    A channel with hardly any weights (a BatchNorm has switched it off) takes 2^-10 of the layer's largest instead, so
    that its bias, counted in products, stays within int32.
    """
    largest = weight.detach().double().abs().reshape(len(weight), -1).amax(1)
    of_layer = float(largest.max()) or 1.0
    return largest.clamp_min(of_layer * 2.0**-10) / _LARGEST_WEIGHT


class TableConv2d(TableLayer):
    """Convolution [B, C, H, W] -> [B, N, H', W'] on codes; padding is code 0 through the table."""

    def __init__(self, source: nn.Conv2d) -> None:
        super().__init__(source.weight, source.bias)
        self.stride, self.dilation, self.groups = list(source.stride), list(source.dilation), source.groups
        self.padding: list[int] = _numeric_padding(source)

    def geometry(self) -> tuple:
        return self.stride, self.padding, self.dilation, self.groups

    def _prepare(self, weights: torch.Tensor, lut: torch.Tensor, split: backend.Prepared) -> backend.Prepared:
        return backend.prepare(weights, lut, op.geometry_of(*self.geometry()), split)

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return op.lut_conv2d(codes, weights, self.lut, *self.geometry())

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        return autograd.conv2d(codes, *self._arguments(constants), *self.geometry())

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return F.conv2d(codes, weights, None, self.stride, self.padding, self.dilation, self.groups)


def _numeric_padding(source: nn.Conv2d) -> list[int]:
    if source.padding_mode != "zeros" or isinstance(source.padding, str):
        raise ValueError(f"padding {source.padding!r}, mode {source.padding_mode!r}")
    return list(source.padding)


class TableLinear(TableLayer):
    """Linear layer [B, K] -> [B, N] on codes."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__(source.weight, source.bias)

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return op.lut_matmul(codes, weights, self.lut)

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        return autograd.linear(codes, *self._arguments(constants))

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return F.linear(codes, weights)


def table_layers(model: nn.Module) -> dict[str, TableLayer]:
    """The layers that multiply, by module name, in the network's order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, TableLayer)}
