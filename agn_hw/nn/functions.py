"""Functions of one variable on codes: a table of up to 256 codes (SiLU, GELU, sigmoid, a narrower range ...)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.nn.coded import Coded
from agn_hw.nn.requantize import round_half_up

MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign,
    nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Tanh, nn.LogSigmoid,
)  # fmt: skip
"""Modules that work on each number alone, without parameters."""

NAMES: dict[str, Callable[..., torch.Tensor]] = {
    "relu": F.relu, "relu_": F.relu, "relu6": F.relu6, "leaky_relu": F.leaky_relu, "elu": F.elu, "gelu": F.gelu,
    "silu": F.silu, "mish": F.mish, "softplus": F.softplus, "sigmoid": torch.sigmoid, "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish, "hardtanh": F.hardtanh, "tanh": torch.tanh, "clamp": torch.clamp, "neg": torch.neg,
    "abs": torch.abs,
}  # fmt: skip
"""The same as functions and methods of tensors, by name."""


_FAR = 64.0  # beyond this the functions above go on as they are


class Applied(nn.Module):
    """A function with its further arguments, as a module."""

    def __init__(self, name: str, args: tuple, kwargs: dict) -> None:
        super().__init__()
        self.name, self.args = name, args
        self.kwargs = {key: value for key, value in kwargs.items() if key != "inplace"}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = NAMES[self.name](x, *self.args, **self.kwargs)
        return y


def ceiling(function: nn.Module) -> float | None:
    """Infinite for a ReLU, 6 for a ReLU6 (max for max(0, min(x, max))), None for another function."""
    if isinstance(function, nn.ReLU) or getattr(function, "name", "") in ("relu", "relu_"):
        return float("inf")
    if isinstance(function, nn.Hardtanh) and function.min_val == 0:  # nn.ReLU6 is one
        return float(function.max_val)
    return 6.0 if getattr(function, "name", "") == "relu6" else None


class Lookup(Coded):
    """function(code * in_scale) as codes of `out_scale`: one entry for each code of the input.

    The gradient with respect to the input, and to its scale, is that of the function, as the difference of its values
    one code up and one code down.
    """

    in_scale: nn.Parameter

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def nonnegative(self) -> bool:
        lowest = -_FAR if self.in_codes[0].signed else 0.0
        return float(self.function(torch.linspace(lowest, _FAR, 4096)).min()) >= 0

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.function(values[0])
        return y

    def entries(self) -> torch.Tensor:
        """The output's code for each code of the input, float32 [high - low + 1]."""
        low, high = self.in_codes[0]
        values = self._values(torch.arange(low, high + 1, device=self.out_scale.device))
        return torch.clamp(round_half_up(values), *self.out_codes).float()

    def _values(self, codes: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.function(codes.double() * self.in_scale.detach()) / self.step("out_scale")
        return values

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        low, high = self.in_codes[0]
        index = codes.detach().to(torch.int64) - low
        y = self.entries()[index]
        if not (torch.is_grad_enabled() and (codes.requires_grad or self.in_scale.requires_grad)):
            return y
        around = torch.arange(low - 1, high + 2, device=codes.device)
        values = self._values(around).detach().clamp(*self.out_codes)
        slope = ((values[2:] - values[:-2]) / 2).float()
        codes = codes * (self.step("in_scale") / self.in_scale.detach()).float()  # the same numbers
        return y + (codes - codes.detach()) * slope[index]
