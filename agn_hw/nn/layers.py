"""Layers that multiply, on integer codes: what convolutions and linear layers share.

Tensors hold whole numbers as float32; every edge of the network has one scale and one range (agn_hw.codes). Weights lie
within -largest_weight..largest_weight, with one scale an output channel, or one for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from agn_hw.codes import LOGITS, SIGNED, UNSIGNED, Codes
from agn_hw.kernels import autograd, backend, cuda
from agn_hw.nn import exact
from agn_hw.nn.accumulator import Accumulator, narrow_sums
from agn_hw.nn.coded import SCHEMA
from agn_hw.nn.kept import Constants, Kept
from agn_hw.nn.requantize import fixed_point, multiplier_and_shift, round_half_up, straight_through
from agn_hw.nn.sums import Rectifiable

__all__ = ["LOGITS", "SIGNED", "UNSIGNED", "TableLayer", "table_layers"]

_GRADIENT = ("grad_ux", "grad_vx", "grad_uw", "grad_vw")
_NARROW_SCHEMA = 3
"""Of a layer's saved state with a narrow accumulator, which versions that know none must refuse; else as SCHEMA."""
_INT32 = -(2.0**31), 2.0**31 - 1
_LARGEST_BIAS = 2.0**28
"""In products: leaves room for tables of any gain within int32."""


class TableLayer(Rectifiable):
    """Weights, scales, table, compensation, requantisation.

    weight, bias: real numbers, trainable. weight_scale: float64 [N], or [1] for one scale for all; in_scale, out_scale:
    float64 scalars. `lut` is the folded table of a mapping, int32 [256, 256] by activation and weight byte, or empty
    for the exact product; `gain` what it makes of the product 1. channel_gain, channel_offset: float64 [N], the
    compensation: the accumulator (in products) is taken as channel_gain * acc + channel_offset.

    accumulator: None, or a narrow one that sums can overflow (nn/overflow.py). zero_terms: None, or of an affine
    encoding int32 [2, 256]: what the table's entries hold for each activation byte and for each weight byte that the
    array does not add (`accelerator.bounds.zero_terms`).
    """

    weight_scale: nn.Parameter
    in_scale: nn.Parameter
    lut: torch.Tensor
    gain: torch.Tensor
    channel_gain: torch.Tensor
    channel_offset: torch.Tensor
    zero_terms: torch.Tensor | None
    accumulator: Accumulator | None = None
    groups = 1
    channel_axis = 1
    """Of an accumulator: the axis of output channels."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        channels = weight.shape[0]
        trains = weight.requires_grad, weight.requires_grad if bias is None else bias.requires_grad
        self.weight = nn.Parameter(weight.detach().clone(), trains[0])
        self.bias = nn.Parameter(torch.zeros(channels) if bias is None else bias.detach().clone(), trains[1])
        self.weight_scale = nn.Parameter(torch.ones(channels, dtype=torch.float64), requires_grad=False)
        self.in_codes = (UNSIGNED,)
        self.weight_bits = 8
        self.shares["weight_scale"] = 1.0
        self.register_buffer("lut", torch.empty(0, dtype=torch.int32))
        self.register_buffer("gain", torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("channel_gain", torch.ones(channels, dtype=torch.float64))
        self.register_buffer("channel_offset", torch.zeros(channels, dtype=torch.float64))
        for name in (*_GRADIENT, "zero_terms"):
            self.register_buffer(name, None)
        self._kept = Kept()

    @property
    def largest_weight(self) -> int:
        """The largest magnitude of a weight code."""
        return 2 ** (self.weight_bits - 1) - 1

    def set_table(
        self,
        table8: np.ndarray | None,
        gain: float = 1.0,
        gradient: Sequence[torch.Tensor] | None = None,
        zero_terms: np.ndarray | None = None,
    ) -> None:
        """Takes a folded table (None: the exact product) and forgets any compensation and accumulator.

        gradient: what `gradients.gradient_factors` made of the table; none for straight-through. zero_terms: what
        `accelerator.bounds.zero_terms` says of the mapping; matters to narrow accumulators only.
        """
        device = self.weight.device
        empty = torch.empty(0, dtype=torch.int32)
        self.lut = (empty if table8 is None else torch.from_numpy(table8.copy())).to(device)
        self._kept = Kept()
        self.gain = torch.tensor(gain, dtype=torch.float64, device=device)
        self.channel_gain = torch.ones_like(self.channel_gain)
        self.channel_offset = torch.zeros_like(self.channel_offset)
        for name, factor in zip(_GRADIENT, gradient or (None,) * len(_GRADIENT), strict=True):
            setattr(self, name, None if factor is None else factor.clone().to(device))  # a buffer of its own
        self.accumulator = None
        self.zero_terms = None if zero_terms is None else torch.from_numpy(zero_terms.astype(np.int32)).to(device)

    def gradient(self) -> list[torch.Tensor]:
        """The factors of the table's gradient, an empty list for straight-through."""
        return [] if self.grad_ux is None else [getattr(self, name) for name in _GRADIENT]

    def set_scheme(self, weight_bits: int, scale: torch.Tensor) -> None:
        """Bits and scale (float64 [N] or [1]) of the weights."""
        self.weight_bits = weight_bits
        self.weight_scale = nn.Parameter(scale.detach().clone(), requires_grad=False)
        self.shares["weight_scale"] = (self.weight.numel() / len(scale) * self.largest_weight) ** -0.5

    def weight_codes(self) -> torch.Tensor:
        """Weights as whole numbers, float32 of the weight's shape; straight-through gradient."""
        scale = self.step("weight_scale").reshape(-1, *[1] * (self.weight.dim() - 1)).float()
        largest = self.largest_weight
        return torch.clamp(round_half_up(self.weight / scale), -largest, largest)

    def fit_bias(self) -> None:
        """Makes the weights' scales as large as the biases need that are counted in products, within int32."""
        least = self.bias.detach().double().abs() / (self.in_scale.detach() * _LARGEST_BIAS)
        least = least if len(self.weight_scale) > 1 else least.max().reshape(1)
        with torch.no_grad():
            self.weight_scale.copy_(torch.maximum(self.weight_scale, least))

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        scale = self.weight_scale.reshape(-1, *[1] * (self.weight.dim() - 1)).float()
        return self.product(values[0], self.weight_codes() * scale)

    def product(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The float layer, with what is fused into it, for these weights."""
        y = self._exact_product(self.padded(x), weight)
        y = y + self.bias.reshape(-1, *[1] * (y.dim() - 2 if self.channel_axis == 1 else 0))
        return self.rectified(y)

    def padded(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes with the padding that is not plain zeros on both sides."""
        return codes

    def accumulate(self, codes: torch.Tensor) -> torch.Tensor:
        """The sums of products, or of table entries: whole numbers in int32, float32 or float64, shaped as the output.

        With gradients where they are enabled: of a narrow accumulator those of sums that do not overflow.
        """
        weights = self.weight_codes()
        codes = self.padded(codes)
        if self.accumulator is None:
            return self._whole_sums(codes, weights)
        sums = narrow_sums(self, self.accumulator, codes, weights)
        if torch.is_grad_enabled():
            return straight_through(self._whole_sums(codes, weights).double(), sums.double())
        return sums

    def _whole_sums(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Without any overflow."""
        if not self.lut.numel() and not self._exact_by_table(weights):
            return exact.sums(self._exact_product, codes, weights, self._cuts(weights), self.channel_axis)
        if torch.is_grad_enabled():
            return self._table_sums(codes, weights, self._split())
        return self.integer_sums(autograd.to_bytes(codes), autograd.to_bytes(weights), self.product_table())

    def _exact_by_table(self, weights: torch.Tensor) -> bool:
        """Where gradients are needed, or sums alone: only if float32 would not be exact."""
        return cuda.serves(weights) and exact.by_table(weights)

    def _split(self) -> backend.Prepared:
        if torch.compiler.is_compiling():
            return []
        return self._kept.split(self.product_table(), len(self.weight) // self.groups)

    def _cuts(self, weights: torch.Tensor) -> int:
        if weights.is_cuda:
            return 0
        most = weights.shape[1] if self.groups == 1 else 1
        if torch.compiler.is_compiling():  # values cannot be looked at: as if all weights were the largest
            return exact.cuts_of_any(weights[0].numel(), most, self.in_codes[0])
        return exact.cuts(weights, most, self.in_codes[0])

    def finish(self, accumulator: torch.Tensor) -> torch.Tensor:
        """Bias, compensation and requantisation: codes float32 in `out_codes`."""
        return self._requantize(accumulator, *self.bias_and_factor())

    def _requantize(self, sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return autograd.requantize(sums, bias, factor, *self.out_codes)

    def bias_and_factor(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What requantisation adds and multiplies by, float64 [N], with gradients."""
        bias, ratio = self._bias_and_ratio()
        return torch.clamp(round_half_up(bias), *_INT32), fixed_point(ratio)

    def _bias_and_ratio(self) -> tuple[torch.Tensor, torch.Tensor]:
        product_scale = self.step("in_scale") * self.step("weight_scale")
        ratio = product_scale * self.channel_gain / (self.gain * self.step("out_scale"))
        per_product = self.gain / self.channel_gain.clamp_min(1e-9)
        bias = round_half_up(self.bias.double() / product_scale)  # in products, so that exact tables of any gain agree
        return (bias + self.channel_offset) * per_product, ratio

    def finest_scale(self) -> torch.Tensor:
        return self.in_scale.detach() * self.weight_scale.detach().max()

    def integers(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The hardware's constants for each channel: bias (int32 range), m, s; float64 [N], on the CPU."""
        bias, ratio = (value.detach().cpu() for value in self._bias_and_ratio())
        return torch.clamp(round_half_up(bias), *_INT32), *multiplier_and_shift(ratio)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if self.accumulator is not None:
            return self.finish(self.accumulate(codes))
        if torch.compiler.is_compiling() or torch.is_grad_enabled():
            self._forget()
            weights = self.weight_codes()
            if self._steps_learned() or not (self.lut.numel() or self._exact_by_table(weights)):
                return self.finish(self.accumulate(codes))
            bias, factor = self.bias_and_factor()
            return self._table_layer(self.padded(codes), Constants(weights, self._split(), 0, bias, factor))
        codes = self.padded(codes)
        lut, columns = self.product_table(), len(self.weight) // self.groups
        state = (*self.parameters(recurse=False), self.gain, self.channel_gain, self.channel_offset)
        constants = self._kept.constants(lut, columns, (*state, self._settings()), self.constants)
        if constants.prepared:
            return self._table_layer(codes, constants)
        sums = exact.sums(self._exact_product, codes, constants.weights, constants.cuts, self.channel_axis)
        return self._requantize(sums, constants.bias, constants.factor)

    def _steps_learned(self) -> bool:
        return self.out_scale.requires_grad or self.in_scale.requires_grad or self.weight_scale.requires_grad

    def settle(self, *in_codes: Codes) -> None:
        super().settle(*in_codes)
        self._keep_exact_table()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        moved = super()._apply(fn, recurse)
        self._keep_exact_table()
        return moved

    def train(self, mode: bool = True) -> TableLayer:
        self._forget()
        super().train(mode)
        return self

    def _forget(self) -> None:
        """On a CUDA device not every change is noticed (fused optimisers' are not): what is trained is made anew."""
        if self.weight.is_cuda and not torch.compiler.is_compiling():
            self._kept.forget()

    def _keep_exact_table(self) -> None:
        """On a CUDA device, before a compiler's trace asks for it and for whether the kernels serve."""
        if cuda.serves(self.weight):
            exact.keep_table(self.in_codes[0], self.weight.device)

    def product_table(self) -> torch.Tensor:
        """The table, or that of the exact product: int32 [256, 256]."""
        return self.lut if self.lut.numel() else exact.table(self.in_codes[0], self.lut.device)

    def _settings(self) -> tuple:
        """Plain values that a pass depends on."""
        return (self.in_codes, self.out_codes, self.weight_bits, self.accumulator, *self.geometry())

    @torch.no_grad()
    def constants(self, lut: torch.Tensor, split: backend.Prepared) -> Constants:
        """What a pass without gradients needs, as things are now: for a table, or the exact one, and its split."""
        weights, (bias, factor) = self.weight_codes(), self.bias_and_factor()
        if self.lut.numel() or exact.by_table(weights):
            return Constants(weights, self._prepare(autograd.to_bytes(weights), lut, split), 0, bias, factor)
        return Constants(weights, [], self._cuts(weights), bias, factor)

    def _arguments(self, constants: Constants) -> tuple:
        """Of the table operators, after the activations."""
        weights, prepared, _, bias, factor = constants
        lut = prepared[1] if backend.is_prepared(prepared) else self.product_table()
        return weights, lut, prepared, self.gain, self.gradient(), bias, factor, *self.out_codes

    def _prepare(self, weights: torch.Tensor, lut: torch.Tensor, split: backend.Prepared) -> backend.Prepared:
        """Weights uint8 packed for this layer's product."""
        return backend.prepare(weights, lut, None, split)

    def geometry(self) -> tuple:
        """Stride, padding, dilation and groups of a convolution."""
        return ()

    def integer_sums(self, codes: torch.Tensor, weights: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
        """Sums int32, shaped as the output, of bytes of padded codes and of weights with this table."""
        raise NotImplementedError

    def windows(self, codes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Padded codes, or their bytes, as each group's matrix [M, K], k in the order of `weight.flatten(1)`."""
        raise NotImplementedError

    def placed(self, sums: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Sums [M, N] of the windows of these padded codes, shaped as the output."""
        raise NotImplementedError

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor, kept: backend.Prepared) -> torch.Tensor:
        raise NotImplementedError

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        raise NotImplementedError

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def macs(self, output: torch.Size) -> int:
        """Multiplications for an output of this shape (batch included)."""
        return int(np.prod(output)) * int(np.prod(self.weight.shape[1:]))

    def get_extra_state(self) -> dict[str, Any]:
        state = {**super().get_extra_state(), "weight_bits": self.weight_bits}
        if self.accumulator is not None:
            state |= {"schema": _NARROW_SCHEMA, "accumulator": [*self.accumulator]}
        return state

    def set_extra_state(self, state: dict[str, Any]) -> None:
        narrow = state["schema"] == _NARROW_SCHEMA and "accumulator" in state
        super().set_extra_state({**state, "schema": SCHEMA} if narrow else state)
        self.weight_bits = int(state["weight_bits"])
        self.accumulator = Accumulator(*state["accumulator"]) if narrow else None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A saved table, and a saved scale of weights, have their own sizes; makes room for them."""
        if prefix + "lut" in state_dict:
            self.lut = torch.empty_like(state_dict[prefix + "lut"], device=self.weight.device)
        for name in (*_GRADIENT, "zero_terms"):
            saved = state_dict.get(prefix + name)
            setattr(self, name, None if saved is None else torch.empty_like(saved, device=self.weight.device))
        saved = state_dict.get(prefix + "weight_scale")
        if saved is not None and saved.shape != self.weight_scale.shape and saved.shape in ((1,), self.bias.shape):
            self.weight_scale = nn.Parameter(torch.ones_like(saved, device=self.weight.device), requires_grad=False)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def table_layers(model: nn.Module) -> dict[str, TableLayer]:
    """The layers that multiply, by module name, in the network's order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, TableLayer)}
