"""Tables in NumPy's files, read with care: sizes are checked before anything is allocated, nothing is unpickled.

The format is the one of numpy.lib.format; of it two-dimensional arrays of integers are read, and no others.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from pathlib import Path

import numpy as np

_HEADER = re.compile(
    r"\{'descr': '([<>|][iu][1248])', 'fortran_order': (True|False), 'shape': \((\d{1,9}), (\d{1,9})\), ?\} *\n?"
)
_MOST_ARRAYS = 10_000
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
)


def read_bytes(path: Path, most: int) -> bytes:
    """A regular file's content. Raises ValueError for anything else, more than `most` bytes, or no right to read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("it is no regular file")
        with path.open("rb") as source:
            data = source.read(most + 1)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    if len(data) > most:
        raise ValueError(f"it holds more than {most} bytes")
    return data


def npy_table(data: bytes) -> np.ndarray:
    """The array of a .npy file: integers [A, B]. Raises ValueError for another form."""
    if data[:6] != b"\x93NUMPY":
        raise ValueError("it is no .npy file")
    start, size = (10, data[8:10]) if data[6:7] == b"\x01" else (12, data[8:12])
    end = start + int.from_bytes(size, "little")
    found = _HEADER.fullmatch(data[start:end].decode("latin-1")) if end - start < 1000 else None
    if found is None:
        raise ValueError("it holds no two-dimensional array of integers")
    dtype, rows, columns = np.dtype(found[1]), int(found[3]), int(found[4])
    if len(data) - end != rows * columns * dtype.itemsize:
        raise ValueError(f"{len(data) - end} bytes follow, not those of {rows} x {columns} numbers")
    order = "F" if found[2] == "True" else "C"
    table = np.frombuffer(data, dtype, offset=end).reshape((rows, columns), order=order)  # type: ignore[call-overload]
    return table.copy()


def npz_tables(data: bytes, most: int, names: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, those of `names` or all: integers [A, B] by name.

    Raises ValueError for another form, for a name that is not there, and for arrays that say that they would
    unpack to more than `most` bytes, all together.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > _MOST_ARRAYS:
                raise ValueError(f"it holds more than {_MOST_ARRAYS} arrays")
            wanted = [f"{name}.npy" for name in names] or archive.namelist()
            sizes = [archive.getinfo(name).file_size for name in wanted]
            if sum(sizes) > most:
                raise ValueError(f"it would unpack to {sum(sizes)} bytes; {most} were the most")
            return {name.removesuffix(".npy"): npy_table(archive.read(name)) for name in wanted}
    except _DAMAGE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def as_int32(table: np.ndarray) -> np.ndarray:
    """Any integers as int32, a copy. Raises ValueError where one does not fit."""
    limits = np.iinfo(np.int32)
    if table.size and (int(table.min()) < limits.min or int(table.max()) > limits.max):
        raise ValueError("an entry is beyond int32")
    return np.ascontiguousarray(table).astype(np.int32)
