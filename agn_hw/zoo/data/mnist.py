"""MNIST in its authors' format (IDX): LeCun, Cortes and Burges, "The MNIST database of handwritten digits"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agn_hw.zoo.data.original import (
    check_sum,
    damaged,
    first_existing,
    missing,
    opened,
    read_beginning,
    read_rest,
    unpacked_at_most,
)
from agn_hw.zoo.data.splits import Splits, split_official

FOLDERS = ("", "raw/", "MNIST/raw/")
SIDE = 28
CLASSES = 10
SOURCE = "the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz of the MNIST database, unpacked or not,"


def load(seed: int, root: Path) -> Splits:
    """60000 + 10000 digits, 28x28, one channel, from the four IDX files in `root`, gzip or plain.

    Other sets in the same format (Fashion-MNIST, KMNIST) do when unpacked: packed files are compared with MNIST's
    checksums. Raises DataError.
    """
    return split_official("mnist", CLASSES, seed, _part(root, "train"), _part(root, "t10k"))


def _part(root: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = _read(_find(root, f"{part}-images", "idx3-ubyte"), (SIDE, SIDE))
    path = _find(root, f"{part}-labels", "idx1-ubyte")
    labels = _read(path, ())
    if len(labels) != len(images):
        raise damaged(path, f"it holds {len(labels)} labels, its partner {len(images)} images")
    if labels.max() >= CLASSES:
        raise damaged(path, f"labels are 0 to {CLASSES - 1}, {labels.max()} came")
    return images[:, None], labels.astype(np.int64)


def _find(root: Path, name: str, kind: str) -> Path:
    names = [f"{name}-{kind}", f"{name}-{kind}.gz", f"{name}.{kind}"]
    path = first_existing(root, [folder + name for folder in FOLDERS for name in names])
    if path is None:
        raise missing("MNIST", root, names, SOURCE)
    check_sum(path)
    return path


def _read(path: Path, item: tuple[int, ...]) -> NDArray[np.uint8]:
    """uint8 [N, *item] of an IDX file: 0, 0, 8 (unsigned byte), number of sizes, the sizes as big-endian 32-bit."""
    header = 4 + 4 * (1 + len(item))
    with opened(path) as file:
        start = read_beginning(file, header, path)
        if start[:4] != bytes([0, 0, 8, 1 + len(item)]):
            wanted_bytes = f"00 00 08 {1 + len(item):02x}"
            raise damaged(path, f"it starts with {start[:4].hex(' ')}; IDX of this kind starts with {wanted_bytes}")
        count, *sizes = np.frombuffer(start[4:], ">u4").tolist()
        wanted = count * int(np.prod(item, dtype=int))
        if tuple(sizes) != item or count == 0 or wanted > unpacked_at_most(path):
            came = f"its header says {count} items of size {sizes}; {list(item)} and a file as long were wanted"
            raise damaged(path, came)
        return np.frombuffer(bytearray(read_rest(file, wanted, path)), np.uint8).reshape(count, *item)
