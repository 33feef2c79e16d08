"""Which files of a folder become which part: ImageFolder's layout and Tiny ImageNet's."""

import numpy as np
import pytest

from agn_hw.zoo import data
from agn_hw.zoo.data import decoded, listing
from tests.agn_hw.zoo.pictures import folder, picture


def test_parts_of_a_folder(tmp_path):
    folder(tmp_path, {"train": 20, "val": 4, "test": 3})
    classes, parts = listing.image_folder(tmp_path, 0)
    assert classes == ["ant", "bee", "cow"]
    assert {name: len(part.paths) for name, part in parts.items()} == {
        "train": 57, "calibration": 3, "validation": 12, "test": 9}
    assert {path.parts[-3] for path in parts["test"].paths} == {"test"}
    assert {path.parts[-3] for path in parts["validation"].paths} == {"val"}
    assert {path.parts[-3] for path in parts["calibration"].paths} == {"train"}


def test_one_folder_is_split_by_seed(tmp_path):
    made = folder(tmp_path, {"": 20})
    (tmp_path / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "ant" / ".hidden.png").write_text("no image")
    (tmp_path / ".thumbnails").mkdir()
    picture(tmp_path / "bee" / "more" / "x.PNG", 5)
    parts, again, other = (listing.image_folder(tmp_path, seed)[1] for seed in (0, 0, 1))
    assert {name: len(part.paths) for name, part in parts.items()} == {
        "train": 40, "calibration": 3, "validation": 6, "test": 12}
    found = [path for part in parts.values() for path in part.paths]
    assert len(set(found)) == len(found) and set(found) == {*made, tmp_path / "bee" / "more" / "x.PNG"}
    assert parts["train"].paths == sorted(parts["train"].paths)
    assert parts["test"].paths == again["test"].paths != other["test"].paths
    assert parts["test"].labels.tolist().count(0) == 4
    for part in parts.values():
        assert [classes[label] for label in part.labels for classes in [["ant", "bee", "cow"]]] == [
            path.relative_to(tmp_path).parts[0] for path in part.paths]


def tiny(root):
    classes = ("n02", "n01")
    for name in classes:
        for i in range(15):
            picture(root / "train" / name / "images" / f"{name}_{i}.JPEG", i, (64, 64))
        (root / "train" / name / f"{name}_boxes.txt").write_text("boxes")
    lines = []
    for i in range(6):
        picture(root / "val" / "images" / f"val_{i}.JPEG", 100 + i, (64, 64))
        lines.append(f"val_{i}.JPEG\t{classes[i % 2]}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("n02\nn01\n")
    return root


@pytest.mark.parametrize("place", ["", "tiny-imagenet-200"])
def test_tiny_imagenet(place, tmp_path):
    tiny(tmp_path / place)
    splits = data.load("tiny-imagenet", 0, root=tmp_path)
    assert splits.sizes() == {"train": 26, "calibration": 1, "validation": 3, "test": 6}
    assert (splits.classes, splits.side) == (2, 64)
    assert splits.test.labels.tolist() == [1, 0] * 3  # classes in sorted order
    expected = decoded.decode(tmp_path / place / "val" / "images" / "val_3.JPEG", 64)
    assert np.array_equal(splits.test.images[3], expected)


@pytest.mark.parametrize("damage, said", [
    (lambda root: (root / "wnids.txt").unlink(), "wnids.txt or tiny-imagenet-200/wnids.txt"),
    (lambda root: (root / "val" / "val_annotations.txt").unlink(), "val_annotations.txt"),
    (lambda root: (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn03\t0\n"), "line 1 is"),
    (lambda root: (root / "val" / "val_annotations.txt").write_text("../x.JPEG\tn01\t0\n"), "line 1 is"),
    (lambda root: (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn01\t0\n"), "1 of 6 have one"),
    (lambda root: (root / "val" / "val_annotations.txt").write_bytes(b"\xff\xfe"), "cannot be read"),
    (lambda root: (root / "wnids.txt").write_text("n01\n"), "n02 is none of them"),
    (lambda root: (root / "wnids.txt").write_text("n01\nn02\nn03\n"), "n03: there are none|in .*n03"),
])
def test_damaged_tiny_imagenet(damage, said, tmp_path):
    damage(tiny(tmp_path))
    with pytest.raises(data.DataError, match=said):
        data.load("tiny-imagenet", root=tmp_path)


@pytest.mark.parametrize("parts, classes, said", [
    ({}, ("ant",), "there is no such folder"), ({"": 20}, ("ant",), "two folders or more"),
    ({"train": 20}, ("ant", "bee"), "held out"), ({"train": 5, "val": 1}, ("ant", "bee"), "there are 10")])
def test_folders_that_do_not_do(parts, classes, said, tmp_path):
    folder(tmp_path / "set", parts, classes)
    with pytest.raises(data.DataError, match=said):
        data.load("folder", root=tmp_path / "set")


def test_unknown_and_empty_classes(tmp_path):
    folder(tmp_path, {"train": 12, "val": 2})
    (tmp_path / "val" / "dog").mkdir()
    with pytest.raises(data.DataError, match="dog is none of them"):
        listing.image_folder(tmp_path, 0)
    (tmp_path / "val" / "dog").rmdir()
    for path in (tmp_path / "val" / "cow").iterdir():
        path.unlink()
    assert listing.image_folder(tmp_path, 0)[1]["test"].labels.tolist() == [0, 0, 1, 1]  # that is allowed
    for path in (tmp_path / "train" / "cow").iterdir():
        path.unlink()
    with pytest.raises(data.DataError, match=r"train/cow[\s\S]*there are none"):
        listing.image_folder(tmp_path, 0)
