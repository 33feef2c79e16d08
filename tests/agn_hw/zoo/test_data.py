"""Data sets: sizes, ranges, disjoint splits, determinism, the cache."""

import hashlib

import numpy as np
import pytest
import torch

from agn_hw.zoo import data
from agn_hw.zoo.data.splits import carve, stratified_order

SMALL = {"train": 60, "calibration": 20, "validation": 20, "test": 30}


def hashes(split: data.Split) -> list[str]:
    return [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in split.images]


def contents(splits: data.Splits) -> list[torch.Tensor]:
    parts = [getattr(splits, part) for part in data.PARTS]
    return [tensor for split in parts for tensor in (split.images, split.labels)]


def same(one: data.Splits, other: data.Splits) -> bool:
    return all(map(torch.equal, contents(one), contents(other)))


@pytest.fixture(scope="module")
def digits() -> data.Splits:
    return data.load("digits")


@pytest.fixture(scope="module")
def shapes() -> data.Splits:
    return data.load_shapes(0, None, SMALL)


def test_digits_sizes_and_range(digits):
    assert digits.sizes() == {"train": 697, "calibration": 200, "validation": 500, "test": 400}
    assert (digits.name, digits.classes, digits.seed, digits.channels) == ("digits", 10, 0, 1)
    assert digits.train.images.shape[1:] == (1, 8, 8)
    assert digits.train.images.min() == 0 and digits.train.images.max() == 255


def test_shapes_sizes_and_range(shapes):
    assert shapes.sizes() == SMALL
    assert (shapes.name, shapes.classes, shapes.channels) == ("shapes", 10, 3)
    assert shapes.train.images.shape[1:] == (3, 24, 24)
    assert shapes.train.images.min() == 0 and shapes.train.images.max() == 255


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_splits_are_typed_disjoint_and_stratified(name, request):
    splits = request.getfixturevalue(name)
    found = [value for part in data.PARTS for value in hashes(getattr(splits, part))]
    assert len(set(found)) == len(found)
    for part in data.PARTS:
        split = getattr(splits, part)
        counts = split.labels.bincount(minlength=10)
        assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
        assert len(counts) == 10 and counts.min() >= 0.08 * len(split)


def test_seed_decides_every_byte(digits, shapes):
    assert same(digits, data.load("digits", seed=0))
    assert not same(digits, data.load("digits", seed=1))
    assert same(shapes, data.load_shapes(0, None, SMALL))
    assert not same(shapes, data.load_shapes(1, None, SMALL))


def test_to_float_keeps_zero_and_reaches_one():
    scaled = data.to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert scaled.dtype == torch.float32 and scaled.tolist() == pytest.approx([0, 0.2, 1])


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"'cifar'.*digits, shapes, mnist, cifar10, cifar100") as caught:
        data.load("cifar")
    assert "did you mean cifar10" in str(caught.value) and isinstance(caught.value, data.DataError)


@pytest.mark.parametrize("name, root, size, said", [
    ("mnist", None, None, "--data-root"), ("folder", None, 32, "--data-root"), ("digits", ".", None, "built in"),
    ("cifar10", ".", 32, "32 came for cifar10"), ("folder", ".", 0, "0 came for folder"),
    ("shapes", None, 24, "24 came")])
def test_what_a_set_needs_and_cannot_use(name, root, size, said):
    with pytest.raises(data.DataError, match=said):
        data.load(name, root=root, size=size)


@pytest.mark.parametrize("seed", range(5))
def test_every_beginning_of_a_stratified_order_has_the_shares(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(6), [1, 0, 40, 7, 100, 12]))
    order = stratified_order(labels, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    for size in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:size]], minlength=6)
        assert np.abs(counts - size * np.bincount(labels) / len(labels)).max() <= 1
    assert not np.array_equal(order, stratified_order(labels, seed + 1))


def test_carved_parts_are_disjoint_whole_and_bounded():
    labels = np.arange(200_000) % 1000
    parts = carve(labels, 0, "calibration", "validation")
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 200_000 - 5512, "calibration": 512, "validation": 5000}
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(200_000))
    assert (np.diff(parts["train"]) > 0).all()  # what is left stays in order: files are read as they lie
    assert set(np.bincount(labels[parts["validation"]])) <= {4, 5, 6}
    assert set(np.bincount(labels[parts["calibration"]], minlength=1000)) == {0, 1}
    with pytest.raises(data.DataError, match="there are 19"):
        carve(labels[:19], 0, "test")



def test_cache_is_read_and_keeps_the_bytes(shapes, tmp_path, monkeypatch):
    data.load_shapes(0, tmp_path, SMALL)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    monkeypatch.setattr(data.shapes, "generate", None)  # drawing would fail
    assert same(shapes, data.load_shapes(0, tmp_path, SMALL))


def test_cache_key_covers_seed_sizes_and_version(tmp_path, monkeypatch):
    data.load_shapes(0, tmp_path, SMALL)
    data.load_shapes(1, tmp_path, SMALL)
    data.load_shapes(0, tmp_path, SMALL | {"train": 50})
    monkeypatch.setattr(data.shapes, "VERSION", -1)
    data.load_shapes(0, tmp_path, SMALL)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("damage", [
    lambda good: b"",
    lambda good: b"not an archive",
    lambda good: good[:len(good) // 2],
    lambda good: good[:5000] + bytes([good[5000] ^ 1]) + good[5001:],
], ids=["empty", "text", "truncated", "one bit"])
def test_damaged_cache_is_reported_and_drawn_again(damage, shapes, tmp_path, caplog):
    data.load_shapes(0, tmp_path, SMALL)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert same(shapes, data.load_shapes(0, tmp_path, SMALL))
    (record,) = caplog.records
    assert "drawing it again" in record.getMessage() and "\n" not in record.getMessage()
    assert path.read_bytes() == good
