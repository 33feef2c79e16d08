"""Two branches of codes made one: residual sums, and products of two branches (squeeze and excitation)."""

from __future__ import annotations

import torch
from torch import nn

from agn_hw.codes import Codes
from agn_hw.kernels import autograd
from agn_hw.nn.coded import WIDE, Coded
from agn_hw.nn.requantize import common_fixed_point, fixed_point


class Rectifiable(Coded):
    """A module into whose requantisation a ReLU or ReLU6 is fused: `ceiling` is None, infinite or 6."""

    def __init__(self) -> None:
        super().__init__()
        self.ceiling: float | None = None

    def rectify(self, ceiling: float) -> None:
        """Fuses a ReLU (infinite ceiling) or a ReLU6."""
        self.ceiling = ceiling
        if ceiling != float("inf"):
            self.out_scale.data.fill_(ceiling / 2**WIDE)  # until calibration knows better, all codes lie below it

    def nonnegative(self) -> bool:
        return self.ceiling is not None

    def settle(self, *in_codes: Codes) -> None:
        super().settle(*in_codes)
        if self.ceiling is not None and self.ceiling != float("inf"):
            highest = max(int(self.ceiling / float(self.out_scale.detach()) + 0.5), 1)
            self.out_codes = Codes(0, min(highest, self.out_codes.high))

    def rectified(self, real: torch.Tensor) -> torch.Tensor:
        """Real numbers after what is fused."""
        return real if self.ceiling is None else real.clamp(0, self.ceiling)


class ResidualSum(Rectifiable):
    """Codes of two branches, each with its scale, added in integers to codes of `out_scale`.

    clamp(floor(left * f1 + right * f2 + 1/2), low, high), f1 and f2 whole numbers over a common power of two.
    """

    SOURCES = ("left_scale", "right_scale")
    left_scale: nn.Parameter
    right_scale: nn.Parameter

    def nonnegative(self) -> bool:
        return super().nonnegative() or Coded.nonnegative(self)

    def factors(self) -> torch.Tensor:
        """What a code of each branch counts in codes of the output, float64 [2]."""
        sources = torch.stack([self.step("left_scale"), self.step("right_scale")])
        return common_fixed_point(sources / self.step("out_scale"))

    def finest_scale(self) -> torch.Tensor:
        return torch.maximum(self.left_scale, self.right_scale).detach()

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        return self.rectified(values[0] + values[1])

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        left, right = torch.broadcast_tensors(left, right)
        return autograd.add_codes(left, right, self.factors(), *self.out_codes)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        old = state_dict.pop(prefix + "in_scales", None)  # schema 1 had both in one tensor
        if old is not None:
            state_dict[prefix + "left_scale"], state_dict[prefix + "right_scale"] = old.unbind()
        super()._load_from_state_dict(state_dict, prefix, *rest)


class CodeProduct(Rectifiable):
    """Codes of two branches multiplied, exactly, and requantised: one product of 8-bit codes an element."""

    SOURCES = ("left_scale", "right_scale")
    left_scale: nn.Parameter
    right_scale: nn.Parameter

    def nonnegative(self) -> bool:
        return super().nonnegative() or Coded.nonnegative(self)

    def finest_scale(self) -> torch.Tensor:
        return (self.left_scale * self.right_scale).detach()

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        return self.rectified(values[0] * values[1])

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        factor = fixed_point(self.step("left_scale") * self.step("right_scale") / self.step("out_scale"))
        return requantized(left * right, factor, self.out_codes)


def requantized(total: torch.Tensor, factor: torch.Tensor, codes: tuple[int, int]) -> torch.Tensor:
    """Whole numbers [B, N, ...] times one factor (float64 scalar), rounded half up and clipped."""
    channels = total.shape[1]
    bias = torch.zeros(channels, dtype=torch.float64, device=total.device)
    return autograd.requantize(total, bias, factor.expand(channels).contiguous(), *codes)
