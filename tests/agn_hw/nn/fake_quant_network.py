"""The fake-quant form of a network with exact products: real numbers in float64, x -> s * clamp(round(x / s)).

The step s of a layer's output is what the fixed-point factor m / 2^s makes of it: the scale of the products over the
factor. Rounding half up sees the last bits of float64; a margin far below the factors' grid sends ties up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional as F

from agn_hw.nn.coded import Coded
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.functions import Lookup
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.pools import AveragePool, GlobalAverage
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from agn_hw.nn.sums import CodeProduct, ResidualSum
from tests.agn_hw.nn.integer_network import constants, fixed, quantize, sum_factors, weight_codes, windows

_MARGIN = 1e-9


def fake_quant(x: torch.Tensor, step: torch.Tensor | float, module: Coded) -> torch.Tensor:
    """The module's scale * clamp(round(x / step))."""
    return torch.floor(x / step + 0.5 + _MARGIN).clamp(*module.out_codes) * module.out_scale


def layer(module: TableLayer, x: torch.Tensor) -> torch.Tensor:
    assert not module.lut.numel()
    weight = torch.from_numpy(weight_codes(module)).double()
    bias, m, s = torch.tensor(constants(module), dtype=torch.float64).T
    assert s.max() < 29  # the margin is below half a step of the grid
    step = module.in_scale * module.weight_scale.expand(len(bias))
    real_weight, real_bias = weight * step.reshape(-1, *[1] * (weight.dim() - 1)) / module.in_scale, bias * step
    step = step / (m * torch.exp2(-s))
    if isinstance(module, TableLinear):
        return fake_quant(F.linear(x, real_weight, real_bias), step, module)
    assert isinstance(module, TableConv2d)
    if module.explicit:
        x = F.pad(x, module.explicit, mode=module.padding_mode.replace("zeros", "constant"))
    geometry = [value[-1:] if x.dim() == 3 else value for value in (module.stride, module.padding, module.dilation)]
    convolve = F.conv1d if isinstance(module, TableConv1d) else F.conv2d
    y = convolve(x, real_weight, real_bias, *geometry, module.groups)  # type: ignore[operator]
    return fake_quant(y, step.reshape(-1, *[1] * (x.dim() - 2)), module)


def fixed_factor(ratio: float) -> float:
    m, s = fixed(ratio)
    assert s < 29
    return m / 2**s


class FakeQuantNetwork(fx.Interpreter):
    """All values are real numbers. `edges`: what each module gives, float64."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.edges: dict[str, torch.Tensor] = {}

    def call_module(self, target: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        module = self.module.get_submodule(target)
        if isinstance(module, Dequantize):
            return torch.round(args[0] / module.in_scale).float() * module.in_scale.float()
        if not isinstance(module, Coded):
            return super().call_module(target, args, kwargs)
        if isinstance(module, Quantize):
            made = torch.from_numpy(quantize(module, args[0])) * module.out_scale
        elif isinstance(module, TableLayer):
            made = layer(module, args[0])
        elif isinstance(module, ResidualSum):
            (first, second), shift = sum_factors(module)
            assert shift < 29
            left, right = args[0] / module.left_scale, args[1] / module.right_scale
            made = fake_quant((left * first + right * second) / 2**shift, 1.0, module)
        elif isinstance(module, CodeProduct):
            scale = float(module.left_scale * module.right_scale)
            made = fake_quant(args[0] * args[1], scale / fixed_factor(scale / float(module.out_scale)), module)
        elif isinstance(module, Lookup):
            made = fake_quant(module.function(args[0]), module.out_scale, module)
        else:
            made = self.pooled(module, args[0])
        self.edges[target] = made
        return made

    def pooled(self, module: Coded, x: torch.Tensor) -> torch.Tensor:
        scale, out_scale = float(module.in_scale), float(module.out_scale)
        if isinstance(module, GlobalAverage):
            mean = x.mean(module.axes, keepdim=module.keepdim)
            size = x.numel() // mean.numel()
            step = scale / size / fixed_factor(scale / (out_scale * size))
            return fake_quant(mean, step, module)
        assert isinstance(module, AveragePool)
        sides = [[size for _, _, size in windows(module.pool, axis, x.shape[axis + 2])] for axis in (0, 1)]
        sizes = np.multiply.outer(*sides)
        if getattr(module.pool, "divisor_override", None):
            sizes[:] = module.pool.divisor_override
        steps = [scale / size / fixed_factor(scale / (out_scale * size)) for size in sizes.ravel().tolist()]
        return fake_quant(module.pool(x), torch.tensor(steps, dtype=torch.float64).reshape(sizes.shape), module)


@torch.no_grad()
def fake_quant_network(network: fx.GraphModule, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """The network's output float32, and the codes that each module's real numbers stand for, by name."""
    interpreter = FakeQuantNetwork(network)
    output = interpreter.run(x)
    scales = {name: network.get_submodule(name).out_scale for name in interpreter.edges}
    return output, {name: torch.round(y / scales[name]).long().numpy() for name, y in interpreter.edges.items()}
