"""Images and labels, split into train, calibration, validation and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lut_gen.errors import AgnError

PARTS = ("train", "calibration", "validation", "test")
LARGEST = {"calibration": 512, "validation": 5000}  # images taken out of an official training part, at most
SHARE = {"calibration": 20, "validation": 10}  # and at most one in so many
TEST_SHARE = 5  # one in so many, where a set has no test part of its own
FEWEST = 20  # training images of a set
MOST_CLASSES = 100_000  # of one's own images


class DataError(AgnError):
    """A data set's files are missing, damaged or not what their name says."""


class UnknownData(DataError, ValueError):
    """A name that no data set has."""


@dataclass(frozen=True)
class Split:
    """images: uint8 [N, C, H, W]; labels: int64 [N]. files: where the images are mapped from a file, a hash of what is
    known of those that they were decoded from (path, length, time of change); else empty."""

    images: torch.Tensor
    labels: torch.Tensor
    files: str = ""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """One data set: `train` fits weights, `calibration` chooses, `validation` stops, `test` is reported."""

    name: str
    classes: int
    seed: int
    train: Split
    calibration: Split
    validation: Split
    test: Split

    def sizes(self) -> dict[str, int]:
        """Number of images a split."""
        return {part: len(getattr(self, part)) for part in PARTS}

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.train.images.shape[1]

    @property
    def side(self) -> int:
        """Shorter side of an image in pixels."""
        return min(self.train.images.shape[2:])


def to_float(images: torch.Tensor) -> torch.Tensor:
    """What the networks are fed: uint8 codes over 255, float32, no mean taken off.

    Code 0 is the number zero, so zero padding is the zero operand pattern.
    """
    return images.float() / 255


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """An order of the images [N], drawn by `seed`, of which every beginning holds the classes in their shares.

    The images of a class stand at equal distances, from class to class in random order: any beginning has of each
    class its share, to within one image.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    counts = np.bincount(labels)
    ranks = np.empty(len(labels))
    for label in range(len(counts)):
        ranks[labels[order] == label] = (np.arange(counts[label]) + 0.5) / max(1, counts[label])
    return np.asarray(order[np.argsort(ranks, kind="stable")], np.int64)


def carve(labels: NDArray[np.int64], seed: int, *parts: str) -> dict[str, NDArray[np.int64]]:
    """Takes `parts` out of a set of labels [N], stratified; "train" is what is left, in the order it came.

    parts: of "calibration" (one image in 20, at most 512), "validation" (one in 10, at most 5000) and "test" (one in
    5). Raises DataError for fewer than 20 images and for a seed that is no whole number of 0 or more.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise DataError("a seed, a whole number of 0 or more", f"{seed!r} came", "choose another")
    if len(labels) < FEWEST:
        raise DataError(f"{FEWEST} training images or more", f"there are {len(labels)}", "add images")
    order, taken = stratified_order(labels, seed), {}
    for part in parts:
        size = len(labels) // TEST_SHARE if part == "test" else min(LARGEST[part], len(labels) // SHARE[part])
        taken[part], order = order[:size], order[size:]
    return {"train": np.sort(order), **taken}


def split_official(
    name: str,
    classes: int,
    seed: int,
    train: tuple[NDArray[np.uint8], NDArray[np.int64]],
    test: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> Splits:
    """Splits of a set that comes as train and test: (images uint8 [N, C, H, W], labels int64 [N]) each."""
    images, labels = train
    taken = carve(labels, seed, "calibration", "validation")
    parts = {part: Split(torch.from_numpy(images[at]), torch.from_numpy(labels[at])) for part, at in taken.items()}
    official = Split(torch.from_numpy(test[0]), torch.from_numpy(test[1]))
    return Splits(name, classes, seed, test=official, **parts)


def from_images(images: torch.Tensor, labels: torch.Tensor, seed: int = 0, name: str = "own") -> Splits:
    """Splits of one's own images, uint8 [N, C, H, W], with labels, integers [N] from 0 on: a fifth is the test part.

    There are as many classes as the largest label says, 100,000 at most; one may be without images. Raises DataError
    for what is no tensor, other types, shapes, labels and seeds, and for fewer than 20 images.
    """
    wanted = "images uint8 [N, C, H, W] and labels [N], integers from 0 on"
    if not (isinstance(images, torch.Tensor) and isinstance(labels, torch.Tensor)):
        came = f"{type(images).__name__} and {type(labels).__name__} came"
        raise DataError(f"tensors: {wanted}", came, "arrays become tensors by torch.tensor(array)")
    came = f"images {images.dtype} {list(images.shape)}, labels {labels.dtype} {list(labels.shape)} came"
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if not (images.dtype == torch.uint8 and images.dim() == 4 and labels.shape == images.shape[:1] and whole):
        raise DataError(wanted, came, "convert them")
    classes = labels.to(torch.int64)
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < MOST_CLASSES:
        came = f"they go from {int(classes.min())} to {int(classes.max())}"
        raise DataError(f"labels from 0 to {MOST_CLASSES - 1}", came, "number the classes from 0 on")
    taken = carve(classes.numpy(), seed, "calibration", "validation", "test")
    parts = {part: Split(images[torch.from_numpy(at)], classes[torch.from_numpy(at)]) for part, at in taken.items()}
    return Splits(name, int(classes.max()) + 1, seed, **parts)
