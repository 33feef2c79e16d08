"""Small files in the formats in which MNIST and CIFAR come, with random contents."""

import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

from agn_hw.zoo.data import cifar

Arrays = tuple[np.ndarray, np.ndarray]


def images_and_labels(count: int, shape: tuple[int, ...], classes: int, seed: int) -> Arrays:
    """Images uint8 [count, *shape], labels uint8 [count] in equal shares."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), np.uint8), rng.permutation(np.arange(count) % classes).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """A uint8 array as an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, sizes: tuple[int, int] = (80, 30)) -> dict[str, Arrays]:
    """The four plain files; returns what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {}
    for number, (part, count) in enumerate(zip(("train", "t10k"), sizes, strict=True)):
        images, labels = parts[part] = images_and_labels(count, (28, 28), 10, number)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return parts


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2's `str`, which is what the official files hold."""

    def save_text(self, value: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_text}


def python2_pickle(value: object, path: Path) -> None:
    with path.open("wb") as file:
        Python2Pickler(file, 2).dump(value)
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))


def batches(layout: cifar.Layout) -> dict[str, Arrays]:
    """Contents of each file of the binary version, in order; the Python version has the same in the same order."""
    version = layout.binary
    counts = [*(version.images[0] for _ in version.train), version.images[1]]
    names = [*version.train, version.test]
    return {name: images_and_labels(count, (3, 32, 32), layout.classes, seed)
            for seed, (name, count) in enumerate(zip(names, counts, strict=True))}


def write_binary(folder: Path, layout: cifar.Layout) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (images, labels) in batches(layout).items():
        columns = [labels[:, None], images.reshape(len(images), -1)]
        if layout.label_bytes == 2:
            columns.insert(0, labels[:, None] // 5)  # the coarse label
        (folder / name).write_bytes(np.concatenate(columns, axis=1).tobytes())


def write_python(folder: Path, layout: cifar.Layout) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [*layout.python.train, layout.python.test]
    for name, (images, labels) in zip(names, batches(layout).values(), strict=True):
        texts = [b"cat_s_%06d.png" % number for number in range(len(labels))]
        batch = {b"data": images.reshape(len(images), -1), layout.label_key.encode(): labels.tolist(),
                 b"filenames": texts, b"batch_label": b"a batch"}
        python2_pickle(batch, folder / name)


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
