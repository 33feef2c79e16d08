"""MNIST's files, small ones: plain and packed, whole and damaged."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from agn_hw.zoo import data
from agn_hw.zoo.data import original
from tests.agn_hw.zoo.official import idx, write_mnist

TRAIN, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def packed(folder, monkeypatch, right=True):
    for path in sorted(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    if right:
        monkeypatch.setattr(original, "MD5", original.MD5 | sums)


@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("form", ["plain", "gz", "dotted"])
def test_what_the_files_hold_comes_back(place, form, tmp_path, monkeypatch):
    parts = write_mnist(tmp_path / place)
    if form == "gz":
        packed(tmp_path / place, monkeypatch)
    if form == "dotted":
        for path in list((tmp_path / place).iterdir()):
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    splits = data.load("mnist", 3, root=tmp_path)
    assert (splits.name, splits.classes, splits.seed, splits.channels, splits.side) == ("mnist", 10, 3, 1, 28)
    assert splits.sizes() == {"train": 68, "calibration": 4, "validation": 8, "test": 30}
    images, labels = parts["t10k"]
    assert np.array_equal(splits.test.images.numpy(), images[:, None])
    assert np.array_equal(splits.test.labels.numpy(), labels)
    known = {image.tobytes(): label for image, label in zip(*parts["train"], strict=True)}
    taken = [splits.train, splits.calibration, splits.validation]
    found = {image.numpy().tobytes(): int(label) for split in taken
             for image, label in zip(split.images, split.labels, strict=True)}
    assert found == known


def test_seed_chooses_and_repeats(tmp_path):
    write_mnist(tmp_path)
    one, again, other = (data.load("mnist", seed, root=tmp_path) for seed in (0, 0, 1))
    assert np.array_equal(one.validation.images, again.validation.images)
    assert not np.array_equal(one.validation.images, other.validation.images)
    assert np.array_equal(one.test.images, other.test.images)


def test_published_checksum_is_demanded_of_packed_files(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    packed(tmp_path, monkeypatch, right=False)
    found = hashlib.md5((tmp_path / f"{TRAIN}.gz").read_bytes()).hexdigest()
    with pytest.raises(data.DataError, match=rf"(?s)f68b3c2dcbeaaa9fbdd348bbdeb94873.*its MD5 is {found}.*unpack it"):
        data.load("mnist", root=tmp_path)


def test_published_checksums_are_checksums():
    assert len(set(original.MD5.values())) == len(original.MD5) == 8
    assert all(len(value) == 32 and int(value, 16) for value in original.MD5.values())


@pytest.mark.parametrize("name, damage, said", [
    (TRAIN, lambda b: b[:-1], "it ends after 62719 of 62720 bytes"),
    (TRAIN, lambda b: b + b"\0", "goes on after the 62720"),
    (TRAIN, lambda b: b[:10], "it ends after 10 of 16 bytes"),
    (TRAIN, lambda b: b"", "ends after 0"),
    (TRAIN, lambda b: b"\0\0\x0d\x03" + b[4:], "starts with 00 00 0d 03; IDX of this kind starts with 00 00 08 03"),
    (TRAIN, lambda b: b[:4] + struct.pack(">I", 2**31) + b[8:], "header says 2147483648 items"),
    (TRAIN, lambda b: b[:4] + struct.pack(">I", 0) + b[8:], "header says 0 items"),
    (TRAIN, lambda b: b[:8] + struct.pack(">II", 14, 56) + b[16:], r"size \[14, 56\]; \[28, 28\]"),
    (LABELS, lambda b: b[:-1] + b"\x0a", "labels are 0 to 9, 10 came"),
    (LABELS, lambda b: idx(np.zeros(79, np.uint8)), "holds 79 labels, its partner 80 images"),
])
def test_damaged_files_are_refused_by_name(name, damage, said, tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError, match=said) as caught:
        data.load("mnist", root=tmp_path)
    assert str(tmp_path / name.split("-")[0]) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:500], lambda b: b[:3], lambda b: b[:200] + b"\xff\xff\xff" + b[203:],
                                    lambda b: b"no gzip"])
def test_damaged_packed_files(damage, tmp_path, monkeypatch):
    write_mnist(tmp_path)
    path = tmp_path / f"{TRAIN}.gz"
    path.write_bytes(damage(gzip.compress((tmp_path / TRAIN).read_bytes())))
    (tmp_path / TRAIN).unlink()
    monkeypatch.setattr(original, "MD5", {})
    with pytest.raises(data.DataError, match=r"sound file .*train-images-idx3-ubyte.gz"):
        data.load("mnist", root=tmp_path)


def test_packed_header_that_promises_too_much_allocates_nothing(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    (tmp_path / TRAIN).unlink()
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 28, 28)
    (tmp_path / f"{TRAIN}.gz").write_bytes(gzip.compress(header + bytes(1000)))
    monkeypatch.setattr(original, "MD5", {})
    with pytest.raises(data.DataError, match="header says 4294967295 items"):
        data.load("mnist", root=tmp_path)


def test_missing_files_are_named(tmp_path):
    said = r"(?s)train-images-idx3-ubyte.gz.*the folder holds nothing.*MNIST database"
    with pytest.raises(data.DataError, match=said):
        data.load("mnist", root=tmp_path)
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    said = r"(?s)t10k-labels-idx1-ubyte or .*the folder holds t10k-images-idx3-ubyte, train"
    with pytest.raises(data.DataError, match=said):
        data.load("mnist", root=tmp_path)
    with pytest.raises(data.DataError, match="there is no such folder"):
        data.load("mnist", root=tmp_path / "nowhere")


def test_too_few_images(tmp_path):
    write_mnist(tmp_path, (19, 5))
    with pytest.raises(data.DataError, match="there are 19"):
        data.load("mnist", root=tmp_path)
