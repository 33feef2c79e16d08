"""Data sets' files as their authors publish them: found, compared with the published checksum, read within bounds."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from agn_hw.zoo.data.splits import DataError

MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
}
"""Checksums that the authors (CIFAR) and the mirrors (MNIST) publish for the files as downloaded."""
DENSEST = 1032  # deflate makes at most so many bytes out of one
PIECE = 1 << 20  # bytes read at a time


def first_existing(root: Path, candidates: Iterable[str]) -> Path | None:
    """The first of these files that is there under `root`."""
    return next((root / name for name in candidates if (root / name).is_file()), None)


def missing(what: str, root: Path, looked_for: Iterable[str], source: str) -> DataError:
    """The error of a set whose files are not there. source: where the public files come from, by name."""
    there = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else None
    holds = "there is no such folder" if there is None else f"the folder holds {', '.join(there) or 'nothing'}"
    came = f"none was found in {root}: {holds}"
    return DataError(f"{what}: {' or '.join(looked_for)}", came, f"put {source} there, or name another folder")


def check_sum(path: Path) -> None:
    """Raises DataError where a file of a published name does not have the published checksum."""
    expected = MD5.get(path.name)
    if expected is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        mend = "download it again; if it is another set in the same format, unpack it: what it holds is checked then"
        raise DataError(f"{path} with the published MD5 {expected}", f"its MD5 is {found}", mend)


def read_beginning(file: IO[bytes] | io.BufferedIOBase, size: int, path: Path) -> bytes:
    """The next `size` bytes. Memory grows with what the file holds, not with `size`."""
    data = _read(file, size, path)
    if len(data) < size:
        raise damaged(path, f"it ends after {len(data)} of {size} bytes")
    return data


def read_rest(file: IO[bytes] | io.BufferedIOBase, size: int, path: Path) -> bytes:
    """`size` bytes that end with the file."""
    data = read_beginning(file, size, path)
    if _read(file, 1, path):
        raise damaged(path, f"it goes on after the {size} bytes that were wanted")
    return data


def _read(file: IO[bytes] | io.BufferedIOBase, size: int, path: Path) -> bytes:
    pieces, left = [], size
    try:
        while left and (piece := file.read(min(PIECE, left))):
            pieces.append(piece)
            left -= len(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, f"it cannot be read: {error}") from None
    return b"".join(pieces)


def unpacked_at_most(path: Path) -> int:
    """How many bytes a file can hold at most, packed with gzip or not."""
    return path.stat().st_size * (DENSEST if path.suffix == ".gz" else 1)


def opened(path: Path) -> io.BufferedIOBase:
    """The file's bytes, unpacked where it ends in .gz."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def damaged(path: Path, came: str) -> DataError:
    return DataError(f"a sound file {path}", came, "download it again")
