"""What an assignment really does: the network with its tables, compensated, run on labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from agn_hw.conversion.approximate import approximate
from agn_hw.nn.compensation import Moments, reestimate
from agn_hw.search.candidates import Choice
from agn_hw.search.threads import single_threads
from agn_hw.zoo.data import Split, to_float

_BATCH = 100


@dataclass(frozen=True)
class Answers:
    """What a network says of N labelled images: hits, bool [N]; truth, the true class's probability, float64 [N]."""

    hits: torch.Tensor
    truth: torch.Tensor

    @property
    def accuracy(self) -> float:
        return float(self.hits.double().mean())


@torch.no_grad()
def answers(model: nn.Module, split: Split) -> Answers:
    """Runs the network on a split."""
    logits = torch.cat([model(to_float(images)) for images in split.images.split(_BATCH)])
    truth = logits.double().softmax(1)[torch.arange(len(logits)), split.labels]
    return Answers(logits.argmax(1) == split.labels, truth)


@dataclass(frozen=True)
class Drop:
    """Percentage points lost against a baseline on the same images, and the standard error (paired)."""

    points: float
    error: float

    def within(self, limit: float) -> bool:
        """Whether the loss is at most `limit` points, one standard error on the safe side."""
        return self.points + self.error <= limit


def drop(baseline: torch.Tensor, other: torch.Tensor) -> Drop:
    """Paired comparison of two results [N]: of hits (accuracy lost) or of truth (probability lost)."""
    difference = baseline.double() - other.double()
    error = float(difference.std(correction=0)) / len(difference) ** 0.5
    return Drop(100 * float(difference.mean()), 100 * error)


@torch.no_grad()
def build(
    model: fx.GraphModule, choice: Choice, calibration: torch.Tensor, exact: dict[str, Moments]
) -> fx.GraphModule:
    """The network with these multipliers, re-estimated layer by layer on the calibration images (float).

    It does not depend on the number of threads: moments are added up on one.
    """
    network = approximate(model, choice, gradient="ste")  # nothing is trained here
    with single_threads():
        reestimate(network, [calibration], exact)
    return network
