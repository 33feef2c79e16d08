"""Networks in real numbers, float64, as the literature writes them: x -> scale * clip(round(x / scale)).

Made for the graphs of agn_hw.quantize, read module by module, and differentiated by torch's autograd alone; rounding
counts as the identity. It says what gradients of step sizes should be: Esser et al., "Learned step size quantization",
ICLR 2020, equation 3, follows from nothing else.
"""

from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from agn_hw.codes import Codes
from agn_hw.nn.coded import Coded
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.functions import Lookup
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.pools import AveragePool, GlobalAverage
from agn_hw.nn.products import TableConv1d, TableConv2d
from agn_hw.nn.sums import CodeProduct, ResidualSum


def rounded(x: torch.Tensor) -> torch.Tensor:
    """floor(x + 1/2), with the gradient of x."""
    return x + (torch.floor(x + 0.5) - x).detach()


def quantised(x: torch.Tensor, scale: torch.Tensor, codes: Codes, strict: bool) -> torch.Tensor:
    """scale * clip(round(x / scale)). What is clipped counts as its limit, a constant.

    strict: what just reaches a limit counts as clipped too, as in requantisation, where only the code is known
    afterwards. Otherwise x is followed up to half a code beyond.
    """
    y = rounded(x / scale)
    clipped = y.detach().clamp(*codes)
    inside = (y > codes.low) & (y < codes.high) if strict else y == clipped
    return scale * torch.where(inside, y, clipped)


class FakeQuant(fx.Interpreter):
    """Runs a quantised graph in real numbers, on float64 copies of its parameters.

    leaves: the copy of each parameter, by its identity; by_name: by its first name. shares: what the paper multiplies a
    step size's gradient by, 1 / sqrt(numbers of that step size * largest code), those of activations for one image.
    masses: of each step size, sum |gradient * code|, known after the backward pass: what rounding errors are part of.
    """

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        named = dict(model.named_parameters())
        self.leaves = {id(p): p.detach().double().clone().requires_grad_() for p in named.values()}
        self.shares: dict[int, float] = {}
        self.masses: dict[int, torch.Tensor] = {}
        self.by_name = {name: self.leaves[id(p)] for name, p in named.items()}

    def scale(self, module: nn.Module, name: str) -> torch.Tensor:
        return self.leaves[id(module.get_parameter(name))]

    def run_node(self, n: fx.Node) -> Any:
        module = self.module.get_submodule(str(n.target)) if n.op == "call_module" else None
        if not isinstance(module, Coded):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        values = (*args, *kwargs.values())
        if isinstance(module, Dequantize):
            return values[0]
        y = self.lookup(module, values[0]) if isinstance(module, Lookup) else self.requantised(module, *values)
        count = y.numel() / len(y) * max(-module.out_codes.low, module.out_codes.high)
        self.shares[id(module.out_scale)] = count**-0.5
        self.weigh(module.out_scale, y)
        return y

    def requantised(self, module: Coded, *values: torch.Tensor) -> torch.Tensor:
        real = self.layer(module, values[0]) if isinstance(module, TableLayer) else self.other(module, *values)
        strict = not isinstance(module, (AveragePool, Quantize))
        return quantised(real, self.scale(module, "out_scale"), module.out_codes, strict)

    def weigh(self, scale: nn.Parameter, numbers: torch.Tensor) -> None:
        """Notes what the gradient of this step size adds up, in sizes."""
        steps = scale.detach().reshape(-1, *[1] * (numbers.dim() - 1)) if scale.dim() else scale.detach()
        codes = (numbers.detach() / steps).abs()
        numbers.register_hook(lambda grad: self.masses.update({id(scale): (grad.abs() * codes).sum()}))

    def other(self, module: Coded, *values: torch.Tensor) -> torch.Tensor:
        if isinstance(module, Quantize):
            return values[0].double()
        if isinstance(module, ResidualSum):
            return values[0] + values[1]
        if isinstance(module, CodeProduct):
            return values[0] * values[1]
        if isinstance(module, GlobalAverage):
            return values[0].mean(module.axes, keepdim=module.keepdim)
        assert isinstance(module, AveragePool)
        return module.pool(values[0])

    def lookup(self, module: Lookup, x: torch.Tensor) -> torch.Tensor:
        """A function; its slope is the difference, per code, of what one code up and one down give, clipped."""
        of_input, step = self.scale(module, "in_scale"), self.scale(module, "out_scale")
        codes = (x / of_input).detach().round()
        up, down = (module.function((codes + d) * of_input.detach()) / step.detach() for d in (1, -1))
        slope = (up.clamp(*module.out_codes) - down.clamp(*module.out_codes)) / 2
        along = slope * step.detach() * x / of_input.detach()
        there = module.function(codes * of_input.detach())
        return quantised(there, step, module.out_codes, strict=False) + (along - along.detach())

    def layer(self, module: TableLayer, x: torch.Tensor) -> torch.Tensor:
        """Products of real numbers; with a table, of what it makes of the codes."""
        weight, bias = self.leaves[id(module.weight)], self.leaves[id(module.bias)]
        step, of_input = self.scale(module, "weight_scale"), self.scale(module, "in_scale")
        wide = step.reshape(-1, *[1] * (weight.dim() - 1))
        largest = module.largest_weight
        self.shares[id(module.weight_scale)] = (weight.numel() / step.numel() * largest) ** -0.5
        numbers = quantised(weight, wide, Codes(-largest, largest), strict=False)
        self.weigh(module.weight_scale, numbers)
        codes = numbers / wide
        sums = product(module, x / of_input, codes)
        if module.lut.numel():
            with torch.no_grad():
                entries = module.accumulate((x / of_input).round().float()).double() / module.gain
            sums = sums + (entries - sums).detach()
        channels = (-1, *[1] * (sums.dim() - 2)) if isinstance(module, TableConv2d) else (-1,)
        unit = of_input * step
        sums = sums * module.channel_gain.reshape(channels) + module.channel_offset.reshape(channels)
        return sums * unit.reshape(channels) + (rounded(bias / unit) * unit).reshape(channels)


def product(module: TableLayer, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    if not isinstance(module, TableConv2d):
        return F.linear(x, w)
    settings = [module.stride, module.padding, module.dilation]
    if isinstance(module, TableConv1d):
        return F.conv1d(module.padded(x), w, None, *[part[1] for part in settings], module.groups)
    return F.conv2d(module.padded(x), w, None, *settings, module.groups)
