"""Sums of exact products: through the exact product's table, or in float32.

In float32 they are cut into parts whose partial sums are whole numbers below 2^24, which are exact in any order.
Activations are 0..255, so a partial sum lies between 255 times the sum of a channel's negative weights and 255 times
that of its positive ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

TABLE = torch.from_numpy(np.outer(np.arange(256), np.arange(256).astype(np.uint8).view(np.int8)).astype(np.int32))
"""The table of the exact product, activation 0..255 by weight byte: one int8 term, faster than float32."""

_LARGEST_CODE, _LARGEST_WEIGHT = 255, 127
MOST_PRODUCTS = 2**31 // (_LARGEST_CODE * 128)
"""Sums of this many certainly fit int32."""
_BEYOND = 2**24


def cuts(weights: torch.Tensor, most: int) -> int:
    """Into how many parts the inputs must be cut, at most `most`, a power of two; 0 if that is not enough.

    weights: codes -127..127 [N, C, ...], float32; axis 1 is cut, as by `torch.chunk`.
    """
    weights = weights.detach()
    if weights[0].numel() * _LARGEST_WEIGHT * _LARGEST_CODE < _BEYOND:
        return 1
    by_input = weights.reshape(*weights.shape[:2], -1)
    signs = by_input.clamp(min=0).sum(2), by_input.clamp(max=0).sum(2).neg()
    count = 1
    while count <= most:
        largest = max(float(part.sum(1).max()) for sums in signs for part in sums.chunk(count, 1))
        if largest * _LARGEST_CODE < _BEYOND:
            return count
        count *= 2
    return 0


Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def sums(product: Product, codes: torch.Tensor, weights: torch.Tensor, count: int) -> torch.Tensor:
    """product(codes, weights), whole numbers in float32 (one part) or float64, exact: cut into `count` parts."""
    with torch.autocast(codes.device.type, enabled=False):  # sums in half precision would not be exact
        if count == 1:
            return product(codes, weights)
        if count == 0:
            return product(codes.double(), weights.double())
        parts = zip(codes.chunk(count, 1), weights.chunk(count, 1), strict=True)
        return torch.stack([product(*part) for part in parts]).sum(0, dtype=torch.float64)
