"""What adds codes without multiplying: residual sums and pools."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from agn_hw.kernels import autograd
from agn_hw.nn.layers import SIGNED, UNSIGNED
from agn_hw.nn.requantize import multiplier_and_shift

_FLOAT32_EXACT = 2**24


class ResidualSum(nn.Module):
    """Codes of two branches, each with its scale, added in integers to codes of `out_scale`."""

    in_scales: torch.Tensor
    out_scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("in_scales", torch.ones(2, dtype=torch.float64))
        self.register_buffer("out_scale", torch.tensor(1.0, dtype=torch.float64))
        self.output_range = SIGNED

    def integers(self) -> tuple[list[float], float]:
        """Multiplier of each branch and their common shift."""
        first, second, shift = _sum_integers(*self.in_scales.tolist(), float(self.out_scale))
        return [first, second], shift

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        (first, second), shift = self.integers()
        scale = 2.0**-shift
        return autograd.add_codes(left, right, first * scale, second * scale, *self.output_range)


@lru_cache(maxsize=1024)
def _sum_integers(first: float, second: float, out: float) -> tuple[float, float, float]:
    m, s = multiplier_and_shift(torch.tensor([first, second], dtype=torch.float64) / out)
    shift = float(s.min())
    left, right = (float(torch.floor(v * 2.0 ** (shift - t) + 0.5)) for v, t in zip(m, s, strict=True))
    return left, right, shift


class AveragePool(nn.Module):
    """Mean over height and width in integers: [B, C, H, W] -> [B, C, 1, 1], rounded half up at `out_scale`."""

    in_scale: torch.Tensor
    out_scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("in_scale", torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("out_scale", torch.tensor(1.0, dtype=torch.float64))
        self.output_range = UNSIGNED

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        channels, size = codes.shape[1], codes.shape[-1] * codes.shape[-2]
        bias = torch.zeros(channels, dtype=torch.float64)
        factor = torch.full_like(bias, _pool_factor(float(self.in_scale), float(self.out_scale), size))
        dtype = torch.float32 if size * UNSIGNED[1] < _FLOAT32_EXACT else torch.float64
        total = codes.sum((-2, -1), keepdim=True, dtype=dtype)
        return autograd.requantize(total, bias, factor, *self.output_range)


@lru_cache(maxsize=1024)
def _pool_factor(in_scale: float, out_scale: float, size: int) -> float:
    m, s = multiplier_and_shift(torch.tensor(in_scale / (out_scale * size), dtype=torch.float64))
    return float(m * torch.exp2(-s))


class MaxPool(nn.Module):
    """The largest code of each window, at the scale of its input: [B, C, H, W] -> [B, C, H', W']."""

    def __init__(self, source: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = source

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        # torch pools channels side by side many times faster than planes
        pooled: torch.Tensor = self.pool(codes.contiguous(memory_format=torch.channels_last))
        return pooled.contiguous()
