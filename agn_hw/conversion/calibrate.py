"""Fixes the scales and ranges of a quantised network from what its edges carry on calibration images.

Every module computes in real numbers here, so that scales do not build on each other's rounding; the images are gone
through twice, for the ends of each edge's values and for their histogram.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from agn_hw.codes import affine, signed, unsigned
from agn_hw.conversion.edges import connect, makers, module_of, settle
from agn_hw.conversion.observe import Histogram, affine_scale, symmetric_scale
from agn_hw.nn.coded import WIDE, Coded
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.errors import ModelError
from agn_hw.nn.layers import TableLayer

FINEST = 2.0**-4
"""Of the scale of a product: outputs of finer steps would have no other codes, only larger multipliers."""
_ROOM = 2
"""Wide outputs reach this many times beyond what was seen."""


@torch.no_grad()
def calibrate(quantized: fx.GraphModule, batches: list[torch.Tensor]) -> None:
    """Sets every range and scale of the network that `skeleton` made; batches: float inputs as the model takes them.

    Raises ModelError for inputs that lead to numbers that are not finite.
    """
    ends = _Ends(quantized)
    for batch in batches:
        ends.run(batch)
    _choose_ranges(quantized, ends.low)
    histograms = _Histograms(quantized, ends.low, ends.high)
    for batch in batches:
        histograms.run(batch)
    for module, seen in histograms.seen.items():
        _set_scale(module, seen)
    connect(quantized)


class _InPlaceOfCodes(fx.Interpreter):
    """Runs a quantised graph with another computation in the place of its integer modules'."""

    def run_node(self, n: fx.Node) -> Any:
        module = module_of(self.module, n)  # type: ignore[arg-type]
        if module is None:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return self.compute(module, *args, *kwargs.values())

    def compute(self, module: Coded, *values: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class InFloat(_InPlaceOfCodes):
    """Runs a quantised graph with nothing quantised: what the float model gives, if the graph is the model's."""

    def compute(self, module: Coded, *values: torch.Tensor) -> torch.Tensor:
        return module.product(values[0], module.weight) if isinstance(module, TableLayer) else module.real(*values)


class _Real(_InPlaceOfCodes):
    """Runs a quantised graph in real numbers and shows what each module gives."""

    def compute(self, module: Coded, *values: torch.Tensor) -> torch.Tensor:
        value = module.real(*values)
        if not isinstance(module, Dequantize):
            self.see(module, value)
        return value

    def see(self, module: Coded, value: torch.Tensor) -> None:
        raise NotImplementedError


class _Ends(_Real):
    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.low: dict[Coded, float] = {}
        self.high: dict[Coded, float] = {}

    def see(self, module: Coded, value: torch.Tensor) -> None:
        low, high = map(float, torch.aminmax(value.float()))
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            name = next(name for name, other in self.module.named_modules() if other is module)
            raise ModelError("finite numbers", f"'{name}' gives {low} to {high}", "look at the inputs and the weights")
        module.numbers = max(value.numel() // max(len(value), 1), 1) if value.dim() else 1
        self.low[module] = min(low, self.low.get(module, low))
        self.high[module] = max(high, self.high.get(module, high))


class _Histograms(_Real):
    def __init__(self, model: fx.GraphModule, low: dict[Coded, float], high: dict[Coded, float]) -> None:
        super().__init__(model)
        self.seen = {}
        for module in low:
            top = max(-low[module], high[module], 1e-12)
            bottom = -top if module.out_codes.signed else 0.0
            if _has_zero_point(module):
                bottom, top = min(low[module], 0.0), max(high[module], 1e-12)
            self.seen[module] = Histogram.empty(bottom, top)

    def see(self, module: Coded, value: torch.Tensor) -> None:
        self.seen[module].add(value)


def _has_zero_point(module: Coded) -> bool:
    return module.scheme.affine and module.out_codes.signed and module.bits < WIDE


def _choose_ranges(quantized: fx.GraphModule, low: dict[Coded, float]) -> None:
    """Signs, in order: what enters is unsigned if nothing negative was seen, the rest follows."""
    made = makers(quantized)
    for node in quantized.graph.nodes:
        module = module_of(quantized, node)
        if isinstance(module, Quantize):
            module.out_codes = signed(module.bits) if low[module] < 0 else unsigned(module.bits)
        elif module is not None:
            settle(module, [made[source] for source in node.all_input_nodes])


def _set_scale(module: Coded, seen: Histogram) -> None:
    high = module.out_codes.high
    if isinstance(module, TableLayer):
        module.fit_bias()
    if _has_zero_point(module):
        scale, zero_point = affine_scale(seen, 2**module.bits - 1, module.scheme.activation_observer)
        module.out_codes = affine(module.bits, zero_point)
    elif module.bits == WIDE:
        scale = symmetric_scale(seen, high, "minmax") * _ROOM
    else:
        of_inputs = isinstance(module, Quantize)  # images use their whole range
        scale = symmetric_scale(seen, high, "minmax" if of_inputs else module.scheme.activation_observer)
    if not any(seen.counts[1:]) and seen.low == 0:  # nothing but zeros
        scale = torch.ones_like(scale) / high
    scale = torch.maximum(scale, module.finest_scale() * FINEST)
    ceiling = getattr(module, "ceiling", None) or float("inf")  # of a ReLU6: it is the range's end that cuts
    module.out_scale.copy_(scale.clamp_max(ceiling / high))
