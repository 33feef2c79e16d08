"""Slow integer arithmetic, written apart from the product: loops over products, Python's own integers."""

from collections.abc import Sequence

import numpy as np
import torch


def integers(tensor: torch.Tensor) -> np.ndarray:
    """A tensor of whole numbers as int64; fails if one is not whole."""
    values = tensor.detach().double().numpy()
    assert np.array_equal(values, np.floor(values))
    return values.astype(np.int64)


def matmul(x: np.ndarray, w: np.ndarray, table: np.ndarray) -> np.ndarray:
    """sum_k table[x[m, k], w[n, k]] over codes x [M, K] and weight bytes or codes w [N, K], int64 [M, N]."""
    y = np.zeros((len(x), len(w)), np.int64)
    for k in range(x.shape[1]):
        y += table.astype(np.int64)[np.ix_(x[:, k], w[:, k] & 255)]
    return y


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    table: np.ndarray,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """The convolution of codes x [B, C, H, W] with weights w [N, C / groups, kh, kw], one product after another.

    Outside the image every pixel is code 0, and its products are looked up like all others.
    """
    (batch, _, height, width), (channels, depth, kh, kw) = x.shape, w.shape
    rows = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((batch, channels, rows, columns), np.int64)
    for n, r, c, d, i, j in np.ndindex(channels, rows, columns, depth, kh, kw):
        row = r * stride[0] + i * dilation[0] - padding[0]
        column = c * stride[1] + j * dilation[1] - padding[1]
        inside = 0 <= row < height and 0 <= column < width
        pixel = x[:, n // (channels // groups) * depth + d, row, column] if inside else np.zeros(batch, np.int64)
        y[:, n, r, c] += table[pixel, w[n, d, i, j] & 255]
    return y


def requantize(total: np.ndarray, m: np.ndarray, s: np.ndarray, low: int, high: int) -> np.ndarray:
    """clamp((total * m + (1 << (s - 1))) >> s, low, high) with Python's integers; m, s by channel (axis 1)."""
    y = np.empty_like(total)
    for index, value in np.ndenumerate(total):
        factor, shift = int(m[index[1]]), int(s[index[1]])
        y[index] = min(max((int(value) * factor + (1 << (shift - 1))) >> shift, low), high)
    return y
