"""The image sets of the zoo, split into train, calibration, validation and test. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from agn_hw.zoo import shapes
from lut_gen.files import write_atomically

log = logging.getLogger(__name__)

PARTS = ("train", "calibration", "validation", "test")
NAMES = ("digits", "shapes")
DIGITS_SIZES = {"train": 697, "calibration": 200, "validation": 500, "test": 400}
SHAPES_SIZES = {"train": 20000, "calibration": 512, "validation": 4000, "test": 4000}


@dataclass(frozen=True)
class Split:
    """images: uint8 [N, C, H, W]; labels: int64 [N]."""

    images: torch.Tensor
    labels: torch.Tensor

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


def to_float(images: torch.Tensor) -> torch.Tensor:
    """What the networks are fed: uint8 codes over 255, float32, no mean taken off.

    Code 0 is the number zero, so zero padding is the zero operand pattern.
    """
    return images.float() / 255


def load(name: str, seed: int = 0, cache: Path | None = None) -> Splits:
    """The data set `name`; the splits are disjoint, and the same name and seed give the same bytes.

    "digits": 1797 scanned digits, 8x8, one channel (scikit-learn's copy of the UCI set by Alpaydin and
    Kaynak); the seed chooses the stratified split. "shapes": the procedural set of `shapes`, 24x24, three
    channels; drawn in a few seconds, or read from the folder `cache` when one is given.
    Raises ValueError for another name.
    """
    if name == "digits":
        return _digits(seed)
    if name == "shapes":
        return load_shapes(seed, cache, SHAPES_SIZES)
    raise ValueError(f"unknown data set {name!r}; known data sets: {', '.join(NAMES)}")


def _digits(seed: int) -> Splits:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    rest, parts = np.arange(len(labels)), {}
    for part in ("test", "validation", "calibration"):
        size = DIGITS_SIZES[part]
        rest, taken = train_test_split(rest, test_size=size, random_state=seed, stratify=labels[rest])
        parts[part] = Split(images[taken], labels[taken])
    return Splits("digits", 10, seed, train=Split(images[rest], labels[rest]), **parts)


def load_shapes(seed: int, cache: Path | None, sizes: dict[str, int]) -> Splits:
    """Textured shapes with a chosen number of images a split; see `load`."""
    arrays, path = None, None
    if cache is not None:
        key = hashlib.sha256(repr((shapes.VERSION, shapes.Recipe(), seed, sorted(sizes.items()))).encode())
        path = Path(cache) / f"shapes_seed{seed}_{key.hexdigest()[:12]}.npz"
        arrays = _read_arrays(path, sizes)
    if arrays is None:
        arrays = {}
        for number, part in enumerate(PARTS):
            arrays[f"{part}_images"], arrays[f"{part}_labels"] = shapes.generate(sizes[part], (seed, number))
        if path is not None:
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)  # type: ignore[arg-type]
            write_atomically(path, buffer.getvalue())
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    parts = {part: Split(tensors[f"{part}_images"], tensors[f"{part}_labels"]) for part in PARTS}
    return Splits("shapes", len(shapes.CLASSES), seed, **parts)


def _read_arrays(path: Path, sizes: dict[str, int]) -> dict[str, np.ndarray] | None:
    """The arrays of a cache file, or None when there is none or it is damaged (the log says so)."""
    if not path.exists():
        return None
    side = shapes.Recipe().side
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        for part, size in sizes.items():
            images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
            if (images.shape, images.dtype, labels.shape) != ((size, 3, side, side), np.uint8, (size,)):
                raise ValueError(f"{part} holds {images.dtype} {images.shape}")
    except Exception as error:  # a damaged zip fails in many ways; all of them mean: draw it again
        log.warning("cannot read %s (%s); drawing it again", path, str(error).partition("\n")[0])
        return None
    return arrays
