"""CIFAR-10 and CIFAR-100 in their author's formats: Krizhevsky, "Learning multiple layers of features from tiny
images", 2009. The binary version comes first; the Python version's pickles are read without running them.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from agn_hw.zoo.data.original import check_sum, damaged, first_existing, missing, read_beginning, read_rest
from agn_hw.zoo.data.pickled import Refused, read_dictionary
from agn_hw.zoo.data.splits import Splits, split_official

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
PIXELS = 3 * 32 * 32  # bytes of an image: red, green, blue planes
NAME_BYTES = 256  # of a pickle for an image's file name and label, at most


@dataclass(frozen=True)
class Version:
    """Names of one version's folder, archive and files; images in each training file and in the test file."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    images: tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """label_bytes: before each image of the binary version, the last one is the label; label_key: in the pickles."""

    classes: int
    label_bytes: int
    label_key: str
    binary: Version
    python: Version


_TEN = tuple(f"data_batch_{number}" for number in range(1, 6))
SETS = {
    "cifar10": Layout(
        classes=10,
        label_bytes=1,
        label_key="labels",
        binary=Version(
            "cifar-10-batches-bin",
            "cifar-10-binary.tar.gz",
            tuple(f"{name}.bin" for name in _TEN),
            "test_batch.bin",
            (10000, 10000),
        ),
        python=Version("cifar-10-batches-py", "cifar-10-python.tar.gz", _TEN, "test_batch", (10000, 10000)),
    ),
    "cifar100": Layout(
        classes=100,
        label_bytes=2,
        label_key="fine_labels",
        binary=Version("cifar-100-binary", "cifar-100-binary.tar.gz", ("train.bin",), "test.bin", (50000, 10000)),
        python=Version("cifar-100-python", "cifar-100-python.tar.gz", ("train",), "test", (50000, 10000)),
    ),
}


def load(name: str, seed: int, root: Path) -> Splits:
    """50000 + 10000 images, 32x32, three channels; of CIFAR-100 the 100 fine labels.

    `root` holds the archive as downloaded, its folder, or is that folder. Raises DataError.
    """
    layout = SETS[name]
    for version, read in ((layout.binary, _read_records), (layout.python, _read_pickle)):
        first = version.train[0]
        place = first_existing(root, [first, f"{version.folder}/{first}", version.archive])
        if place is not None:
            parts = _read_version(place, version, partial(read, layout))
            return split_official(name, layout.classes, seed, _joined(parts[:-1]), parts[-1])
    looked_for = [f"{version.archive} or the folder {version.folder}" for version in (layout.binary, layout.python)]
    source = f"{layout.binary.archive} from the CIFAR-10 and CIFAR-100 page of the University of Toronto"
    raise missing(name, root, looked_for, source)


def _joined(parts: list[Part]) -> Part:
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def _read_version(place: Path, version: Version, read: Callable[[IO[bytes], int, int, Path], Part]) -> list[Part]:
    """Images and labels of every file, test last. place: the archive, or the first file itself."""
    files = [(name, version.images[0]) for name in version.train] + [(version.test, version.images[1])]
    if place.name != version.archive:
        parts = []
        for name, count in files:
            path = place.parent / name
            if not path.is_file():
                raise missing(f"a file of {version.folder}", place.parent, [name], version.archive)
            with path.open("rb") as file:
                parts.append(read(file, path.stat().st_size, count, path))
        return parts
    check_sum(place)
    try:
        with tarfile.open(place, "r:gz") as archive:
            return [_read_member(archive, f"{version.folder}/{name}", count, place, read) for name, count in files]
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise damaged(place, f"it cannot be unpacked: {error}") from None


def _read_member(
    archive: tarfile.TarFile, name: str, count: int, place: Path, read: Callable[[IO[bytes], int, int, Path], Part]
) -> Part:
    """One file of an archive, read in place: nothing is unpacked to disk."""
    try:
        member = archive.getmember(name)
    except KeyError:
        raise damaged(place, f"it holds no {name}") from None
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        raise damaged(place, f"{name} in it is no plain file")
    with file:
        return read(file, member.size, count, place / name)


def _read_records(layout: Layout, file: IO[bytes], size: int, count: int, path: Path) -> Part:
    """`count` records of labels and image; cifar-10: 1 + 3072 bytes, cifar-100: coarse, fine + 3072 bytes."""
    record = layout.label_bytes + PIXELS
    if size != count * record:
        raise damaged(path, f"{count} records of {record} bytes were wanted, it has {size} bytes")
    records = np.frombuffer(read_rest(file, size, path), np.uint8).reshape(count, record)
    return _checked(records[:, layout.label_bytes :], records[:, layout.label_bytes - 1], layout, path)


def _read_pickle(layout: Layout, file: IO[bytes], size: int, count: int, path: Path) -> Part:
    """A dictionary with "data", uint8 [count, 3072], and a list of labels."""
    if size > count * (PIXELS + NAME_BYTES) + 2**20:
        raise damaged(path, f"{size} bytes are too many for {count} images")
    try:
        found = read_dictionary(read_beginning(file, size, path))
        data, given = found["data"], found[layout.label_key]
        if not isinstance(given, list) or not all(type(label) is int for label in given):
            raise damaged(path, "labels are whole numbers, others came")
        labels = np.array(given)
    except Refused as error:
        raise damaged(path, f"it is no pickle of a CIFAR batch: {error}") from None
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise damaged(path, f"its dictionary lacks data and {layout.label_key}: {error}") from None
    if not isinstance(data, np.ndarray) or data.shape != (count, PIXELS) or labels.shape != (count,):
        raise damaged(path, f"{count} images of {PIXELS} bytes and as many labels were wanted, others came")
    return _checked(data, labels, layout, path)


def _checked(images: NDArray[np.uint8], labels: NDArray[np.integer], layout: Layout, path: Path) -> Part:
    if labels.min() < 0 or labels.max() >= layout.classes:
        raise damaged(path, f"labels are 0 to {layout.classes - 1}, {labels.min()} to {labels.max()} came")
    return np.array(images).reshape(-1, 3, 32, 32), labels.astype(np.int64)
