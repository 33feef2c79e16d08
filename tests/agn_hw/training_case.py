"""A run that takes a fraction of a second: data, a network, a recipe, and what is left of it on disk."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from agn_hw.recipe import Recipe
from agn_hw.zoo.data import Split, Splits, to_float
from tests.agn_hw.networks import images, labels

RECIPE = Recipe(epochs=2.5, batch=20, peak_rate=0.05, augment="crop-flip", seed=3)  # 6 steps an epoch, 15 in all


def some_splits(count: int = 130) -> Splits:
    """Images 3 x 8 x 8 in five classes; 40 for validation."""
    def split(size: int, seed: int) -> Split:
        codes = (images(size, seed=seed) * 255).round().to(torch.uint8)
        return Split(codes, labels(to_float(codes)))

    parts = {name: split(40, seed) for seed, name in enumerate(("calibration", "validation", "test"), start=1)}
    return Splits("parts", 5, 0, train=split(count, 0), **parts)


SPLITS = some_splits()


def network(seed: int = 0) -> nn.Module:
    """With running statistics, and with dropout, which draws from torch's global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        convolution, norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        return nn.Sequential(
            convolution, norm, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Dropout(0.2), nn.Flatten(), nn.Linear(96, 5)
        )


def same(one: nn.Module, other: nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    equal = {name: torch.equal(value, right[name]) for name, value in left.items() if isinstance(value, torch.Tensor)}
    return left.keys() == right.keys() and all(equal.values())


def log_of(folder: Path) -> list[dict]:
    """The log's lines but for what the clock said."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def from_files(splits: Splits, files: str) -> Splits:
    return replace(splits, train=replace(splits.train, files=files))


def changed(part: str, index: int, what: str = "images") -> Splits:
    """With one image or label of a part changed."""
    split = getattr(SPLITS, part)
    tensor = getattr(split, what).clone()
    tensor[index] = 4 - tensor[index] if what == "labels" else tensor[index] ^ 1
    return replace(SPLITS, **{part: replace(split, **{what: tensor})})
