"""What several networks are made of."""

from __future__ import annotations

import torch
from torch import nn


class Stem(nn.Module):
    """Convolution, BatchNorm, ReLU: [N, in, H, W] -> [N, out, H / stride, W / stride]. kernel: its odd side.

    BatchNorm is Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.relu(self.bn(self.conv(x)))
        return out
