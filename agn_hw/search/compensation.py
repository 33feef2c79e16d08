"""Per-channel gain and offset that undo an approximate layer's systematic error, free at run time.

Both fold into requantisation. Mean and standard deviation of each output channel are matched to the exact network's on
calibration images; a regression would shrink the gain where the error is large, and lose more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from agn_hw.nn.layers import TableLayer

_GAIN_RANGE = (0.05, 4.0)


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a layer's accumulator in products (table sums over gain), float64 [N]."""

    mean: torch.Tensor
    std: torch.Tensor


def moments(layer: TableLayer, accumulator: torch.Tensor) -> Moments:
    """Moments over batch and positions of an accumulator [B, N, ...]."""
    products = (accumulator.double() / layer.gain).transpose(0, 1).flatten(1)
    return Moments(products.mean(1), products.std(1, correction=0))


def compensate(layer: TableLayer, accumulator: torch.Tensor, exact: Moments) -> None:
    """Sets the layer's channel_gain and channel_offset so that its moments become the exact ones.

    The gain stays within 0.05 .. 4: a channel that lost its signal is not blown up.
    """
    own = moments(layer, accumulator)
    gain = torch.where(own.std > 0, exact.std / own.std.clamp_min(1e-12), torch.ones_like(own.std))
    layer.channel_gain = gain.clamp(*_GAIN_RANGE)
    layer.channel_offset = exact.mean - layer.channel_gain * own.mean


@torch.no_grad()
def exact_moments(model: fx.GraphModule, images: torch.Tensor) -> dict[str, Moments]:
    """Moments of every layer of the exact quantised network."""
    found: dict[str, Moments] = {}

    def visit(name: str, layer: TableLayer, accumulator: torch.Tensor) -> None:
        found[name] = moments(layer, accumulator)

    _Stepper(model, visit).run(images)
    return found


@torch.no_grad()
def reestimate(model: fx.GraphModule, images: torch.Tensor, exact: dict[str, Moments]) -> None:
    """Compensates layer after layer, each on what the approximate layers before it produce."""

    def visit(name: str, layer: TableLayer, accumulator: torch.Tensor) -> None:
        if layer.lut.numel():
            compensate(layer, accumulator, exact[name])

    _Stepper(model, visit).run(images)


class _Stepper(fx.Interpreter):
    """Runs a graph and calls `visit` between each layer's accumulation and its requantisation."""

    def __init__(self, model: fx.GraphModule, visit: Callable[[str, TableLayer, torch.Tensor], None]) -> None:
        super().__init__(model)
        self.visit = visit

    def call_module(self, target: Any, args: tuple, kwargs: dict) -> Any:
        module = self.fetch_attr(target)
        if not isinstance(module, TableLayer):
            return super().call_module(target, args, kwargs)
        accumulator = module.accumulate(args[0])
        self.visit(target, module, accumulator)
        return module.finish(accumulator)
