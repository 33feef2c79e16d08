"""Choosing an activation scale from observed values."""

from __future__ import annotations

import torch

_CANDIDATES = 48
_BINS = 4096


def largest_magnitude(values: torch.Tensor) -> torch.Tensor:
    """max |value|, never zero."""
    return values.detach().abs().max().clamp_min(1e-12)


def mse_scale(values: torch.Tensor, levels: int, signed: bool) -> torch.Tensor:
    """The scale with the least squared rounding and clipping error, float64 scalar.

    Codes are round(value / scale) in [0, levels], or [-levels - 1, levels] if signed; clips from 30 % to 100 % of the
    largest magnitude are tried on a histogram of the values.
    """
    top = float(largest_magnitude(values))
    low = -top if signed else 0.0
    counts = torch.histc(values.detach().float(), _BINS, low, top).double()
    centres = low + (torch.arange(_BINS, dtype=torch.float64) + 0.5) * (top - low) / _BINS
    scales = torch.linspace(0.3, 1.0, _CANDIDATES, dtype=torch.float64) * top / levels
    codes = torch.round(centres[None] / scales[:, None]).clamp(-levels - 1 if signed else 0, levels)
    error = ((codes * scales[:, None] - centres[None]).square() * counts[None]).sum(1)
    return scales[error.argmin()]
