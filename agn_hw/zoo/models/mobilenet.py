"""MobileNetV2: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""The paper's table 2: expansion, channels, blocks, stride of the first; the second row's stride is 2 there."""


class ConvReLU6(nn.Module):
    """Convolution, BatchNorm, ReLU6: [N, in, H, W] -> [N, out, H / stride, W / stride]. kernel: its odd side."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.relu(self.bn(self.conv(x)))
        return out


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection without activation; the input is added where the shape stays.

    [N, in, H, W] -> [N, out, H / stride, W / stride]; no expansion where it would be by 1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expands = expansion != 1
        if self.expands:
            self.expand = ConvReLU6(in_channels, hidden, 1)
        self.depthwise = ConvReLU6(hidden, hidden, 3, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(out_channels)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.expand(x) if self.expands else x
        y = self.project_bn(self.project(self.depthwise(y)))
        out: torch.Tensor = x + y if self.adds else y
        return out


def _stage(in_channels: int, expansion: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Inverted residuals named block1, block2 ...; the first one has the stride."""
    sizes = [(in_channels, stride)] + [(channels, 1)] * (blocks - 1)
    parts = {f"block{i}": InvertedResidual(n, channels, step, expansion) for i, (n, step) in enumerate(sizes, start=1)}
    return nn.Sequential(OrderedDict(parts))


class MobileNetV2(nn.Module):
    """Stem, seven stages of inverted residuals, 1x1 convolution to 1280 channels, global average pool, linear.

    For small images stem and second stage have stride 1 in place of 2: a 32 x 32 image is 4 x 4 at the end. Input
    float [N, in_channels, H, W] in 0..1, output logits [N, classes]. Any H and W. Weight layers: stem.conv,
    stages.stageN.blockM.expand.conv, .depthwise.conv, .project, head.conv, fc.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = ConvReLU6(in_channels, 32, 3)
        inputs = (32, *(row[1] for row in BLOCKS))
        stages = {f"stage{i + 1}": _stage(inputs[i], *row) for i, row in enumerate(BLOCKS)}
        self.stages = nn.Sequential(OrderedDict(stages))
        self.head = ConvReLU6(inputs[-1], 1280, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.stages(self.stem(x)))
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits
