"""The image sets of the zoo, split into train, calibration, validation and test. Nothing is downloaded."""

from __future__ import annotations

import difflib
from pathlib import Path

from agn_hw.zoo import shapes
from agn_hw.zoo.data import cifar, decoded, listing, mnist
from agn_hw.zoo.data.built_in import DIGITS_SIZES, SHAPES_SIZES, load_digits, load_shapes
from agn_hw.zoo.data.splits import PARTS, DataError, Split, Splits, UnknownData, from_images, to_float

__all__ = [
    "DIGITS_SIZES",
    "NAMES",
    "PARTS",
    "SHAPES_SIZES",
    "DataError",
    "Split",
    "Splits",
    "UnknownData",
    "check",
    "from_images",
    "load",
    "load_shapes",
    "shapes",
    "to_float",
]

BUILT_IN = ("digits", "shapes")
NAMES = (*BUILT_IN, "mnist", "cifar10", "cifar100", "tiny-imagenet", "folder")
FOLDERS = {"tiny-imagenet": (listing.tiny_imagenet, 64), "folder": (listing.image_folder, 224)}
"""Sets of image files: what lists them, the side that their images get unless another is asked for."""


def load(
    name: str, seed: int = 0, cache: Path | None = None, root: Path | None = None, size: int | None = None
) -> Splits:
    """The data set `name`; the splits are disjoint, and the same name, seed and files give the same bytes.

    "digits": 1797 scanned digits, 8x8, one channel (scikit-learn's copy of the UCI set by Alpaydin and
    Kaynak); the seed chooses the stratified split. "shapes": the procedural set of `shapes`, 24x24, three
    channels; drawn in a few seconds, or read from the folder `cache` when one is given.

    The others are read from the folder `root` in their authors' formats: "mnist", "cifar10", "cifar100",
    "tiny-imagenet", and "folder", any images sorted into folders (`listing.image_folder`). Their official test part
    is `test`; calibration (one in 20, at most 512) and validation (one in 10, at most 5000) are taken out of train by
    seed, stratified. Images of the last two are brought to `size` x `size` pixels and kept in `cache` (`decoded.load`).

    Raises UnknownData (a ValueError) for another name, DataError where the files are missing or damaged.
    """
    check(name, root, size)
    if name == "digits":
        return load_digits(seed)
    if name == "shapes":
        return load_shapes(seed, cache, SHAPES_SIZES)
    assert root is not None
    root = Path(root)
    if name == "mnist":
        return mnist.load(seed, root)
    if name in cifar.SETS:
        return cifar.load(name, seed, root)
    listed, usual = FOLDERS[name]
    return decoded.load(name, seed, cache, size or usual, listed(root, seed), root)


def check(name: str, root: Path | None = None, size: int | None = None) -> None:
    """Raises UnknownData for a name that no set has, DataError for a folder or size that it lacks or cannot use."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES)
        mend = f"did you mean {' or '.join(near)}?" if near else "images of your own: 'folder'"
        came = f"unknown data set {name!r}; known data sets: {', '.join(NAMES)}"
        raise UnknownData("a data set of the zoo", came, mend)
    if name in BUILT_IN and root is not None:
        raise DataError(f"no folder for {name}", f"{root} came", "leave it out: this set is built in")
    if name not in BUILT_IN and root is None:
        raise DataError(f"the folder with the files of {name}", "none was named", "name it (--data-root, root=)")
    if size is not None and (name not in FOLDERS or size < 1):
        came = f"{size} came for {name}"
        raise DataError(f"an image size of 1 or more, for {' or '.join(FOLDERS)}", came, "leave it out")
