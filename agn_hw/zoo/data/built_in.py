"""The sets that need no files: digits (scikit-learn's copy) and textured shapes (drawn)."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path

import numpy as np
import torch

from agn_hw.zoo import shapes
from agn_hw.zoo.data.splits import PARTS, Split, Splits
from lut_gen.files import write_atomically

log = logging.getLogger(__name__)

DIGITS_SIZES = {"train": 697, "calibration": 200, "validation": 500, "test": 400}
SHAPES_SIZES = {"train": 20000, "calibration": 512, "validation": 4000, "test": 4000}


def load_digits(seed: int) -> Splits:
    """1797 scanned digits, 8x8, one channel; the seed chooses the stratified split."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    bunch = datasets.load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    rest, parts = np.arange(len(labels)), {}
    for part in ("test", "validation", "calibration"):
        size = DIGITS_SIZES[part]
        rest, taken = train_test_split(rest, test_size=size, random_state=seed, stratify=labels[rest])
        parts[part] = Split(images[taken], labels[taken])
    return Splits("digits", 10, seed, train=Split(images[rest], labels[rest]), **parts)


def load_shapes(seed: int, cache: Path | None, sizes: dict[str, int]) -> Splits:
    """Textured shapes with a chosen number of images a split; see `data.load`."""
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
