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
    padding_code: int = 0,
) -> np.ndarray:
    """The convolution of codes x [B, C, H, W] with weights w [N, C / groups, kh, kw], one product after another.

    Outside the image every pixel is the padding code, and its products are looked up like all others.
    """
    (batch, _, height, width), (channels, depth, kh, kw) = x.shape, w.shape
    rows = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((batch, channels, rows, columns), np.int64)
    for n, r, c, d, i, j in np.ndindex(channels, rows, columns, depth, kh, kw):
        row = r * stride[0] + i * dilation[0] - padding[0]
        column = c * stride[1] + j * dilation[1] - padding[1]
        inside = 0 <= row < height and 0 <= column < width
        channel = n // (channels // groups) * depth + d
        pixel = x[:, channel, row, column] if inside else np.full(batch, padding_code)
        y[:, n, r, c] += table[pixel, w[n, d, i, j] & 255]
    return y


def requantize(total: np.ndarray, m: np.ndarray, s: np.ndarray, low: int, high: int) -> np.ndarray:
    """clamp((total * m + (1 << (s - 1))) >> s, low, high) with Python's integers; m, s by channel (axis 1)."""
    y = np.empty_like(total)
    for index, value in np.ndenumerate(total):
        factor, shift = int(m[index[1]]), int(s[index[1]])
        y[index] = min(max((int(value) * factor + (1 << (shift - 1))) >> shift, low), high)
    return y


def max_pool(
    x: np.ndarray,
    kernel_size: int | tuple[int, int],
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """The largest of each window of codes x [B, C, H, W]; what lies outside the image does not count.

    With ceil_mode the last window may begin inside the image and end outside.
    """
    kh, kw = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    steps = (stride or kh, stride or kw)
    sizes = []
    for size, kernel, step in zip(x.shape[2:], (kh, kw), steps, strict=True):
        room = size + 2 * padding - dilation * (kernel - 1) - 1
        sizes.append((-(-room // step) if ceil_mode else room // step) + 1)
    y = np.full((*x.shape[:2], *sizes), -(2**31), np.int64)
    for r, c, i, j in np.ndindex(*sizes, kh, kw):
        row, column = r * steps[0] + i * dilation - padding, c * steps[1] + j * dilation - padding
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            y[:, :, r, c] = np.maximum(y[:, :, r, c], x[:, :, row, column])
    return y
