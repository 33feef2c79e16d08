"""Sums of exact products: through the exact product's table, or in float32.

In float32 they are cut into parts whose partial sums are whole numbers below 2^24, which are exact in any order. With
activations low..high, a partial sum lies within what a channel's positive and negative weights can make of them. On
CUDA devices float32 is not exact (TensorFloat-32, Winograd's transforms): there it is the table, or float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from agn_hw.codes import Codes
from agn_hw.kernels import backend

_CPU = torch.device("cpu")
_TABLES: dict[tuple[int, int, str], torch.Tensor] = {}
_LARGEST_CODE, _LARGEST_WEIGHT = 255, 127
MOST_PRODUCTS = 2**31 // (_LARGEST_CODE * 128)
"""Sums of this many certainly fit int32."""
_BEYOND = 2**24


def table(codes: Codes, device: torch.device = _CPU) -> torch.Tensor:
    """The table of the exact product, int32 [256, 256] by activation byte and weight byte: one int8 term, faster than
    float32. A compiler's trace finds it if it was asked for before (`keep_table`)."""
    key = codes.low, codes.high, str(device)
    if key not in _TABLES:
        keep_table(codes, device)
    return _TABLES[key]


def keep_table(codes: Codes, device: torch.device) -> None:
    """Makes the table for this device, if it is not there yet."""
    key = codes.low, codes.high, str(device)
    if key not in _TABLES:
        entries = np.outer(codes.of_bytes(), np.arange(256).astype(np.uint8).view(np.int8)).astype(np.int32)
        with torch.inference_mode(False):  # one for all passes to come
            _TABLES[key] = torch.from_numpy(entries).to(device)


def by_table(weights: torch.Tensor) -> bool:
    """Whether exact products with these weights (codes, float32 [N, C, ...]) go through their table.

    Not where int32 might not hold the sums.
    """
    return backend.has_kernels(weights) and weights[0].numel() < MOST_PRODUCTS


def cuts(weights: torch.Tensor, most: int, codes: Codes) -> int:
    """Into how many parts the inputs must be cut, at most `most`, a power of two; 0 if that is not enough.

    weights: codes -127..127 [N, C, ...], float32; axis 1 is cut, as by `torch.chunk`.
    """
    weights = weights.detach()
    if weights[0].numel() * _LARGEST_WEIGHT * codes.largest < _BEYOND:
        return 1
    by_input = weights.reshape(*weights.shape[:2], -1)
    positive, negative = by_input.clamp(min=0).sum(2), by_input.clamp(max=0).sum(2).neg()
    ends = positive * codes.high + negative * -codes.low, negative * codes.high + positive * -codes.low
    count = 1
    while count <= most:
        if max(float(part.sum(1).max()) for sums in ends for part in sums.chunk(count, 1)) < _BEYOND:
            return count
        count *= 2
    return 0


def cuts_of_any(products: int, most: int, codes: Codes) -> int:
    """As `cuts` for weights that are not known: this many of the largest."""
    count = 1
    while count <= most:
        inputs = -(-most // count)  # of the widest part
        if products * inputs // most * _LARGEST_WEIGHT * codes.largest < _BEYOND:
            return count
        count *= 2
    return 0


Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def sums(product: Product, codes: torch.Tensor, weights: torch.Tensor, count: int, axis: int = 1) -> torch.Tensor:
    """product(codes, weights), whole numbers in float32 (one part) or float64, exact: cut into `count` parts.

    axis: of the codes that is summed over; of the weights it is 1.
    """
    with torch.autocast(codes.device.type, enabled=False):  # sums in half precision would not be exact
        if count == 1:
            return product(codes, weights)
        if count == 0:
            return product(codes.double(), weights.double())
        parts = zip(codes.chunk(count, axis), weights.chunk(count, 1), strict=True)
        return torch.stack([product(*part) for part in parts]).sum(0, dtype=torch.float64)
