"""Residual bytes of any table for many rows: rows of tables in shared memory are added up (row_add.cu)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.cuda.form import Form
from agn_hw.kernels.cuda.images import Output, Windows
from agn_hw.kernels.cuda.launch import Facts

SOURCE = "row_add"
_STAGE = 8  # k's copied at once: depths are cut there
_PLANE = 257 * 256


class Tile(NamedTuple):
    """What a block computes: threads * rows / (columns / 16) rows by `columns` columns."""

    columns: int
    threads: int
    rows: int  # of a thread

    @property
    def height(self) -> int:
        return self.threads * 16 // self.columns * self.rows


class Memory(NamedTuple):
    """How shared memory is used: 128-byte lines for each x, tables, whether the plane is there."""

    halves: int
    buffers: int
    near: int


TILES = (Tile(64, 384, 12), Tile(64, 256, 16), Tile(64, 256, 4), Tile(32, 384, 8), Tile(32, 256, 4))
MEMORIES = (Memory(2, 2, 1), Memory(2, 1, 0), Memory(1, 1, 0))
"""From the fastest to what every device has room for."""


def splits(windows: Windows, columns: int, groups: int, facts: Facts) -> int:
    """Over how many blocks the depth is best split; they add atomically where it is more than one.

    That costs passes over the output before and after, so it has to save a tenth.
    """
    sizes = windows.rows, columns, groups, windows.depth
    cuts = [2**i for i in range(7) if 2**i * 64 <= windows.depth]
    return min(cuts or [1], key=lambda cut: _best(*sizes, cut, facts)[0] * (1.1 if cut > 1 else 1.0))


def add_rows(windows: Windows, codes: torch.Tensor, form: Form, output: Output, splits: int) -> None:
    """Adds the residual bytes of all planes: byte p of by_weight[p][w][x] counts 256^p.

    codes: int16 [groups, depth, N'], weights by k and column, 256 where there is none; N' a multiple of 128. More than
    one split needs the mode ATOMIC.
    """
    numbers, facts = form.numbers, launch.facts(windows.image.device)
    _, tile, memory = _best(windows.rows, output.columns, output.groups, windows.depth, splits, facts)
    grid = -(-windows.rows // tile.height), -(-output.columns // tile.columns) * output.groups, splits
    launch.launch(
        SOURCE, "row_add", grid, tile.threads, shared_bytes(tile, memory),
        (windows, codes, form.by_weight, output, numbers.planes, codes.shape[2], 65535 // max(numbers.largest, 1),
         splits, 1),
        **macros(tile, memory, 2 if numbers.largest < 128 else 1),
    )


def macros(tile: Tile, memory: Memory, words: int) -> dict[str, int]:
    """Of row_add.cu: so many words are added before a byte overflows."""
    return {
        "COLUMNS": tile.columns, "THREADS": tile.threads, "ROWS": tile.rows, "HALVES": memory.halves,
        "BUFFERS": memory.buffers, "NEAR": memory.near, "ADDENDS": words,
    }


def shared_bytes(tile: Tile, memory: Memory) -> int:
    """Shared memory of a block: tables, plane, activations, codes and where rows start."""
    across = 32 * 16 // tile.columns
    scratch = tile.threads // 32 * tile.columns * (8 * across + 8)
    tables = max(memory.buffers * memory.halves * 256 * 128, scratch)
    return tables + memory.near * _PLANE + tile.height * (2 * _STAGE + 4) + 3 * _STAGE * tile.columns * 2 + 8


def fits(tile: Tile, memory: Memory, shared: int) -> bool:
    """Whether a device has room for it. 384 threads have the registers only where the plane is near."""
    return (tile.threads <= 256 or memory.near == 1) and shared_bytes(tile, memory) <= shared


@lru_cache(maxsize=1024)
def _best(rows: int, columns: int, groups: int, depth: int, cut: int, facts: Facts) -> tuple[float, Tile, Memory]:
    """The least cycles that shared memory is busy on one multiprocessor, and how."""
    found = []
    for memory in MEMORIES:
        found += [
            (_cycles(tile, rows, columns, groups, depth, cut, facts.multiprocessors), tile, memory)
            for tile in TILES
            if fits(tile, memory, facts.shared)
        ]
        if found:
            break
    return min(found)


def _cycles(tile: Tile, rows: int, columns: int, groups: int, depth: int, cut: int, multiprocessors: int) -> float:
    """On paper: 128 bytes a cycle for adding and building, 128 activations copied in 8, an output flushed in 1/8."""
    blocks = -(-rows // tile.height) * -(-columns // tile.columns) * groups * cut
    outputs = tile.height * tile.columns
    deep = -(-depth // cut)
    adding = deep * (outputs / 128 + 5.5 * tile.columns + tile.height / 16)
    flushing = -(-deep // 256) * outputs / 8
    return -(-blocks // multiprocessors) * (adding + flushing + 2000)


VARIANTS = tuple(
    macros(tile, memory, words)
    for memory in MEMORIES
    for tile in TILES
    if fits(tile, memory, 232448)
    for words in (1, 2)
)
