"""The slow, obvious table product: the oracle of every other kernel."""

from __future__ import annotations

import torch


def lut_matmul(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    """y[m, n] = sum_k lut[x[m, k], w[n, k]], int32 [M, N], from uint8 [M, K], uint8 [N, K], int32 [256, 256]."""
    y = torch.zeros(x.shape[0], w.shape[0], dtype=torch.int64)
    for k in range(x.shape[1]):
        y += lut.long()[x[:, k].long()[:, None], w[:, k].long()[None, :]]
    return y.to(torch.int32)
