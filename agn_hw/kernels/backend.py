"""Table products on whatever there is where the operands lie: compiled kernels, CUDA kernels, or pure torch.

A product is prepared (table split, weights packed) and computed in two steps, so that a layer can keep the first.
The CUDA kernels take activations also as whole numbers -128..255 in float32, for the bytes of these.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import torch

from agn_hw.kernels import choice, cuda, decompose, native, portable
from agn_hw.kernels.cuda import products
from agn_hw.kernels.forms import Finish, Geometry, check_sums

Prepared = list[torch.Tensor]
"""Weights, table int32 [256, 256]; for compiled and CUDA kernels also the table's split and the packed weights.

Plain tensors, so that it can be an operator's argument. Its owner makes a new one when weights or table change:
nothing here notices.
"""


@cache
def compiled() -> bool:
    """Whether the compiled kernels serve; warns, once, if they do not."""
    if not native.available():
        warnings.warn(
            "agn-hw has no compiled kernels here: table products run in pure torch, with the same results but many "
            "times slower. Install the package again with a C++ compiler at hand.",
            RuntimeWarning,
            stacklevel=2,
        )
    return native.available()


def has_kernels(tensor: torch.Tensor) -> bool:
    """Whether other than pure torch serves for this tensor."""
    return cuda.serves(tensor) or (not tensor.is_cuda and compiled())


def check_table(codes: torch.Tensor, lut: torch.Tensor) -> None:
    """Raises RuntimeError unless codes are uint8, the table is int32 [256, 256] and both lie on one device."""
    torch._check(codes.dtype == torch.uint8, lambda: f"x and w must be uint8, got {codes.dtype}")
    check_lut(lut)
    check_device(codes, lut)


def check_device(codes: torch.Tensor, lut: torch.Tensor) -> None:
    """Raises RuntimeError unless codes and the table lie on one device."""
    torch._check(
        codes.device == lut.device,
        lambda: f"operands and table must lie on one device, got {codes.device} and {lut.device}",
    )


def check_lut(lut: torch.Tensor) -> None:
    """Raises RuntimeError unless the table is int32 [256, 256]."""
    torch._check(
        lut.dtype == torch.int32 and lut.shape == (256, 256),
        lambda: f"lut must be int32 [256, 256], got {lut.dtype} {tuple(lut.shape)}",
    )


def is_prepared(kept: Prepared) -> bool:
    """Whether this is what `prepare` made, rather than a table's split, or nothing."""
    return len(kept) > 1 and kept[0].dtype != torch.int32


def check_prepared(prepared: Prepared, geometry: Geometry | None) -> None:
    """Raises RuntimeError unless `prepare` made this for a matrix product, or for a convolution of this geometry."""
    if prepared and cuda.serves(prepared[0]):
        products.check_prepared(prepared, geometry)
        return
    sizes = (2, 4) if geometry is None else (2, 5)
    torch._check(
        len(prepared) in sizes,
        lambda: f"wanted what prepare(w, lut{', geometry' if geometry else ''}) made, got {len(prepared)} tensors",
    )
    if geometry is not None and len(prepared) == 5:
        torch._check(
            torch.equal(prepared[4], _packing(geometry)),
            lambda: f"weights were prepared for another geometry than {geometry}; prepare them again",
        )


def _packing(geometry: Geometry) -> torch.Tensor:
    """What the order of packed weights depends on."""
    return torch.tensor([*geometry.dilation, geometry.groups])


def prepare(
    w: torch.Tensor, lut: torch.Tensor, geometry: Geometry | None = None, split: Prepared | None = None
) -> Prepared:
    """Weights ready for `matmul` (w uint8 [N, K]) or, with a geometry, `conv2d` (w uint8 [N, C/groups, kh, kw]).

    lut: int32 [256, 256]; split: what `split_table` made of it, if that was kept. Raises RuntimeError if a sum could
    leave int32. On a CUDA device a table that is new or changed, and not split yet, is read by the host.
    """
    check_table(w, lut)
    if cuda.serves(lut):
        return products.prepare(w, lut, geometry, split or [])
    check_sums(w[0].numel() if len(w) else 0, int(lut.min()), int(lut.max()))
    if not has_kernels(lut) or w.numel() == 0:
        return [w, lut]
    if geometry is not None and w.shape[0] // geometry.groups < choice.FEWEST_COLUMNS_FOR_SLOPES:
        split = [native.split(lut, slopes=False)]
    made = split[0] if split else native.split(lut)
    native.check_split(made)
    if geometry is None:
        return [w, lut, made, native.pack(made, w)]
    return [w, lut, made, native.pack_conv2d(made, w, geometry), _packing(geometry)]


def split_table(lut: torch.Tensor) -> Prepared:
    """The part of `prepare` that depends on the table alone, for weights that change from product to product."""
    if cuda.serves(lut):
        return products.split_table(lut)
    return [native.split(lut)] if has_kernels(lut) else []


def best_split(lut: torch.Tensor, columns: int) -> Prepared:
    """`split_table` after a search (tens of milliseconds) for an exact low-rank form, where that is faster for a
    product with this many columns: worth it for a table that is used again and again."""
    if lut.is_cuda or not compiled():
        return split_table(lut)
    table = lut.numpy().astype(np.int64)
    rest = table - table[0]
    common = int(np.bitwise_or.reduce(np.abs(rest), axis=None)) or 1
    shift = (common & -common).bit_length() - 1
    forms = [native.split(lut)]
    terms = decompose.int8_terms((rest >> shift).astype(np.int32), native.MOST_TERMS)
    if terms is not None:
        forms.append(native.split_terms(lut, terms, shift))
    shape = choice.Shape(rows=4096, columns=columns, depth=1)
    return [forms[choice.form(shape, [native.form(form) for form in forms], native.isa())]]


def matmul(x: torch.Tensor, prepared: Prepared, finish: Finish | None = None) -> torch.Tensor:
    """x uint8 [M, K] by prepared weights [N, K]: sums int32 [M, N], or with `finish` codes float32."""
    check_prepared(prepared, None)
    w, lut = prepared[:2]
    check_device(x, lut)
    if cuda.serves(lut):
        return products.matmul(x, prepared, finish)
    if len(prepared) == 2:
        sums = portable.lut_matmul(x, w, lut)
        return sums if finish is None else portable.requantize(sums, finish)
    kernel = _kernel(prepared, choice.Shape(x.shape[0], *w.shape))
    return native.matmul(prepared[2], prepared[3], w.shape[0], x, finish, kernel)


def conv2d(x: torch.Tensor, prepared: Prepared, geometry: Geometry, finish: Finish | None = None) -> torch.Tensor:
    """x uint8 [B, C, H, W] by prepared weights: sums int32 [B, N, H', W'], or with `finish` codes float32."""
    check_prepared(prepared, geometry)
    w, lut = prepared[:2]
    check_device(x, lut)
    if cuda.serves(lut):
        return products.conv2d(x, prepared, geometry, finish)
    if len(prepared) == 2:
        sums = portable.lut_conv2d(x, w, lut, geometry)
        return sums if finish is None else portable.requantize(sums, finish)
    height, width = geometry.output_size(x.shape, w.shape)
    shape = choice.Shape(x.shape[0] * height * width, w.shape[0] // geometry.groups, w[0].numel())
    few = shape.columns < choice.FEWEST_COLUMNS_FOR_SLOPES  # plane by plane
    kernel = native.COLUMNS if few else _kernel(prepared, shape)
    return native.conv2d(prepared[2], prepared[3], w.shape, x, geometry, finish, kernel)


def _kernel(prepared: Prepared, shape: choice.Shape) -> int:
    terms, planes = native.form(prepared[2])
    return choice.kernel(shape, terms, planes, native.isa())
