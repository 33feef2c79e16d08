"""Gradients of table products: what each operand gets from the gradient of the sums, by plain matrix products.

Straight-through: as if each entry of the table were gain * x * w (Bengio et al., "Estimating or propagating gradients
through stochastic neurons", 2013). Or by tables of derivatives that are given as factors [ux, vx, uw, vw],

    dT/dx[x, w] = sum_r ux[x, r] * vx[w, r]        dT/dw[x, w] = sum_r uw[x, r] * vw[w, r]

float32 [256, r] each, by byte; ux and vx have one r, uw and vw another; a factor of shape [0, 1] stands for ones, and
costs nothing. With G the gradient of the sums, x gets sum_r ux[x] * (G by vx[w]) and w gets sum_r vw[w] * (G by
uw[x]): two products for each r, as many as straight-through needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import torch

from agn_hw.kernels.forms import Geometry

Factors = list[torch.Tensor]
"""[ux, vx, uw, vw], or empty: straight-through."""
Pair = tuple[torch.Tensor | None, torch.Tensor | None]


def check_factors(factors: Factors) -> None:
    """Raises RuntimeError unless this is empty or [ux, vx, uw, vw]."""
    torch._check(len(factors) in (0, 4), lambda: f"gradient must be [] or [ux, vx, uw, vw], got {len(factors)} tensors")
    for u, v in _pairs(factors) if factors else ():
        for table in (u, v):
            fits = table.dim() == 2 and (len(table) == 256 or table.shape == (0, 1)) and table.dtype == torch.float32
            found = table.dtype, tuple(table.shape)
            torch._check(fits, lambda found=found: f"a gradient's factor must be float32 [256, r], got {found}")
        ranks = u.shape[1], v.shape[1]
        torch._check(ranks[0] == ranks[1], lambda ranks=ranks: f"two factors of a table have one rank, got {ranks}")


def of_matmul(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, slope: torch.Tensor, factors: Factors, needed: list[bool]
) -> Pair:
    """Gradients of x [M, K] and w [N, K] where `needed`, from that of the sums, slope (scalar or [N]) * grad [M, N]."""
    grad = grad.to(x.dtype) * slope.to(x.dtype)
    if not factors:
        return grad @ w if needed[0] else None, grad.t() @ x if needed[1] else None
    at_x, at_w = _bytes(x), _bytes(w)
    to_x: list[torch.Tensor] = []
    to_w: list[torch.Tensor] = []
    for u, v in _columns(*factors[:2]) if needed[0] else ():
        to_x.append(_times(grad @ _looked_up(v, w, at_w), u, at_x))
    for u, v in _columns(*factors[2:]) if needed[1] else ():
        to_w.append(_times(grad.t() @ _looked_up(u, x, at_x), v, at_w))
    return _sum(to_x), _sum(to_w)


def of_conv2d(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, slope: torch.Tensor, factors: Factors,
    geometry: Geometry, needed: list[bool],
) -> Pair:
    """Gradients of x [B, C, H, W] and w [N, C/groups, kh, kw] where `needed`, from slope * grad [B, N, H', W'].

    Padding is code 0, whose derivative by the weight, dT/dw[0, w], need not be 0: it is taken off all activations and
    added for all windows at once, so that nothing needs to be padded.
    """
    grad, slope = grad.to(x.dtype), slope.to(x.dtype).reshape(-1, 1, 1, 1)
    if not factors:
        to_x, to_w = _convolution_backward(grad, x, w * slope, geometry, needed)
        return to_x, None if to_w is None else to_w * slope
    at_x, at_w = _bytes(x), _bytes(w)
    of_x: list[torch.Tensor] = []
    of_w: list[torch.Tensor] = []
    by_x, by_w = (list(_columns(*pair)) if wanted else [] for pair, wanted in zip(_pairs(factors), needed, strict=True))
    for one, other in zip_longest(by_x, by_w):  # both in one call, which is faster than two
        weight = _looked_up(one[1], w, at_w) * slope if one else w
        image, padding = _less_padding(other[0], x, at_x) if other else (x, x)
        to_x, to_w = _convolution_backward(grad, image, weight, geometry, [one is not None, other is not None])
        if one:
            of_x.append(_times(to_x, one[0], at_x))
        if other:
            to_w = to_w + padding * grad.sum((0, 2, 3)).reshape(-1, 1, 1, 1)
            of_w.append(_times(to_w * slope, other[1], at_w))
    return _sum(of_x), _sum(of_w)


def _less_padding(
    column: torch.Tensor | None, x: torch.Tensor, at: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is looked up for x, less the value of code 0; and that value, a scalar."""
    if column is None:
        return torch.zeros_like(x), torch.ones((), dtype=x.dtype, device=x.device)
    return _looked_up(column - column[0], x, at), column[0]


def _convolution_backward(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, geometry: Geometry, needed: list[bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    stride, padding, dilation, groups, _ = geometry
    to_x, to_w, _ = torch.ops.aten.convolution_backward(
        grad, x, w, None, stride, padding, dilation, False, [0, 0], groups, [*needed, False]
    )
    return to_x, to_w


def _pairs(factors: Factors) -> tuple[Factors, Factors]:
    return factors[:2], factors[2:]


def _bytes(codes: torch.Tensor) -> torch.Tensor:
    """Whole numbers -128..255 as the index of their byte, int32."""
    return codes.to(torch.int16).to(torch.uint8).to(torch.int32)


def _columns(u: torch.Tensor, v: torch.Tensor) -> Iterator[Pair]:
    """Column r of both factors, [256] each; None for ones."""
    for r in range(u.shape[1]):
        first, second = (table[:, r] if len(table) else None for table in (u, v))
        yield first, second


def _looked_up(column: torch.Tensor | None, codes: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    if column is None:
        return torch.ones_like(codes)
    return column.index_select(0, at.reshape(-1)).reshape(codes.shape)


def _times(value: torch.Tensor, column: torch.Tensor | None, at: torch.Tensor) -> torch.Tensor:
    return value if column is None else value * _looked_up(column, value, at)


def _sum(parts: list[torch.Tensor]) -> torch.Tensor | None:
    return None if not parts else torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
