"""Residual networks: He et al., "Deep residual learning for image recognition", CVPR 2016.

Where the shape changes the other branch is a 1x1 convolution with BatchNorm (the paper's option B). For CIFAR the
paper pads with zeros instead (option A); that is 2752 parameters less in each of ResNet-14 to ResNet-56.
Cached weights are keyed by `str(model)`: classes and attributes keep their names.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from agn_hw.zoo.models.blocks import Stem


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual sum: [N, in, H, W] -> [N, out, H / stride, W / stride]."""

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


def stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Basic blocks named block1, block2 ...; the first one has the stride."""
    sizes = [(in_channels, stride)] + [(out_channels, 1)] * (blocks - 1)
    parts = {f"block{i}": BasicBlock(inputs, out_channels, step) for i, (inputs, step) in enumerate(sizes, start=1)}
    return nn.Sequential(OrderedDict(parts))


class CifarResNet(nn.Module):
    """Stem, three stages of basic blocks (16, 32, 64 channels), global average pool, linear.

    The network for CIFAR-10 of the paper's section 4.2: `blocks` is its n, 6 n + 2 layers and two shortcuts. Input
    float [N, in_channels, H, W] in 0..1, output logits [N, classes]. Any H and W of 4 or more.
    """

    def __init__(self, in_channels: int, classes: int, blocks: int) -> None:
        super().__init__()
        self.stem = Stem(in_channels, 16)
        self.stage1 = stage(16, 16, blocks, stride=1)
        self.stage2 = stage(16, 32, blocks, stride=2)
        self.stage3 = stage(32, 64, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits


class ResNet20(CifarResNet):
    """n = 3. A class of its own, because its name is part of the key of cached weights."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels, classes, 3)


class ResNet18(nn.Module):
    """7x7 stem with stride 2, 3x3 max pool with stride 2, four stages of two basic blocks (64, 128, 256, 512
    channels), global average pool, linear: 21 weight layers.

    The network for ImageNet of the same paper, table 1. Input float [N, in_channels, H, W] in 0..1, output logits
    [N, classes]. Made for 224 x 224; any H and W do.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = Stem(in_channels, 64, kernel=7, stride=2)
        self.stem_pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage1 = stage(64, 64, 2, stride=1)
        self.stage2 = stage(64, 128, 2, stride=2)
        self.stage3 = stage(128, 256, 2, stride=2)
        self.stage4 = stage(256, 512, 2, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem_pool(self.stem(x))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits


def resnet8(in_channels: int, classes: int, widths: tuple[int, int, int] = (16, 32, 64)) -> nn.Module:
    """The ResNet-8 used throughout. Weight layers: stem.conv, stageN.conv1, .conv2, .shortcut, fc."""
    return ResNet8(in_channels, classes, widths)


def resnet14(in_channels: int, classes: int) -> nn.Module:
    """ResNet-14. Weight layers as in ResNet-20."""
    return CifarResNet(in_channels, classes, 2)


def resnet20(in_channels: int, classes: int) -> nn.Module:
    """ResNet-20. Weight layers: stem.conv, stageN.blockM.conv1, .conv2, .shortcut, fc."""
    return ResNet20(in_channels, classes)


def resnet32(in_channels: int, classes: int) -> nn.Module:
    """ResNet-32. Weight layers as in ResNet-20."""
    return CifarResNet(in_channels, classes, 5)


def resnet56(in_channels: int, classes: int) -> nn.Module:
    """ResNet-56. Weight layers as in ResNet-20."""
    return CifarResNet(in_channels, classes, 9)


def resnet18(in_channels: int, classes: int) -> nn.Module:
    """ResNet-18. Weight layers: stem.conv, stageN.blockM.conv1, .conv2, .shortcut, fc."""
    return ResNet18(in_channels, classes)
