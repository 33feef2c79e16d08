"""Choosing a scale from observed values: the largest, a percentile, or the least squared error.

Values are seen batch by batch as a histogram, so that calibration needs no memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agn_hw.nn.scheme import Observer

PERCENTILE = 0.9999
"""The share of values that `percentile` keeps within the range."""
_CANDIDATES = 48
_SMALLEST_CLIP = 0.3
_BINS = 4096


def largest_magnitude(values: torch.Tensor) -> torch.Tensor:
    """max |value|, never zero."""
    return values.detach().abs().max().clamp_min(1e-12)


@dataclass
class Histogram:
    """Counts of values in equal bins from low to high, float64 [4096]."""

    low: float
    high: float
    counts: torch.Tensor

    @classmethod
    def empty(cls, low: float, high: float) -> Histogram:
        return cls(low, high, torch.zeros(_BINS, dtype=torch.float64))

    def add(self, values: torch.Tensor) -> None:
        """Counts the values that lie within."""
        self.counts += torch.histc(values.detach().float(), _BINS, self.low, self.high).double().cpu()

    def centres(self) -> torch.Tensor:
        """The middle of each bin, float64."""
        steps = torch.arange(_BINS, dtype=torch.float64) + 0.5
        return self.low + steps * (self.high - self.low) / _BINS

    def quantile(self, share: float) -> float:
        """The upper end of the bin below which this share of the values lies."""
        total = self.counts.cumsum(0)
        bins = int(torch.searchsorted(total, share * float(total[-1]))) + 1
        return self.low + min(bins, _BINS) * (self.high - self.low) / _BINS


def symmetric_scale(seen: Histogram, levels: int, observer: Observer) -> torch.Tensor:
    """The scale for codes 0..levels, or -levels..levels if the histogram begins below zero; float64 scalar.

    mse: clips from 30 % to 100 % of the largest magnitude are tried for the least squared rounding and clipping error.
    """
    signed = seen.low < 0
    top = max(-seen.low, seen.high)
    if observer == "minmax":
        return torch.tensor(top / levels, dtype=torch.float64)
    if observer == "percentile":
        reach = max(seen.quantile(PERCENTILE), -seen.quantile(1 - PERCENTILE) if signed else 0.0)
        return torch.tensor(max(reach, 1e-12) / levels, dtype=torch.float64)
    scales = torch.linspace(_SMALLEST_CLIP, 1.0, _CANDIDATES, dtype=torch.float64) * top / levels
    centres = seen.centres()
    codes = torch.round(centres[None] / scales[:, None]).clamp(-levels if signed else 0, levels)
    error = ((codes * scales[:, None] - centres[None]).square() * seen.counts[None]).sum(1)
    return scales[error.argmin()]


def affine_scale(seen: Histogram, levels: int, observer: Observer) -> tuple[torch.Tensor, int]:
    """The scale (float64 scalar) and zero point for codes 0..levels that reach from below zero to above.

    mse: both ends are drawn in together, to 30 % of their distance from zero at most.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if observer == "percentile":
        low, high = min(seen.quantile(1 - PERCENTILE), 0.0), max(seen.quantile(PERCENTILE), 0.0)
    width = max(high - low, 1e-12)
    clips = torch.linspace(_SMALLEST_CLIP, 1.0, _CANDIDATES, dtype=torch.float64)
    if observer != "mse":
        clips = torch.ones(1, dtype=torch.float64)
    scales = clips * width / levels
    zero_point = round(-low / width * levels)
    centres = seen.centres()
    codes = torch.round(centres[None] / scales[:, None]).clamp(-zero_point, levels - zero_point)
    error = ((codes * scales[:, None] - centres[None]).square() * seen.counts[None]).sum(1)
    return scales[error.argmin()], zero_point


def mse_scale(values: torch.Tensor, levels: int, signed: bool) -> torch.Tensor:
    """`symmetric_scale` of these values alone with the least squared error."""
    top = float(largest_magnitude(values))
    seen = Histogram.empty(-top if signed else 0.0, top)
    seen.add(values)
    return symmetric_scale(seen, levels, "mse")


def weight_scales(weight: torch.Tensor, levels: int, per_channel: bool, observer: Observer) -> torch.Tensor:
    """Scales of weights [N, ...] for codes -levels..levels: float64 [N], or [1] if not per channel.

    A channel with hardly any weights (a BatchNorm has switched it off) counts as if its largest were 2^-10 of the
    layer's, so that its bias, counted in products, stays within int32.
    """
    rows = weight.detach().double().reshape(len(weight) if per_channel else 1, -1)
    largest = rows.abs().amax(1)
    of_layer = float(largest.max()) or 1.0
    if observer == "minmax":
        return largest.clamp_min(of_layer * 2.0**-10) / levels
    if observer == "percentile":
        reach = torch.quantile(rows.abs(), PERCENTILE, dim=1) if rows.shape[1] < 2**24 else largest
        return reach.clamp_min(of_layer * 2.0**-10) / levels
    best, least = largest.clone(), torch.full_like(largest, float("inf"))
    for clip in torch.linspace(_SMALLEST_CLIP, 1.0, _CANDIDATES, dtype=torch.float64):
        scale = (largest * clip / levels).clamp_min(1e-300)[:, None]
        error = (torch.round(rows / scale).clamp(-levels, levels) * scale - rows).square().sum(1)
        best, least = torch.where(error <= least, largest * clip, best), torch.minimum(error, least)
    return best.clamp_min(of_layer * 2.0**-10) / levels
