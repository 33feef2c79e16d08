"""Folders of small pictures, each of one colour with a little noise."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> np.ndarray:
    """A file of one colour with a little noise; returns its colour."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(20, 230, 3)
    noise = rng.integers(-3, 4, (size[1], size[0], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((colour + noise).astype(np.uint8)).convert(mode).save(path)
    return colour


def folder(
    root: Path, parts: dict[str, int], classes: tuple[str, ...] = ("ant", "bee", "cow"), suffix: str = "png"
) -> dict[Path, np.ndarray]:
    """parts: folder -> images a class; returns path -> colour."""
    paths = [root / part / name / f"{i:03d}.{suffix}"
             for part, count in parts.items() for name in classes for i in range(count)]
    return {path: picture(path, number) for number, path in enumerate(paths)}
