"""The float networks. Plain modules only, so that `torch.fx.symbolic_trace` sees every layer by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Stem(nn.Module):
    """3x3 convolution, BatchNorm, ReLU: [N, in, H, W] -> [N, out, H, W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.relu(self.bn(self.conv(x)))
        return out


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual sum: [N, in, H, W] -> [N, out, H / stride, W / stride].

    Where the shape changes the other branch is a 1x1 convolution with BatchNorm (He et al., "Deep residual
    learning for image recognition", CVPR 2016, option B); elsewhere it is the input itself.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.reshapes = stride != 1 or in_channels != out_channels
        if self.reshapes:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.shortcut_bn = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        residual = self.shortcut_bn(self.shortcut(x)) if self.reshapes else x
        out: torch.Tensor = self.relu2(y + residual)
        return out


class ResNet8(nn.Module):
    """Stem, three basic blocks (stride 1, 2, 2), global average pool, linear: ten weight layers.

    Input float [N, in_channels, H, W] in 0..1, output logits [N, classes]. Any H and W of 4 or more.
    """

    def __init__(self, in_channels: int, classes: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.stem = Stem(in_channels, widths[0])
        self.stage1 = BasicBlock(widths[0], widths[0], stride=1)
        self.stage2 = BasicBlock(widths[0], widths[1], stride=2)
        self.stage3 = BasicBlock(widths[1], widths[2], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits


def resnet8(in_channels: int, classes: int, widths: tuple[int, int, int] = (16, 32, 64)) -> nn.Module:
    """The ResNet-8 used throughout. Weight layers: stem.conv, stageN.conv1, .conv2, .shortcut, fc."""
    return ResNet8(in_channels, classes, widths)


MODELS: dict[str, Callable[[int, int], nn.Module]] = {"resnet8": resnet8}


def build(name: str, in_channels: int, classes: int) -> nn.Module:
    """A freshly initialised network by name; its weights come from torch's global generator.

    Raises ValueError, with the known names, for an unknown one.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known models: {', '.join(sorted(MODELS))}")
    return MODELS[name](in_channels, classes)
