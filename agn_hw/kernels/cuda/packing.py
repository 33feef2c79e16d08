"""Weights packed for the table products of one table's form."""

from __future__ import annotations

from typing import Any

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.cuda.images import depth_of, padded_channels
from agn_hw.kernels.forms import Geometry

SOURCE = "pack"
THREADS = 256
TILE = 64
VARIANTS = tuple({"FLOATING": floating} for floating in (0, 1))


def pack(w: torch.Tensor, form: Any, geometry: Geometry | None = None) -> list[torch.Tensor]:
    """[factors, codes, start] of weights [N, K] or, with a geometry, [N, C/groups, kh, kw].

    w: uint8, or whole numbers -128..127 in float32. `form` has factor int8 [T, 256], constants int32 [256] and
    numbers.planes. K' = depth_of(taps, C/groups), k running over the taps and, within a tap, over the filled-up
    channels.

    factors: int8 [groups, T, N', K'], 0 in what fills up N/groups to 64 or a multiple of 128 and k to K'.
    codes: int16 [groups, K', N''], N'' a multiple of 128, 256 in what fills up; empty without residual planes.
    start: int32 [N], the sum over k of constants[w[n, k]], modulo 2^32.
    """
    w = w.contiguous()
    groups = 1 if geometry is None else geometry.groups
    columns, channels = w.shape[0] // groups, w.shape[1]
    taps = w.shape[2:].numel()
    depth, terms = depth_of(taps, channels), form.factor.shape[0]
    factor_columns, code_columns = TILE if columns <= TILE else _up(columns, 2 * TILE), _up(columns, 2 * TILE)
    factors = w.new_empty(groups, terms, factor_columns, depth, dtype=torch.int8)
    codes = w.new_empty(groups, depth, code_columns if form.numbers.planes else 0, dtype=torch.int16)
    start = w.new_zeros(w.shape[0], dtype=torch.int32)
    if w.numel():
        columns_written = code_columns if form.numbers.planes else factor_columns
        launch.launch(
            SOURCE, "pack", (depth // TILE, columns_written // TILE, groups), THREADS, _shared(terms),
            (w, form.factor.contiguous(), form.constants.contiguous(), factors, codes if form.numbers.planes else None,
             start, columns, channels, taps, terms, factor_columns, code_columns, padded_channels(channels), depth),
            FLOATING=int(w.dtype == torch.float32),
        )
    return [factors, codes, start]


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


def _shared(terms: int) -> int:
    """Bytes of shared memory: the constants, a tile of codes, and the factors' bytes, four terms a word."""
    return 4 * 257 + 2 * TILE * (TILE + 2) + 4 * 257 * -(-terms // 4)
