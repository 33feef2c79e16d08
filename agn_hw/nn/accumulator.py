"""What a narrow accumulator makes of a layer's sums, bit by bit as the array does (rtl/accelerator).

The products of an output channel are added in the order k of its weights (channel, kernel row, kernel column), `rows`
of them at a time. Sums of one tile are exact; each is added to the total of the tiles before, whose width is `bits`:

    wrap       total <- (total + sum) modulo 2^bits, in two's complement
    saturate   total <- the number of `bits` bits nearest to total + sum

Wrapping is the same in any order, so it is done once, at the end. With affine operands the array adds the multiplier's
own entries, and zero points' terms are added to the last total, after all overflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from agn_hw.kernels import autograd, backend
from agn_hw.kernels.forms import DEVICES
from agn_hw.kernels.op import check_matrices, check_table

if TYPE_CHECKING:
    from agn_hw.nn.layers import TableLayer

WRAP, SATURATE = "wrap", "saturate"
_BLOCK = 4096  # output rows whose totals stay in a core's cache


class Accumulator(NamedTuple):
    """bits: 2..32, its width; overflow: "wrap" or "saturate"; rows: of the array, products that one tile adds."""

    bits: int
    overflow: str
    rows: int


@torch.no_grad()
def narrow_sums(
    layer: TableLayer, accumulator: Accumulator, codes: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """A layer's sums as this accumulator leaves them: whole numbers in int32, or float64, shaped as the output.

    codes: padded as `layer.padded` does, float32; weights: codes float32. No gradients.
    """
    x, w, lut = autograd.to_bytes(codes), autograd.to_bytes(weights), layer.product_table()
    terms = None
    if layer.zero_terms is not None:
        terms = layer.zero_terms[0][:, None] + layer.zero_terms[1]
        lut = lut - terms
    if accumulator.overflow == WRAP:
        sums = wrapped(layer.integer_sums(x, w, lut), accumulator.bits)
    else:
        groups = zip(layer.windows(x), w.flatten(1).chunk(layer.groups), strict=True)
        parts = [saturating_matmul(fields, own, lut, accumulator.bits, accumulator.rows) for fields, own in groups]
        sums = layer.placed(torch.cat(parts, 1), x)
    return sums if terms is None else sums.double() + layer.integer_sums(x, w, terms)


def wrapped(sums: torch.Tensor, bits: int) -> torch.Tensor:
    """Whole numbers int32 of any shape, modulo 2^bits, as two's complement numbers of that width."""
    half = 1 << (bits - 1)
    return (((sums.long() + half) & (2 * half - 1)) - half).int()


@torch.library.custom_op("agn_hw::saturating_matmul", mutates_args=(), device_types=DEVICES)
def saturating_matmul(
    x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, bits: int, rows: int
) -> torch.Tensor:
    """As `lut_matmul`, x uint8 [M, K], w uint8 [N, K] -> int32 [M, N], saturating after every `rows` products."""
    check_table(x, w, lut)
    check_matrices(x, w)
    split = backend.split_table(lut)
    tiles = [
        (slice(k, k + rows), backend.prepare(w[:, k : k + rows].contiguous(), lut, None, split))
        for k in range(0, x.shape[1], rows)
    ]
    half = 1 << (bits - 1)
    exact = half + rows * int(lut.abs().max()) < 2**31  # total + sum within int32
    y = torch.empty(x.shape[0], w.shape[0], dtype=torch.int32, device=x.device)
    for fields, out in zip(x.split(_BLOCK), y.split(_BLOCK), strict=True):
        total = torch.zeros(out.shape, dtype=torch.int32 if exact else torch.int64, device=x.device)
        for span, prepared in tiles:
            total.add_(backend.matmul(fields[:, span].contiguous(), prepared)).clamp_(-half, half - 1)
        out.copy_(total)
    return y


@saturating_matmul.register_fake
def _(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, bits: int, rows: int) -> torch.Tensor:
    check_table(x, w, lut)
    check_matrices(x, w)
    return x.new_empty((x.shape[0], w.shape[0]), dtype=torch.int32)
