"""Data sets: sizes, ranges, disjoint splits, determinism, the cache."""

import hashlib

import pytest
import torch

from agn_hw.zoo import data

SMALL = {"train": 60, "calibration": 20, "validation": 20, "test": 30}


def hashes(split: data.Split) -> list[str]:
    return [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in split.images]


def contents(splits: data.Splits) -> list[torch.Tensor]:
    return [tensor for part in data.PARTS for tensor in vars(getattr(splits, part)).values()]


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
    with pytest.raises(ValueError, match=r"'cifar'.*digits, shapes"):
        data.load("cifar")


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
