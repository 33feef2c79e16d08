"""Files that are either whole or absent: write beside, flush to disk, rename."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from lut_gen.errors import CatalogError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""What may become a file's name: no separators, nothing hidden, no `..`."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces `path` by `data`; a kill at any moment leaves the old file or the new one.

    A file that holds these bytes already is not touched. Raises CatalogError where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists() and path.read_bytes() == data:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(temporary, path)
    except OSError as error:
        came = f"{error.strerror or error}"
        raise CatalogError(f"to write {path}", came, "choose another folder or make room") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it; waits for one that is at work there.

    The lock goes with the process, however that ends. Raises CatalogError where the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise CatalogError(f"a folder at {folder}", f"{error.strerror}", "choose another folder") from None
    try:
        with suppress(OSError):  # some network file systems know no such locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Deletes what a killed writer left beside its target."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """A compressed .npz archive; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
