"""VGG: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from agn_hw.zoo.models.blocks import Stem

WIDTHS = (64, 128, 256, 512, 512)  # channels of the five stages


def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """3x3 convolutions block1, block2 ... with BatchNorm and ReLU, then a 2x2 max pool: H and W are halved."""
    parts: dict[str, nn.Module] = {
        f"block{i}": Stem(in_channels if i == 1 else out_channels, out_channels) for i in range(1, blocks + 1)
    }
    return nn.Sequential(OrderedDict(parts, pool=nn.MaxPool2d(2)))


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each with BatchNorm, global average pool, linear.

    blocks: convolutions of each stage. The convolutions are the paper's; for small images one linear layer stands in
    for its three, as is common for CIFAR. Input float [N, in_channels, H, W] in 0..1, H and W of 32 or more; output
    logits [N, classes].
    """

    def __init__(self, in_channels: int, classes: int, blocks: tuple[int, int, int, int, int]) -> None:
        super().__init__()
        inputs = (in_channels, *WIDTHS)
        stages = {f"stage{i + 1}": _stage(inputs[i], WIDTHS[i], blocks[i]) for i in range(5)}
        self.features = nn.Sequential(OrderedDict(stages))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(self.features(x)), 1))
        return logits


def vgg11(in_channels: int, classes: int) -> nn.Module:
    """Configuration A. Weight layers: features.stageN.blockM.conv, fc."""
    return VGG(in_channels, classes, (1, 1, 2, 2, 2))


def vgg16(in_channels: int, classes: int) -> nn.Module:
    """Configuration D. Weight layers: features.stageN.blockM.conv, fc."""
    return VGG(in_channels, classes, (2, 2, 3, 3, 3))
