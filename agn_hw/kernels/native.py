"""The compiled kernels of `csrc/`, loaded by ctypes: table splits, packed weights, matrix products, convolutions.

Tensors must lie on the CPU; sums are taken modulo 2^32, so callers make sure that they fit int32.
"""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_int64, c_void_p

import numpy as np
import torch

from agn_hw.kernels import library
from agn_hw.kernels.decompose import Terms
from agn_hw.kernels.forms import Finish, Geometry
from agn_hw.kernels.library import ISAS

ROW_ADD, COLUMNS = 1, 2
"""The two ways to add the residual bytes: row by row of the output, or column by column in registers."""
MOST_TERMS = 16
_TERMS = MOST_TERMS * 256  # bytes of each of the two tables of terms in agn_split


class _Conv(ctypes.Structure):
    _fields_ = [
        (name, c_int64)
        for name in ("batch", "channels", "height", "width", "outputs", "kernel_height", "kernel_width")
    ] + [(name, c_int64 * 2) for name in ("stride", "padding", "dilation")] + [
        ("groups", c_int64), ("padding_code", c_int64)
    ]


class _Finish(ctypes.Structure):
    numbers: tuple[torch.Tensor, torch.Tensor]
    _fields_ = [("bias", c_void_p), ("factor", c_void_p), ("low", c_double), ("high", c_double)]


def available() -> bool:
    """Whether the compiled library is there."""
    return library.find() is not None


def isa() -> str:
    """The instruction set in use."""
    return str(library.load().agn_isa().decode())


def use_isa(name: str) -> None:
    """Takes another instruction set, for all threads. Raises ValueError if this processor lacks it."""
    if library.load().agn_use_isa(name.encode()):
        raise ValueError(f"wanted one of {', '.join(ISAS)} that this processor has, got {name!r}")


def split(lut: torch.Tensor, slopes: bool = True) -> torch.Tensor:
    """How to compute a table int32 [256, 256]: int8 products, constants and residual bytes (uint8, opaque).

    Without `slopes` there are no int8 products: for products so small that setting them up would not pay.
    """
    lut = lut.contiguous()
    made = torch.empty(library.load().agn_split_bytes(), dtype=torch.uint8)
    library.load().agn_split_table(lut.data_ptr(), int(slopes), made.data_ptr())
    return made


def split_terms(lut: torch.Tensor, terms: Terms, shift: int) -> torch.Tensor:
    """The split of a table whose int8 products are given: lut = terms * 2^shift + constants + what is left."""
    lut = lut.contiguous()
    made = torch.zeros(library.load().agn_split_bytes(), dtype=torch.uint8)
    header, expand, factor = made[:16].view(torch.int32), made[16 : 16 + _TERMS], made[16 + _TERMS : 16 + 2 * _TERMS]
    header.copy_(torch.tensor([len(terms), int((terms.scale == 256).sum()), 0, shift]))
    expand[: terms.expand.size] = torch.from_numpy(terms.expand.reshape(-1))
    factor[: terms.factor.size] = torch.from_numpy(terms.factor.reshape(-1).view(np.uint8))
    library.load().agn_split_residual(lut.data_ptr(), made.data_ptr())
    return made


def check_split(split: torch.Tensor) -> None:
    """Raises RuntimeError if this is nothing that `split` or `split_terms` made."""
    size = library.load().agn_split_bytes()
    if split.dtype != torch.uint8 or split.shape != (size,):
        raise RuntimeError(f"wanted a table's split, uint8 [{size}], got {split.dtype} {tuple(split.shape)}")


def form(split: torch.Tensor) -> tuple[int, int]:
    """Number of int8 terms and of residual bytes of a split."""
    terms, _, planes = split[:12].view(torch.int32).tolist()
    return terms, planes


def pack(split: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Weights uint8 [N, K] packed for `matmul` with this split (uint8, opaque)."""
    w = w.contiguous()
    columns, depth = w.shape
    made = torch.empty(library.load().agn_packed_bytes(split.data_ptr(), columns, 1, depth), dtype=torch.uint8)
    library.load().agn_pack(split.data_ptr(), w.data_ptr(), columns, 1, depth, made.data_ptr())
    return made


def pack_conv2d(split: torch.Tensor, w: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Weights uint8 [N, C/groups, kh, kw] packed for `conv2d` with this split and geometry (uint8, opaque)."""
    runs, run = c_int64(), c_int64()
    conv = _conv(torch.Size((1, w.shape[1] * geometry.groups, 1, 1)), w.shape, geometry)
    library.load().agn_conv_runs(ctypes.byref(conv), ctypes.byref(runs), ctypes.byref(run))
    channels = w.shape[0] // geometry.groups
    size = library.load().agn_packed_bytes(split.data_ptr(), channels, runs, run)
    made = torch.empty(size * geometry.groups, dtype=torch.uint8)
    ordered = w.permute(0, 2, 3, 1).contiguous()
    for group in range(geometry.groups):
        start = ordered.data_ptr() + group * channels * w[0].numel()
        library.load().agn_pack(split.data_ptr(), start, channels, runs, run, made.data_ptr() + group * size)
    return made


def matmul(
    split: torch.Tensor, packed: torch.Tensor, columns: int, x: torch.Tensor, finish: Finish | None = None,
    kernel: int = ROW_ADD,
) -> torch.Tensor:
    """x uint8 [M, K] times packed weights: sums int32 [M, N], or with `finish` codes float32."""
    x = x.contiguous()
    y = torch.empty(x.shape[0], columns, dtype=torch.int32 if finish is None else torch.float32)
    ending = _finish(finish)
    failed = library.load().agn_matmul(
        split.data_ptr(), packed.data_ptr(), columns, x.data_ptr(), x.shape[0], x.shape[1], ending, y.data_ptr(),
        torch.get_num_threads(), kernel,
    )
    if failed:
        raise MemoryError(f"no memory for a product of {tuple(x.shape)} by {columns} columns")
    return y


def conv2d(
    split: torch.Tensor, packed: torch.Tensor, weight: torch.Size, x: torch.Tensor, geometry: Geometry,
    finish: Finish | None = None, kernel: int = ROW_ADD,
) -> torch.Tensor:
    """x uint8 [B, C, H, W] by packed weights of shape `weight`: sums int32 [B, N, H', W'], or codes float32."""
    x = x.contiguous()
    height, width = geometry.output_size(x.shape, weight)
    y = torch.empty(x.shape[0], weight[0], height, width, dtype=torch.int32 if finish is None else torch.float32)
    conv, ending = _conv(x.shape, weight, geometry), _finish(finish)
    failed = library.load().agn_conv2d(
        split.data_ptr(), packed.data_ptr(), ctypes.byref(conv), x.data_ptr(), ending, y.data_ptr(),
        torch.get_num_threads(), kernel,
    )
    if failed:
        raise MemoryError(f"no memory for a convolution of {tuple(x.shape)} by {tuple(weight)}")
    return y


def requantize(sums: torch.Tensor, finish: Finish) -> torch.Tensor:
    """Codes float32 from sums [B, N, ...], int32 or float32 (whole numbers below 2^24)."""
    sums = sums.contiguous()
    y = torch.empty_like(sums, dtype=torch.float32)
    batch, channels = sums.shape[:2]
    size = sums[0, 0].numel() if batch and channels else 0
    library.load().agn_requantize(
        sums.data_ptr(), int(sums.dtype == torch.float32), batch, channels, size, _finish(finish), y.data_ptr(),
        torch.get_num_threads(),
    )
    return y


def add_codes(
    left: torch.Tensor, right: torch.Tensor, first: float, second: float, low: int, high: int
) -> torch.Tensor:
    """clamp(floor(left * first + right * second + 1/2), low, high), float32 codes of one shape."""
    left, right = left.contiguous(), right.contiguous()
    y = torch.empty_like(left)
    library.load().agn_add_codes(
        left.data_ptr(), right.data_ptr(), left.numel(), first, second, low, high, y.data_ptr(),
        torch.get_num_threads(),
    )
    return y


def fingerprint(tensor: torch.Tensor) -> int:
    """A 64-bit hash of a tensor's contents."""
    tensor = tensor.detach().contiguous()
    return int(library.load().agn_fingerprint(tensor.data_ptr(), tensor.nbytes))


def _conv(image: torch.Size, weight: torch.Size, geometry: Geometry) -> _Conv:
    pair = c_int64 * 2
    return _Conv(
        *image, weight[0], weight[2], weight[3], pair(*geometry.stride), pair(*geometry.padding),
        pair(*geometry.dilation), geometry.groups, geometry.padding_code,
    )


def _finish(finish: Finish | None) -> object:
    if finish is None:
        return None
    bias, factor = finish.bias.contiguous(), finish.factor.contiguous()
    made = _Finish(bias.data_ptr(), factor.data_ptr(), finish.low, finish.high)
    made.numbers = bias, factor  # their memory lives as long as the structure
    return ctypes.byref(made)
