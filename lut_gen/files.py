"""Files that are either whole or absent: write beside, flush to disk, rename."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces `path` by `data`; a kill at any moment leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as sink:
        sink.write(data)
        sink.flush()
        os.fsync(sink.fileno())
    os.replace(temporary, path)


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
