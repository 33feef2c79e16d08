"""Fixes the activation scales of a quantised network from what it sees on calibration images."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from agn_hw.nn.errors import ModelError, unsupported
from agn_hw.nn.layers import (
    LOGITS,
    SIGNED,
    UNSIGNED,
    Dequantize,
    Quantize,
    TableLayer,
    TableLinear,
)
from agn_hw.nn.observe import largest_magnitude, mse_scale
from agn_hw.nn.sums import AveragePool, ResidualSum


@torch.no_grad()
def calibrate(quantized: fx.GraphModule, images: torch.Tensor) -> None:
    """Sets every scale of the network `skeleton` made; images: float [B, C, H, W], not negative.

    Raises ModelError for negative images and for a linear layer that is fed more than one row an image.
    """
    if bool((images < 0).any()):
        mend = "feed images as 0..1 (the mean is learned by the first layer)"
        raise ModelError("inputs that are not negative", f"{float(images.min()):.3g} came", mend)
    _Calibration(quantized).run(images)


class _Calibration(fx.Interpreter):
    """Runs the quantised graph once, in order, fixing each module's output scale from what it sees.

    Every module computes in real numbers here (codes times scale), so that scales do not build on each other's
    rounding; afterwards all input scales are those of the edges.
    """

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.scales: dict[fx.Node, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_module":
            result = super().run_node(n)
            if n.op in ("call_function", "call_method"):  # flatten and its kin
                self.scales[n] = self.scales[n.all_input_nodes[0]]
            return result
        module = self.module.get_submodule(str(n.target))
        sources = [source for source in (*n.args, *n.kwargs.values()) if isinstance(source, fx.Node)]
        scales = [self.scales[source] for source in sources if source in self.scales]
        values = [self.env[source] for source in sources]
        if isinstance(module, TableLinear) and values[0].dim() != 2:
            raise unsupported(n.target, f"a linear layer on {values[0].dim()} dimensions, [batch, features] are wanted")
        real = self._real(module, values)
        if isinstance(module, Quantize):
            module.scale = largest_magnitude(real) / UNSIGNED[1]
            self.scales[n] = module.scale.double()
        elif isinstance(module, (TableLayer, ResidualSum, AveragePool)):
            module.out_scale = self._output_scale(module, real)
            if isinstance(module, ResidualSum):
                module.in_scales = torch.stack(scales)
            else:
                module.in_scale = scales[0]
            self.scales[n] = module.out_scale
        elif isinstance(module, Dequantize):
            module.scale = scales[0].float()
        else:
            self.scales[n] = scales[0]
        return real

    @staticmethod
    def _output_scale(module: Any, real: torch.Tensor) -> torch.Tensor:
        if module.output_range == LOGITS:
            return largest_magnitude(real).double() / LOGITS[1] * 2  # room for what was not seen
        levels = module.output_range[1]
        return mse_scale(real, levels, signed=module.output_range == SIGNED)

    @staticmethod
    def _real(module: nn.Module, values: list[torch.Tensor]) -> torch.Tensor:
        if isinstance(module, (Quantize, Dequantize)):
            return values[0]
        if isinstance(module, TableLayer):
            scale = module.weight_scale.reshape(-1, *[1] * (module.weight.dim() - 1)).float()
            y = module._exact_product(values[0], module.weight_codes() * scale)
            y = y + module.bias.reshape(1, -1, *[1] * (y.dim() - 2))
        elif isinstance(module, ResidualSum):
            y = values[0] + values[1]
        elif isinstance(module, AveragePool):
            return values[0].mean((-2, -1), keepdim=True)
        else:
            return module(values[0])
        return torch.relu(y) if module.output_range == UNSIGNED else y
