"""Poolings on codes: the mean of each window in integers, the largest code of each window."""

from __future__ import annotations

import torch
from torch import nn

from agn_hw.nn.coded import Coded
from agn_hw.nn.requantize import fixed_point, round_half_up
from agn_hw.nn.sums import requantized

_FLOAT32_EXACT = 2**24


class GlobalAverage(Coded):
    """Mean over some axes (height and width) of any tensor, rounded half up; keepdim: they stay, of length 1."""

    in_scale: nn.Parameter

    def __init__(self, keepdim: bool = True, axes: tuple[int, ...] = (-2, -1)) -> None:
        super().__init__()
        self.keepdim, self.axes = keepdim, axes

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0].mean(self.axes, keepdim=self.keepdim)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        size = 1
        for axis in self.axes:
            size *= codes.shape[axis]
        dtype = torch.float32 if size * self.in_codes[0].largest < _FLOAT32_EXACT else torch.float64
        total = codes.sum(self.axes, keepdim=self.keepdim, dtype=dtype)
        factor = fixed_point(self.step("in_scale") / (self.step("out_scale") * size))
        return requantized(total.reshape(1, 1, -1), factor, self.out_codes).reshape(total.shape)


class AveragePool(Coded):
    """Mean of each window: [B, C, H, W] -> [B, C, H', W'], rounded half up.

    source: an nn.AvgPool2d or nn.AdaptiveAvgPool2d. The sum of a window is an integer; what it is divided by is folded
    into the factor, one for each output position.
    """

    in_scale: nn.Parameter

    def __init__(self, source: nn.AvgPool2d | nn.AdaptiveAvgPool2d) -> None:
        super().__init__()
        self.pool = source

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = self.pool(values[0])
        return mean

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        mean = self.pool(codes.double())
        rows, columns = (self._divisors(i, codes.shape[i - 2], mean.shape[i - 2], codes.device) for i in (0, 1))
        size = rows.double().outer(columns.double())
        if isinstance(self.pool, nn.AvgPool2d) and self.pool.divisor_override:
            size = torch.full_like(size, float(self.pool.divisor_override))
        total = round_half_up(mean * size)  # an integer but for the last bits of the mean
        factor = fixed_point(self.step("in_scale") / (self.step("out_scale") * size))
        return torch.clamp(round_half_up(total * factor), *self.out_codes).float()

    def _divisors(self, axis: int, length: int, outputs: int, device: torch.device) -> torch.Tensor:
        """What the sum of each window is divided by, along one axis: int64 [outputs]."""
        i = torch.arange(outputs, device=device)  # made there: a copy would wait for the device
        if isinstance(self.pool, nn.AdaptiveAvgPool2d):
            return ((i + 1) * length + outputs - 1) // outputs - i * length // outputs
        sizes = self.pool.kernel_size, self.pool.stride, self.pool.padding
        kernel, stride, padding = (_pair(size)[axis] for size in sizes)
        starts = i * stride - padding
        ends = starts + kernel
        if self.pool.count_include_pad:
            return ends.clamp(max=length + padding) - starts
        return ends.clamp(max=length) - starts.clamp(min=0)


def _pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


class MaxPool(nn.Module):
    """The largest code of each window, at the scale of its input: [B, C, H, W] -> [B, C, H', W']."""

    def __init__(self, source: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = source

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if codes.is_cuda:
            planes: torch.Tensor = self.pool(codes)
            return planes
        # on a CPU torch pools channels side by side many times faster than planes
        pooled: torch.Tensor = self.pool(codes.contiguous(memory_format=torch.channels_last))
        return pooled.contiguous()
