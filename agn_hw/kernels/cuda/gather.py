"""Residual bytes of any table for few rows: each is looked up by itself (gather.cu)."""

from __future__ import annotations

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.cuda.form import Form
from agn_hw.kernels.cuda.images import Output, Windows
from agn_hw.kernels.cuda.launch import Facts

SOURCE = "gather"
THREADS = 256
COLUMNS = 64
PLANE = 256 * 256
ROWS = (1, 4, 16)
VARIANTS = tuple({"ROWS": rows} for rows in ROWS)
_AT_ONCE = 2
"""Blocks that a multiprocessor has registers for."""
_LEAST_DEPTH = 128
"""Of a block: reading the plane should not take longer than using it."""


def splits(windows: Windows, columns: int, groups: int, facts: Facts) -> int:
    """Over how many blocks the depth is best split; they add atomically where it is more than one."""
    blocks = _tiles(windows.rows, columns) * groups
    at_once = facts.multiprocessors * min(max(facts.shared // PLANE, 1), _AT_ONCE)
    return max(min(at_once // blocks, windows.depth // _LEAST_DEPTH, 65535), 1)


def add_gathered(windows: Windows, codes: torch.Tensor, form: Form, output: Output, splits: int) -> None:
    """Adds the residual bytes of all planes: byte p of by_activation[p][x][w] counts 256^p.

    codes: int16 [groups, depth, N'], weights by k and column, 256 where there is none; N' a multiple of 128. More than
    one split needs the mode ATOMIC.
    """
    rows = _rows(windows.rows)
    grid = -(-output.columns // COLUMNS) * output.groups, -(-windows.rows // rows), splits
    launch.launch(
        SOURCE, "gather", grid, THREADS, PLANE,
        (windows, codes, form.by_activation, output, form.numbers.planes, codes.shape[2], splits), ROWS=rows,
    )


def _rows(rows: int) -> int:
    """Of a block."""
    return next((tile for tile in ROWS if rows <= tile), ROWS[-1])


def _tiles(rows: int, columns: int) -> int:
    return -(-rows // _rows(rows)) * -(-columns // COLUMNS)
