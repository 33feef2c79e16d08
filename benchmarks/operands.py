"""What the kernels are timed on: shapes, operands and tables. Everything is seeded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Shape:
    """y[M, N] from x [M, K] and w [N, K]. images: (batch, height, width) of the 3x3 convolution, stride 1 and
    padding 1, that is this product: M = batch * height * width, K = 9 * channels."""

    rows: int
    depth: int
    columns: int
    images: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        return f"{self.rows}x{self.depth}x{self.columns}"

    @property
    def lookups_per_row(self) -> int:
        return self.depth * self.columns


SHAPES = (
    Shape(131072, 144, 16, (128, 32, 32)),
    Shape(32768, 288, 32, (128, 16, 16)),
    Shape(8192, 576, 64, (128, 8, 8)),
    Shape(25088, 576, 64, (8, 56, 56)),
    Shape(6272, 1152, 128, (8, 28, 28)),
    Shape(392, 4608, 512, (8, 7, 7)),
    Shape(256, 1024, 1024),
)
"""Layers of residual networks: three on 32x32 images (batch 128), three on 224x224 (batch 8), and a linear layer."""


def shape_of(text: str) -> Shape:
    """The shape written MxKxN. Raises ValueError if the text is none."""
    sizes = [int(size) for size in text.split("x")]
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"wanted MxKxN, got {text}")
    known = {shape.name: shape for shape in SHAPES}
    return known.get(text, Shape(sizes[0], sizes[1], sizes[2]))


def real_operands(shape: Shape, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """x uint8 [M, K]: ReLU of a normal, half of it zero, 255 at three standard deviations. w uint8 [N, K]: byte
    patterns of int8 weights, normal with standard deviation 25."""
    x = np.clip(np.rint(85 * rng.standard_normal((shape.rows, shape.depth), dtype=np.float32)), 0, 255)
    w = np.clip(np.rint(25 * rng.standard_normal((shape.columns, shape.depth), dtype=np.float32)), -128, 127)
    return torch.from_numpy(x.astype(np.uint8)), torch.from_numpy(w.astype(np.int8).view(np.uint8))


def uniform_operands(shape: Shape, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """x uint8 [M, K] and w uint8 [N, K], every byte equally likely."""
    x = rng.integers(0, 256, (shape.rows, shape.depth), dtype=np.uint8)
    w = rng.integers(0, 256, (shape.columns, shape.depth), dtype=np.uint8)
    return torch.from_numpy(x), torch.from_numpy(w)


OPERANDS: dict[str, Callable[[Shape, np.random.Generator], tuple[torch.Tensor, torch.Tensor]]] = {
    "real": real_operands,
    "uniform": uniform_operands,
}

_X = np.arange(256)[:, None]  # activation
_W = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)[None, :]  # weight, by its byte pattern


def exact() -> np.ndarray:
    """x * w, int64 [256, 256]: x unsigned, w signed."""
    return _X * _W


def broken_array() -> np.ndarray:
    """Sign and magnitude around an array without some of its cells: the two rows of the lowest activation bits
    (horizontal break 2) and all cells of weight below 2^5 (vertical break 5). Mahdiani et al., "Bio-inspired
    imprecise computational blocks", 2010."""
    magnitude = np.abs(_W)
    cells = [(i, j) for i in range(8) for j in range(8) if i >= 2 and i + j >= 5]
    return np.sign(_W) * sum(((_X >> i & 1) * (magnitude >> j & 1)) << (i + j) for i, j in cells)


def or_adder_array() -> np.ndarray:
    """Sign and magnitude around an array whose rows are added by lower-part OR adders: the low eight bits are ORed,
    and the AND of the two highest of them is the carry into the exact part. Same paper as above."""
    low = 8
    total = np.zeros((256, 256), dtype=np.int64)
    for j in range(8):
        row = (_X * (np.abs(_W) >> j & 1)) << j
        carry = (total >> (low - 1)) & (row >> (low - 1)) & 1
        total = (((total >> low) + (row >> low) + carry) << low) | ((total | row) & ((1 << low) - 1))
    return np.sign(_W) * total


def random_17_bit() -> np.ndarray:
    """No structure at all: every entry anywhere in -2^16 .. 2^16 - 1."""
    return np.random.default_rng(17).integers(-(2**16), 2**16, (256, 256))


def error_rank(table: np.ndarray) -> int:
    """Rank of table - x * w."""
    return int(np.linalg.matrix_rank((table - exact()).astype(np.float64)))


TABLES: dict[str, tuple[Callable[[], np.ndarray], range]] = {
    "exact": (exact, range(1)),
    "broken_array": (broken_array, range(1, 5)),
    "or_adder_array": (or_adder_array, range(32, 257)),
    "random_17_bit": (random_17_bit, range(200, 257)),
}
"""Each table and what the rank of its error has to be."""

LOW_RANK = "broken_array"
"""The table of the headline figures."""


def table(name: str) -> torch.Tensor:
    """Table `name`, int32 [256, 256], indexed [activation, byte pattern of the weight]. Raises ValueError if its
    error has not the promised rank."""
    make, ranks = TABLES[name]
    values = make()
    rank = error_rank(values)
    if rank not in ranks:
        raise ValueError(f"table {name}: wanted an error of rank {ranks.start}..{ranks.stop - 1}, got rank {rank}")
    return torch.from_numpy(values.astype(np.int32))
