"""Which image files a folder holds, and of which class: ImageFolder's layout and Tiny ImageNet's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agn_hw.zoo.data.original import missing
from agn_hw.zoo.data.splits import PARTS, DataError, carve

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp"}
TINY = "tiny-imagenet-200"
TINY_SOURCE = f"what {TINY}.zip (Stanford's course CS231n) holds, unpacked,"
TINY_VALIDATION = "val_annotations.txt"


@dataclass(frozen=True)
class Listing:
    """Files and labels (int64 [N]) of one part of a data set."""

    paths: list[Path]
    labels: NDArray[np.int64]

    def at(self, chosen: NDArray[np.int64]) -> Listing:
        """These of its files, in this order."""
        return Listing([self.paths[index] for index in chosen.tolist()], self.labels[chosen])


def image_folder(root: Path, seed: int) -> tuple[list[str], dict[str, Listing]]:
    """Class names in order, and the files of each part.

    root/train/CLASS/* with root/val/CLASS/* and perhaps root/test/CLASS/*, where CLASS may hold folders. What stands
    in test is the test part, else what stands in val is; parts that have no folder are taken out of train by seed.
    Without root/train the folders root/CLASS are split by seed. Raises DataError.
    """
    if not root.is_dir():
        raise missing("a folder of images", root, ["train/CLASS/* and val/CLASS/*", "CLASS/*"], "your images")
    if not (root / "train").is_dir():
        classes = _classes(root)
        everything = _listed(root, classes)
        taken = carve(everything.labels, seed, "test", "calibration", "validation")
        return classes, {part: everything.at(taken[part]) for part in PARTS}
    held_out = {name: root / name for name in ("val", "test") if (root / name).is_dir()}
    if not held_out:
        raise missing("images that are held out", root, ["val/CLASS/*", "test/CLASS/*"], "such a folder")
    classes = _classes(root / "train")
    train = _listed(root / "train", classes)
    found = {"test": _listed(held_out.get("test", root / "val"), classes, complete=False)}
    if len(held_out) == 2:
        found["validation"] = _listed(held_out["val"], classes, complete=False)
    taken = carve(train.labels, seed, *(part for part in ("calibration", "validation") if part not in found))
    found |= {part: train.at(chosen) for part, chosen in taken.items()}
    return classes, {part: found[part] for part in PARTS}


def tiny_imagenet(root: Path, seed: int) -> tuple[list[str], dict[str, Listing]]:
    """As `image_folder`, of Tiny ImageNet (Stanford's course CS231n) as it comes; its val is the test part.

    wnids.txt, train/CLASS/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt in root or in
    root/tiny-imagenet-200; its own test part has no labels. Raises DataError.
    """
    places = [place for place in (root, root / TINY) if (place / "wnids.txt").is_file()]
    if not places:
        raise missing("Tiny ImageNet", root, ["wnids.txt", f"{TINY}/wnids.txt"], TINY_SOURCE)
    place = places[0]
    classes = sorted(set(_text(place / "wnids.txt").split()))
    train = _listed(place / "train", classes)
    taken = carve(train.labels, seed, "calibration", "validation")
    found = {part: train.at(chosen) for part, chosen in taken.items()}
    return classes, {part: found[part] for part in PARTS[:-1]} | {"test": _annotated(place / "val", classes)}


def _classes(root: Path) -> list[str]:
    """The folders' names, sorted."""
    names = _folders(root)
    if len(names) < 2:
        came = f"it holds {', '.join(names) or 'none'}"
        raise DataError(f"two folders or more in {root}, one a class", came, "sort the images into folders")
    return names


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _listed(root: Path, classes: list[str], complete: bool = True) -> Listing:
    """All images in the folders of the classes, sorted. complete: each class must have some."""
    if not root.is_dir():
        raise missing("images", root.parent, [f"{root.name}/CLASS/*"], "the images")
    unknown = set(_folders(root)) - set(classes)
    if unknown:
        came = f"{min(unknown)} is none of them"
        raise DataError(f"folders of the training images' classes in {root}", came, "remove or rename it")
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = _images(root / name)
        paths += found
        labels += [label] * len(found)
        if complete and not found:
            raise DataError(f"images ({', '.join(sorted(SUFFIXES))}) in {root / name}", "there are none", "add some")
    if not paths:
        raise DataError(f"images in the folders of {root}", "there are none", "add some")
    return Listing(paths, np.array(labels, np.int64))


def _images(folder: Path) -> list[Path]:
    """The image files in a folder and its folders, sorted by path; hidden files are none."""
    found = []
    for where, _, names in os.walk(folder):
        found += [Path(where, name) for name in names if Path(name).suffix.lower() in SUFFIXES and name[0] != "."]
    return sorted(found)


def _annotated(folder: Path, classes: list[str]) -> Listing:
    """The images that val_annotations.txt names: file, class and a box a line, tabs between them."""
    path, numbers = folder / TINY_VALIDATION, {name: label for label, name in enumerate(classes)}
    if not path.is_file():
        raise missing("Tiny ImageNet's labels", folder, [TINY_VALIDATION], TINY_SOURCE)
    there = {image.name for image in (folder / "images").glob("*")}
    paths, labels = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        name, _, rest = line.partition("\t")
        label = numbers.get(rest.partition("\t")[0])
        if label is None or name not in there:
            wanted, came = f"an image of val/images and a class a line in {path}", f"line {number} is {line[:80]!r}"
            raise DataError(wanted, came, "unpack it again")
        paths.append(folder / "images" / name)
        labels.append(label)
    if len(set(paths)) != len(there):
        came = f"{len(set(paths))} of {len(there)} have one"
        raise DataError(f"a label in {path} for each of val/images", came, "unpack it again")
    return Listing(paths, np.array(labels, np.int64))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a text file {path}", f"it cannot be read: {error}", "unpack it again") from None
