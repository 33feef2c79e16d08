"""Products on a device: weights prepared, and the kernels that add up terms and residual bytes, one after another.

Nothing here waits for the device, but for a table that is seen for the first time (`form.of`).
"""

from __future__ import annotations

import torch

from agn_hw.kernels.cuda import choice, direct, finish, form, gather, launch, layout, multiply, packing, row_add
from agn_hw.kernels.cuda.form import Form
from agn_hw.kernels.cuda.images import (
    ADD,
    ATOMIC,
    WRITE,
    Output,
    Windows,
    depth_of,
    windows_of_images,
    windows_of_matrix,
)
from agn_hw.kernels.forms import Finish, Geometry, check_sums

Prepared = list[torch.Tensor]
_FORM = slice(2, 2 + len(Form._fields))
FULL = _FORM.stop + 3
"""Tensors of prepared weights: weights and table, the table's form, the three that `packing.pack` made. Those that go
direct are weights and table alone."""
_MOST_ROWS = 2**31  # kernels count them in 32 bits


def prepare(w: torch.Tensor, lut: torch.Tensor, geometry: Geometry | None, split: Prepared) -> Prepared:
    """Weights ready for `matmul` or, with a geometry, `conv2d`. w: uint8 [N, K] or [N, C/groups, kh, kw].

    split: what `split_table` made of the table, or nothing. Raises RuntimeError if a sum could leave int32.
    """
    torch._check(
        len(split) in (0, len(Form._fields)),
        lambda: f"wanted what split_table(lut) made, or nothing, got {len(split)} tensors",
    )
    made = Form(*split) if split else form.of(lut)
    check_sums(w[0].numel() if len(w) else 0, *made.limits)
    columns = w.shape[0] // (geometry.groups if geometry else 1)
    if w.numel() == 0 or choice.goes_direct(columns):
        return [w, lut]
    return [w, lut, *made, *packing.pack(w, made, geometry)]


def split_table(lut: torch.Tensor) -> Prepared:
    """The part of `prepare` that depends on the table alone; waits for the device where the table is new."""
    return [*form.of(lut)]


def check_prepared(prepared: Prepared, geometry: Geometry | None) -> None:
    """Raises RuntimeError unless `prepare` made this for a matrix product, or for a convolution with these groups."""
    axes = 2 if geometry is None else 4
    torch._check(
        len(prepared) in (2, FULL) and prepared[0].dim() == axes,
        lambda: f"wanted what prepare(w, lut{', geometry' if geometry else ''}) made, got {len(prepared)} tensors",
    )
    if len(prepared) == FULL:
        w, factors = prepared[0], prepared[_FORM.stop]
        made, groups = factors.shape[0], geometry.groups if geometry else 1
        torch._check(
            made == groups,
            lambda: f"weights were prepared for {made} groups, not {groups} as here; prepare them again",
        )
        torch._check(
            factors.shape[3] == depth_of(w.shape[2:].numel(), w.shape[1]) and prepared[FULL - 1].shape[0] == w.shape[0],
            lambda: f"weights of another shape than {tuple(w.shape)} were prepared; prepare them again",
        )


def matmul(x: torch.Tensor, prepared: Prepared, ending: Finish | None) -> torch.Tensor:
    """x uint8 or float32 codes [M, K] by prepared weights [N, K]: sums int32 [M, N], or codes float32."""
    w = prepared[0]
    size = x.shape[0], w.shape[0]
    if len(prepared) != FULL:
        images, kernels = x.reshape(*x.shape, 1, 1), w.reshape(*w.shape, 1, 1)
        return _direct(images, kernels, prepared[1], Geometry(), (*size, 1, 1), ending).reshape(size)
    if 0 in (*x.shape, *w.shape):
        return _nothing(size, w, ending)
    return _product(windows_of_matrix(layout.padded_matrix(x)), prepared, size, ending)


def conv2d(x: torch.Tensor, prepared: Prepared, geometry: Geometry, ending: Finish | None) -> torch.Tensor:
    """x uint8 or float32 codes [B, C, H, W] by prepared weights: sums int32 [B, N, H', W'], or codes float32."""
    w = prepared[0]
    height, width = geometry.output_size(x.shape, w.shape)
    size = x.shape[0], w.shape[0], height, width
    if len(prepared) != FULL:
        return _direct(x, w, prepared[1], geometry, size, ending)
    if 0 in (*size, *w.shape):
        return _nothing(size, w, ending)
    image = layout.padded_images(x, geometry)
    return _product(windows_of_images(image, w.shape, (height, width), geometry), prepared, size, ending)


def _check_rows(rows: int) -> None:
    torch._check(rows < _MOST_ROWS, lambda: f"wanted fewer than 2^31 rows of a product, got {rows}: take fewer")


def _nothing(size: tuple[int, ...], w: torch.Tensor, ending: Finish | None) -> torch.Tensor:
    """Of products without rows, columns or depth: sums of nothing."""
    y = torch.zeros(size, dtype=torch.int32, device=w.device)
    return y if ending is None else finish.requantize_in_place(y, ending)


def _direct(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, geometry: Geometry, size: tuple[int, ...],
    ending: Finish | None,
) -> torch.Tensor:
    if 0 in (*size, *w.shape):
        return _nothing(size, w, ending)
    _check_rows(size[0] * size[2] * size[3])
    y = torch.empty(size, dtype=torch.int32, device=x.device)
    output = _output(y, WRITE, None, size[1] // geometry.groups, geometry.groups, ending)
    direct.few_columns(x, w, lut, geometry, output)
    return y if ending is None else y.view(torch.float32)


def _output(
    y: torch.Tensor, mode: int, start: torch.Tensor | None, columns: int, groups: int, ending: Finish | None
) -> Output:
    if ending is None:
        return Output(y, start, None, None, 0.0, 0.0, columns, groups, mode)
    return Output(
        y, start, ending.bias.contiguous(), ending.factor.contiguous(), float(ending.low), float(ending.high), columns,
        groups, mode,
    )


def _product(x: Windows, prepared: Prepared, size: tuple[int, ...], ending: Finish | None) -> torch.Tensor:
    """Terms, then residual bytes; what comes last makes codes of the sums, if it has all of them."""
    _check_rows(x.rows)
    made = Form(*prepared[_FORM])
    factors, codes, start = prepared[_FORM.stop :]
    numbers, groups = made.numbers, factors.shape[0]
    columns = size[1] // groups
    facts = launch.facts(x.image.device)
    few = choice.gathers(choice.Shape(x.rows, columns, x.depth))
    bytewise = gather if few else row_add
    cuts = [multiply.splits(x, columns, groups, facts)] if numbers.terms else []
    cuts += [bytewise.splits(x, columns, groups, facts)] if numbers.planes else []
    y = torch.empty(size, dtype=torch.int32, device=x.image.device)
    fresh = not cuts or max(cuts) > 1  # several blocks add to one sum, or nothing does
    if fresh:
        finish.preset(y, start)
    finished = ending is not None and bool(cuts) and cuts[-1] == 1
    for i, cut in enumerate(cuts):
        mode = ATOMIC if cut > 1 else WRITE if i == 0 and not fresh else ADD
        last = ending if finished and i == len(cuts) - 1 else None
        output = _output(y, mode, start, columns, groups, last)
        if i == 0 and numbers.terms:
            multiply.add_terms(x, made.expand, factors, numbers, output, cut)
        elif few:
            gather.add_gathered(x, codes, made, output, cut)
        else:
            row_add.add_rows(x, codes, made, output, cut)
    if ending is None:
        return y
    return y.view(torch.float32) if finished else finish.requantize_in_place(y, ending)
