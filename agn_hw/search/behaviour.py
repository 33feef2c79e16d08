"""What an assignment really does: the network with its tables, compensated, run on labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from agn_hw.nn.convert import approximate
from agn_hw.search.candidates import Choice
from agn_hw.search.compensation import Moments, reestimate
from agn_hw.zoo.data import Split, to_float

_BATCH = 100


@torch.no_grad()
def correct(model: nn.Module, split: Split) -> torch.Tensor:
    """Whether each image is classified right, bool [N]."""
    hits = [
        model(to_float(images)).argmax(1) == labels
        for images, labels in zip(split.images.split(_BATCH), split.labels.split(_BATCH), strict=True)
    ]
    return torch.cat(hits)


@dataclass(frozen=True)
class Drop:
    """Accuracy lost against a baseline on the same images, in points, and its standard error (paired)."""

    points: float
    error: float

    def within(self, limit: float) -> bool:
        """Whether the loss is at most `limit` points, one standard error on the safe side."""
        return self.points + self.error <= limit


def drop(baseline: torch.Tensor, other: torch.Tensor) -> Drop:
    """Paired comparison of two bool [N] results of `correct`."""
    difference = baseline.double() - other.double()
    error = float(difference.std(correction=0)) / len(difference) ** 0.5
    return Drop(100 * float(difference.mean()), 100 * error)


@torch.no_grad()
def build(
    model: fx.GraphModule, choice: Choice, calibration: torch.Tensor, exact: dict[str, Moments]
) -> fx.GraphModule:
    """The network with these multipliers, re-estimated layer by layer on the calibration images (float)."""
    network = approximate(model, choice)
    reestimate(network, calibration, exact)
    return network
