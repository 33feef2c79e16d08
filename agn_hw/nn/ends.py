"""Where codes begin and end: real numbers -> codes, codes -> real numbers."""

from __future__ import annotations

import torch
from torch import nn

from agn_hw.codes import UNSIGNED
from agn_hw.nn.coded import Coded
from agn_hw.nn.requantize import round_half_up


class Quantize(Coded):
    """Real numbers -> codes: floor(x / scale + 1/2), clipped."""

    SOURCES = ()
    RENAMED = {"scale": "out_scale"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.out_scale.data.fill_(1 / 255)
        self.out_codes = UNSIGNED

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0].float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(round_half_up(x.float() / self.step("out_scale").float()), *self.out_codes)


class Dequantize(Coded):
    """Codes -> real numbers, float32."""

    RENAMED = {"scale": "in_scale"}  # noqa: RUF012
    in_scale: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        del self.out_scale

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0]

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return codes * self.step("in_scale").float()
