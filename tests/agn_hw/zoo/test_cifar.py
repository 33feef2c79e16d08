"""CIFAR's files, small ones: both versions, as folder and archive, whole and damaged; pickles that mean harm."""

import hashlib
import os
import pickle
import struct
import tarfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from agn_hw.zoo import data
from agn_hw.zoo.data import cifar, original
from agn_hw.zoo.data.pickled import Refused, read_dictionary
from tests.agn_hw.zoo.official import batches, pack, python2_pickle, write_binary, write_python

NAMES = ["cifar10", "cifar100"]
PUBLISHED = dict(cifar.SETS)
WRITERS = {"binary": write_binary, "python": write_python}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Files with few images; everything else as published."""
    for name, (train, test) in {"cifar10": (20, 30), "cifar100": (200, 100)}.items():
        layout = cifar.SETS[name]
        versions = {kind: replace(getattr(layout, kind), images=(train, test)) for kind in WRITERS}
        monkeypatch.setitem(cifar.SETS, name, replace(layout, **versions))


def write(root, name, kind):
    layout = cifar.SETS[name]
    version = getattr(layout, kind)
    WRITERS[kind](root / version.folder, layout)
    return version


def trust(monkeypatch, archive):
    monkeypatch.setitem(original.MD5, archive.name, hashlib.md5(archive.read_bytes()).hexdigest())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("form", ["folder", "inside", "archive"])
def test_what_the_files_hold_comes_back(name, kind, form, tmp_path, monkeypatch):
    version, root = write(tmp_path, name, kind), tmp_path
    if form == "inside":
        root = tmp_path / version.folder
    if form == "archive":
        root = tmp_path / "archives"
        root.mkdir()
        pack(tmp_path / version.folder, root / version.archive)
        trust(monkeypatch, root / version.archive)
    splits = data.load(name, 1, root=root)
    *train, (images, labels) = batches(cifar.SETS[name]).values()
    assert (splits.name, splits.classes, splits.channels, splits.side) == (name, cifar.SETS[name].classes, 3, 32)
    assert np.array_equal(splits.test.images, images) and np.array_equal(splits.test.labels, labels)
    known = {image.tobytes(): label for part in train for image, label in zip(*part, strict=True)}
    taken = [splits.train, splits.calibration, splits.validation]
    found = {image.numpy().tobytes(): int(label) for split in taken
             for image, label in zip(split.images, split.labels, strict=True)}
    assert found == known
    splits.test.images[0] = 0  # it is ours to write to


def test_the_binary_version_comes_first(tmp_path):
    write(tmp_path, "cifar10", "binary")
    version = write(tmp_path, "cifar10", "python")
    (tmp_path / version.folder / version.train[0]).write_bytes(b"never read")
    assert len(data.load("cifar10", root=tmp_path).test) == 30


def test_published_sizes_and_names():
    for layout in PUBLISHED.values():
        for version in (layout.binary, layout.python):
            assert len(version.train) * version.images[0] == 50000 and version.images[1] == 10000
            assert version.archive in original.MD5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage, said", [
    (lambda b: b[:-1], "records of"), (lambda b: b[:3073 * 5], "records of"), (lambda b: b"", "it has 0 bytes"),
    (lambda b: b + b[:3073], "records of"), (lambda b: b"\xff\xff" + b[2:], "labels are 0 to"),
], ids=["byte less", "records less", "empty", "more", "label"])
def test_damaged_binary_files(name, damage, said, tmp_path):
    version = write(tmp_path, name, "binary")
    path = tmp_path / version.folder / version.train[-1]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError, match=said) as caught:
        data.load(name, root=tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change, said", [
    (lambda d, key: d.pop(b"data"), "lacks data"),
    (lambda d, key: d.pop(key), "lacks data and"),
    (lambda d, key: d.update({key: d[key][:-1]}), "as many labels"),
    (lambda d, key: d.update({key: [100] * len(d[key])}), "100 to 100 came"),
    (lambda d, key: d.update({key: [-1] * len(d[key])}), "-1 to -1 came"),
    (lambda d, key: d.update({key: [0.5] * len(d[key])}), "whole numbers"),
    (lambda d, key: d.update({key: [[0], [0, 1]]}), "whole numbers"),
    (lambda d, key: d.update({b"data": d[b"data"][:, :-1]}), "3072 bytes"),
    (lambda d, key: d.update({b"data": d[b"data"].astype(np.int16)}), "something else than bytes"),
    (lambda d, key: d.update({b"data": np.asfortranarray(d[b"data"])}), "row order"),
    (lambda d, key: d.update({b"data": [1, 2]}), "3072 bytes"),
])
def test_dictionaries_that_hold_something_else(name, change, said, tmp_path):
    version, layout = write(tmp_path, name, "python"), cifar.SETS[name]
    path = tmp_path / version.folder / version.test
    images, labels = list(batches(layout).values())[-1]
    key = layout.label_key.encode()
    batch = {b"data": images.reshape(len(images), -1).copy(), key: labels.tolist()}
    change(batch, key)
    python2_pickle(batch, path)
    with pytest.raises(data.DataError, match=said) as caught:
        data.load(name, root=tmp_path)
    assert str(path) in str(caught.value)


class Harm:
    """Makes a folder when it is unpickled by a reader that runs what it reads."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("call", [os.mkdir, os.system, eval, np.load, getattr])
def test_malicious_pickles_run_nothing(call, protocol, tmp_path):
    target = tmp_path / "made"
    arguments = {os.system: [f"mkdir {target}"], eval: [f"__import__('os').mkdir({str(target)!r})"]}
    bad = pickle.dumps({"data": Harm(call, *arguments.get(call, [str(target)]))}, protocol)
    with pytest.raises(Refused, match="asks for"):
        read_dictionary(bad)
    assert not target.exists()
    if protocol == 2 and call is os.mkdir:
        pickle.loads(bad)
        assert target.exists()  # the test can fail


def test_malicious_batch_is_a_data_error(tmp_path):
    version = write(tmp_path, "cifar10", "python")
    target = tmp_path / "made"
    (tmp_path / version.folder / version.train[2]).write_bytes(pickle.dumps({"data": Harm(os.mkdir, str(target))}, 2))
    with pytest.raises(data.DataError, match=r"data_batch_3[\s\S]*asks for posix.mkdir"):
        data.load("cifar10", root=tmp_path)
    assert not target.exists()


@pytest.mark.parametrize("text", [
    b"", b".", b"N.", b"]", b"(lp0\n.", b"\x80\x02r\xff\xff\xff\x7f.", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f",
    b"\x80\x02}q\x00K\x01K\x02s" * 3, b"cnumpy\nndarray\n.", b"cnumpy.core.multiarray\n_reconstruct\n.",
    b"cnumpy\ndtype\n(I1\ntR.", b"P1\n.", b"\x80\x02T" + struct.pack("<i", -5) + b".",
    b"\x80\x02}(K\x01c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00zipK\x05tRu.",
])
def test_broken_pickles_are_refused(text):
    with pytest.raises(Refused):
        read_dictionary(text)


@pytest.mark.parametrize("seed", range(200))
def test_random_changes_give_a_dictionary_or_refusal(seed):
    rng = np.random.default_rng(seed)
    good = bytearray(pickle.dumps({b"data": np.zeros((2, 4), np.uint8), b"labels": [1, 2]}, int(rng.integers(0, 6))))
    for at in rng.integers(0, len(good), 1 + seed % 4):
        good[at] = rng.integers(0, 256)
    with suppress(Refused):
        assert isinstance(read_dictionary(bytes(good)), dict)


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
def test_pickles_of_python_3_are_read_too(protocol):
    array = np.arange(8, dtype=np.uint8).reshape(2, 4)
    found = read_dictionary(pickle.dumps({"data": array, "labels": [1, 2]}, protocol))
    assert np.array_equal(found["data"], array) and found["labels"] == [1, 2]


def test_pickle_that_is_too_long_is_not_read(tmp_path):
    version = write(tmp_path, "cifar10", "python")
    path = tmp_path / version.folder / version.train[0]
    path.write_bytes(bytes(3 * 2**20))
    with pytest.raises(data.DataError, match="too many for 20 images"):
        data.load("cifar10", root=tmp_path)


def test_archive_with_another_checksum_is_refused_before_it_is_opened(tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"something else")
    found = hashlib.md5(b"something else").hexdigest()
    with pytest.raises(data.DataError, match=rf"(?s)c32a1d4ab5d03f1284b67883e8d87530.*{found}"):
        data.load("cifar10", root=tmp_path)


@pytest.mark.parametrize("kind, said", [("text", "cannot be unpacked"), ("cut", "cannot be unpacked"),
                                        ("empty", "holds no cifar-10"), ("link", "no plain file")])
def test_damaged_archives(kind, said, tmp_path, monkeypatch):
    version = write(tmp_path, "cifar10", "binary")
    folder, archive = tmp_path / version.folder, tmp_path / "root" / version.archive
    archive.parent.mkdir()
    if kind == "link":
        (folder / version.train[0]).unlink()
        (folder / version.train[0]).symlink_to("/etc/passwd")
    if kind == "empty":
        with tarfile.open(archive, "w:gz"):
            pass
    else:
        pack(folder, archive)
    if kind == "text":
        archive.write_bytes(b"text")
    if kind == "cut":
        archive.write_bytes(archive.read_bytes()[:20000])
    trust(monkeypatch, archive)
    with pytest.raises(data.DataError, match=said):
        data.load("cifar10", root=archive.parent)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(data.DataError, match=r"(?s)cifar-100-binary.tar.gz.*cifar-100-python.*University of Toronto"):
        data.load("cifar100", root=tmp_path)
    version = write(tmp_path, "cifar10", "binary")
    (tmp_path / version.folder / "data_batch_4.bin").unlink()
    with pytest.raises(data.DataError, match=r"a file of cifar-10-batches-bin: data_batch_4.bin"):
        data.load("cifar10", root=tmp_path)


def _nested(levels: int) -> bytes:
    """A tuple of tuples, each holding the one below twice: 2^levels elements, a few bytes a level."""
    text = b")"
    for level in range(levels):
        text += b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86"
    return text


@pytest.mark.parametrize("content", [
    b"\x80\x02}" + _nested(60) + b"K\x01s.",  # as a key, one item
    b"\x80\x02}(" + _nested(60) + b"K\x01u.",  # as a key, several
    b"\x80\x02(" + _nested(60) + b"K\x01d.",  # as a key of a whole dictionary
    b"\x80\x02c_codecs\nencode\n(" + _nested(60) + b"U\x06latin1tR.",  # as a text
    b"\x80\x02}U\x06labels" + _nested(60) + b"s.",  # as labels
], ids=["key", "keys", "dictionary", "text", "labels"])  # fmt: skip
def test_a_few_bytes_that_unfold_to_2_60_elements_are_refused_or_left_folded(content):
    try:
        found = read_dictionary(content)
    except Refused:
        return
    assert list(found) == ["labels"] and isinstance(found["labels"], tuple)
