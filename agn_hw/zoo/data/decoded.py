"""Image files -> uint8 images of one size: decoded once, into one file that is mapped into memory."""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from agn_hw.zoo.data.listing import Listing
from agn_hw.zoo.data.splits import PARTS, DataError, Split, Splits
from lut_gen.files import locked

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")  # what Pillow may try; the file's first bytes decide, not its name
LARGEST_PIXELS = 89_000_000  # of one image; Pillow warns from about here on
BATCH = 256  # images decoded between two steps of the bar
VERSION = 1  # raise it when the same files would give other bytes
# Linux: a private mapping reserves no memory, so it may be larger than the machine's. Python 3.13 knows the name.
NO_RESERVE = 0x4000 if sys.platform == "linux" else 0


def load(
    name: str, seed: int, cache: Path | None, size: int, found: tuple[list[str], dict[str, Listing]], root: Path
) -> Splits:
    """Splits of the files in `found` (class names, files of each part): uint8 [N, 3, size, size].

    The shorter side is brought to `size` and the middle cut out; grey becomes three equal channels. With `cache` the
    images stand one after another in a file there, part after part: it is written once for the same files (relative
    path, length, time of change), seed and size, and mapped, so that it may be larger than memory. A kill leaves
    nothing half written. Without `cache` the images stand in memory. Raises DataError, naming the file.
    """
    classes, parts = found
    listing = Listing([path for part in PARTS for path in parts[part].paths], np.empty(0, np.int64))
    shape, key = (len(listing.paths), 3, size, size), ""
    if cache is None:
        pixels = np.empty(shape, np.uint8)
        for index, image in enumerate(_decoded(listing.paths, size)):
            pixels[index] = image
    else:
        key = _key(listing.paths, seed, size, root)
        path = Path(cache) / f"{name}_seed{seed}_{size}_{key}.uint8"
        pixels = _kept(path, listing.paths, shape)
    images, start, splits = torch.from_numpy(pixels), 0, {}
    for part in PARTS:
        labels = torch.from_numpy(parts[part].labels)
        splits[part] = Split(images[start : start + len(labels)], labels, key)
        start += len(labels)
    return Splits(name, len(classes), seed, **splits)


def _key(paths: list[Path], seed: int, size: int, root: Path) -> str:
    """Short hash of all that decides the images' bytes, as far as it can be seen without reading them."""
    digest = hashlib.sha256(repr((VERSION, PIL.__version__, seed, size)).encode())
    for path in paths:
        facts = path.stat()
        digest.update(os.fsencode(path.relative_to(root)) + b"\0%d %d\n" % (facts.st_size, facts.st_mtime_ns))
    return digest.hexdigest()[:12]


def _kept(path: Path, paths: list[Path], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The images in the cache file, decoded into it first where it is not there."""
    wanted = int(np.prod(shape, dtype=int))
    with locked(path.parent):
        if not path.exists() or path.stat().st_size != wanted:
            for leftover in path.parent.glob(".*.uint8.tmp"):  # of a killed process: the folder is ours now
                leftover.unlink()
            _write(path, wanted, _decoded(paths, shape[-1]))
        return _mapped(path, wanted).reshape(shape)


def _write(path: Path, size: int, images: Iterator[NDArray[np.uint8]]) -> None:
    """The images one after another in a file that is whole or absent. Not mapped here: a full disk is an error."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as sink:
            for image in images:
                sink.write(image.tobytes())
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(temporary, path)
    except OSError as error:
        came, mend = f"{error.strerror or error}", "make room or choose another folder"
        raise DataError(f"to write {size / 2**20:.0f} MiB to {path}", came, mend) from None
    finally:
        temporary.unlink(missing_ok=True)


def _mapped(path: Path, size: int) -> NDArray[np.uint8]:
    """The file's bytes; what is written to them is seen by this process only."""
    with path.open("rb") as file:
        flags, protection = mmap.MAP_PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
        return np.frombuffer(mmap.mmap(file.fileno(), size, flags=flags, prot=protection), np.uint8)


def _decoded(paths: list[Path], side: int) -> Iterator[NDArray[np.uint8]]:
    """Each image, uint8 [3, side, side]. Pillow works without Python's lock: one thread a core."""
    Image.init()  # before there are threads
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
        ThreadPoolExecutor(os.cpu_count()) as threads,
    ):
        task = bar.add_task("decoding images", total=len(paths))
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            yield from threads.map(partial(decode, side=side), batch)
            bar.advance(task, len(batch))


def decode(path: Path, side: int) -> NDArray[np.uint8]:
    """One image, uint8 [3, side, side]: the square in the middle of it, brought to this size. Raises DataError."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise _unusable(path, f"it has {image.width} x {image.height} pixels, {LARGEST_PIXELS} are the most")
            if image.mode[0] in "IF":
                raise _unusable(path, f"its pixels are of mode {image.mode}, 8 bits a channel were wanted")
            transparent = image.mode == "P" and "transparency" in image.info
            colours = image.convert("RGBA" if transparent else "RGB").convert("RGB")
    except DataError:
        raise
    except Exception as error:  # a damaged image fails in many ways
        raise _unusable(path, f"it cannot be decoded: {type(error).__name__}: {error}") from None
    width, height = colours.size
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    square = colours.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short))
    return np.asarray(square).transpose(2, 0, 1)


def _unusable(path: Path, came: str) -> DataError:
    return DataError(f"an image in {path}", came, "replace it or take it out of the folder")
