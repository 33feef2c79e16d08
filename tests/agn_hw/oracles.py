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
    """sum_k table[x[m, k], w[n, k]] over bytes or codes x [M, K] and w [N, K], int64 [M, N]."""
    y = np.zeros((len(x), len(w)), np.int64)
    for k in range(x.shape[1]):
        y += table.astype(np.int64)[np.ix_(x[:, k] & 255, w[:, k] & 255)]
    return y


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    table: np.ndarray,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int | tuple[int, int]] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    padding_code: int = 0,
    mode: str = "zeros",
) -> np.ndarray:
    """The convolution of codes x [B, C, H, W] with weights w [N, C / groups, kh, kw], one product after another.

    padding: of each axis, on both sides or (before, after). Outside the image every pixel is the padding code, and its
    products are looked up like all others; or it is the pixel that another mode of torch's convolutions names.
    """
    (batch, _, *size), (channels, depth, *kernel) = x.shape, w.shape
    sides = [(p, p) if isinstance(p, int) else p for p in padding]
    output = [
        (size[a] + sum(sides[a]) - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in range(2)
    ]
    y = np.zeros((batch, channels, *output), np.int64)
    for n, r, c, d, i, j in np.ndindex(channels, *output, depth, *kernel):
        row = source(r * stride[0] + i * dilation[0] - sides[0][0], size[0], mode)
        column = source(c * stride[1] + j * dilation[1] - sides[1][0], size[1], mode)
        channel = n // (channels // groups) * depth + d
        outside = row is None or column is None
        pixel = np.full(batch, padding_code) if outside else x[:, channel, row, column]
        y[:, n, r, c] += table[pixel & 255, w[n, d, i, j] & 255]
    return y


def source(at: int, size: int, mode: str) -> int | None:
    """The pixel that stands at a place -size + 1 .. 2 * size - 2 of a padded axis; None for the padding code."""
    if 0 <= at < size:
        return at
    if mode == "zeros":
        return None
    if mode == "circular":
        return at + size if at < 0 else at - size
    if mode == "replicate":
        return 0 if at < 0 else size - 1
    return -at if at < 0 else 2 * (size - 1) - at


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


def average_pool(x: np.ndarray, windows: Sequence[Sequence[tuple[int, int]]]) -> np.ndarray:
    """Sums of codes x [B, C, H, W] over windows, int64 [B, C, H', W'].

    windows: for each axis the first pixel of every window and the one after its last; pixels outside count as 0.
    """
    rows, columns = windows
    y = np.zeros((*x.shape[:2], len(rows), len(columns)), np.int64)
    for r, c in np.ndindex(len(rows), len(columns)):
        for i in range(*rows[r]):
            for j in range(*columns[c]):
                if 0 <= i < x.shape[2] and 0 <= j < x.shape[3]:
                    y[:, :, r, c] += x[:, :, i, j]
    return y
