"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998."""

from __future__ import annotations

import torch
from torch import nn


class LeNet5(nn.Module):
    """Three 5x5 convolutions (6, 16, 120 maps), 2x2 average pools between them, two linear layers (84, classes).

    Input float [N, in_channels, H, W] in 0..1, H and W of 28 or more; output logits [N, classes]. The first
    convolution pads the 28 x 28 digits to the paper's 32 x 32, so the third one sees 5 x 5 and gives one pixel; of a
    larger image it gives more, and their mean is taken. Unlike the paper: ReLU for tanh, plain average pools, all
    maps of the second convolution see all of the first, a linear output layer for the RBF units.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.AvgPool2d(2)
        self.conv3 = nn.Conv2d(16, 120, 5)
        self.relu3 = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc2 = nn.Linear(84, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = torch.flatten(self.pool(self.relu3(self.conv3(x))), 1)
        logits: torch.Tensor = self.fc2(self.relu4(self.fc1(x)))
        return logits
