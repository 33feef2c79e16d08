"""Sums and codes rescaled on a device: what `agn_hw.kernels.rescale` computes, with the same rounding."""

from __future__ import annotations

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.forms import Finish

SOURCE = "finish"
THREADS = 256
VALUES = 4
_SUMS = {torch.int32: 0, torch.float32: 1, torch.float64: 2}
VARIANTS = tuple({"SUMS": kind} for kind in _SUMS.values())


def requantize(sums: torch.Tensor, ending: Finish) -> torch.Tensor:
    """Codes float32 from sums [B, N, ...], whole numbers in int32, float32 or float64: see `Finish`."""
    sums = sums.contiguous()
    y = torch.empty_like(sums, dtype=torch.float32)
    _requantize(sums, y, ending)
    return y


def requantize_in_place(sums: torch.Tensor, ending: Finish) -> torch.Tensor:
    """The same of sums int32 without gaps; the codes take their place, and are a view of it."""
    y = sums.view(torch.float32)
    _requantize(sums, y, ending)
    return y


def _requantize(sums: torch.Tensor, y: torch.Tensor, ending: Finish) -> None:
    numbers = ending.bias.contiguous(), ending.factor.contiguous(), float(ending.low), float(ending.high)
    _launch("requantize", sums, (sums, y, *numbers, *_planes(sums)), SUMS=_SUMS[sums.dtype])


def preset(y: torch.Tensor, start: torch.Tensor) -> None:
    """Fills sums y int32 [B, N, ...], without gaps, with start int32 [N]."""
    _launch("preset", y, (y, start.contiguous(), *_planes(y)), SUMS=0)


def add_codes(left: torch.Tensor, right: torch.Tensor, factors: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """clamp(floor(left * factors[0] + right * factors[1] + 1/2), low, high), codes float32 of one shape.

    factors: float64 [2], on the same device: the host does not wait for them.
    """
    left, right = left.contiguous(), right.contiguous()
    y = torch.empty_like(left)
    arguments = left, right, y, factors.contiguous(), float(low), float(high), left.numel()
    _launch("add_codes", left, arguments, SUMS=0)
    return y


def _planes(sums: torch.Tensor) -> tuple[int, int, int]:
    """How many values, how many of one channel lie side by side, and how many channels."""
    return sums.numel(), sums.shape[2:].numel(), sums.shape[1]


def _launch(kernel: str, values: torch.Tensor, arguments: tuple, **macros: int) -> None:
    if values.numel():
        blocks = -(-values.numel() // (THREADS * VALUES))
        launch.launch(SOURCE, kernel, (blocks, 1, 1), THREADS, 0, arguments, **macros)
