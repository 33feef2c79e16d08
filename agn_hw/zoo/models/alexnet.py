"""AlexNet: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
NIPS 2012; the channels are those of its one-column form, Krizhevsky, "One weird trick", 2014."""

from __future__ import annotations

import torch
from torch import nn


class AlexNet(nn.Module):
    """Five convolutions (64, 192, 384, 256, 256 channels), three 3x3 max pools, three linear layers.

    For small images the first convolution is 5x5 with stride 2 in place of 11x11 with stride 4, and what the last
    pool leaves is averaged to one pixel before the linear layers; no response normalisation. Input float
    [N, in_channels, H, W] in 0..1, H and W of 29 or more; output logits [N, classes].
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 5, stride=2, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(3, stride=2)
        self.conv2 = nn.Conv2d(64, 192, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(3, stride=2)
        self.conv3 = nn.Conv2d(192, 384, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = nn.Conv2d(384, 256, 3, padding=1)
        self.relu4 = nn.ReLU()
        self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
        self.relu5 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(3, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop1 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(256, 4096)
        self.relu6 = nn.ReLU()
        self.drop2 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.fc3 = nn.Linear(4096, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu4(self.conv4(self.relu3(self.conv3(x))))
        x = self.pool3(self.relu5(self.conv5(x)))
        x = torch.flatten(self.pool(x), 1)
        x = self.relu6(self.fc1(self.drop1(x)))
        logits: torch.Tensor = self.fc3(self.relu7(self.fc2(self.drop2(x))))
        return logits
