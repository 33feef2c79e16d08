"""The table product in pure torch: exact for every table, no compiler needed.

For a block of k the rows T[k * 256 + x, n] = lut[x, w[n, k]] are gathered once; each output row is then a sum of
rows of T, which `embedding_bag` adds in floating point. The block is kept so small that every partial sum is an
integer below 2^24 (2^53 in double precision), hence exact in any order.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from agn_hw.kernels.forms import Finish, Geometry

_BLOCK_ELEMENTS = 1 << 18  # of T: 1 MiB in float32, which stays in a core's own cache
_FEW_ROWS = 48  # below, building T costs more than gathering each product


def lut_matmul(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    """y[m, n] = sum_k lut[x[m, k], w[n, k]], int32 [M, N], from uint8 [M, K], uint8 [N, K], int32 [256, 256].

    The caller has made sure that no sum leaves int32.
    """
    (rows, depth), columns = x.shape, w.shape[0]
    if rows == 0 or columns == 0 or depth == 0:
        return torch.zeros(rows, columns, dtype=torch.int32, device=x.device)
    if rows < _FEW_ROWS:
        return _gather(x, w, lut)
    largest = max(int(lut.max()), -int(lut.min()), 1)
    dtype, exact = (torch.float32, 2**24) if largest <= 2**24 else (torch.float64, 2**53)
    block = max(1, min(exact // largest, _BLOCK_ELEMENTS // (256 * columns), depth))
    columns_of = lut.to(dtype)  # [activation, weight]
    y = torch.zeros(rows, columns, dtype=torch.int32, device=x.device)
    for start in range(0, depth, block):
        part_x, part_w = x[:, start : start + block], w[:, start : start + block]
        count = part_x.shape[1]
        table = columns_of.index_select(1, part_w.t().reshape(-1).to(torch.int32))  # [activation, k * n]
        table = table.view(256, count, columns).transpose(0, 1).reshape(count * 256, columns)
        index = part_x + torch.arange(0, 256 * count, 256, dtype=torch.int32, device=x.device)
        y += F.embedding_bag(index, table, mode="sum").to(torch.int32)
    return y


def _gather(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
    """Every product looked up on its own, one output row at a time."""
    flat, w_index = lut.reshape(-1), w.to(torch.int32)
    y = [flat[row.to(torch.int32)[None, :] * 256 + w_index].sum(1, dtype=torch.int64) for row in x]
    return torch.stack(y).to(torch.int32)


def lut_conv2d(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """x uint8 [B, C, H, W], w uint8 [N, C/groups, kh, kw] -> sums int32 [B, N, H', W']."""
    height, width = geometry.output_size(x.shape, w.shape)
    if w.numel() == 0:
        return torch.zeros(x.shape[0], w.shape[0], height, width, dtype=torch.int32, device=x.device)
    groups, parts = geometry.groups, []
    weights = w.permute(0, 2, 3, 1).reshape(groups, w.shape[0] // groups, -1)
    for g, part in enumerate(x.chunk(groups, dim=1)):
        parts.append(lut_matmul(im2col(part, w.shape[2:], geometry), weights[g], lut))
    y = torch.cat(parts, dim=1).reshape(x.shape[0], height, width, w.shape[0])
    return y.permute(0, 3, 1, 2).contiguous()


def im2col(x: torch.Tensor, kernel: torch.Size, geometry: Geometry) -> torch.Tensor:
    """Windows [B * H' * W', kh * kw * C] of x [B, C, H, W]; borders are filled with the padding code.

    Channels run fastest, so that the copy moves runs of C bytes.
    """
    (above, left), dilation = geometry.padding, geometry.dilation
    x = F.pad(x, (left, left, above, above), value=geometry.padding_code).permute(0, 2, 3, 1).contiguous()
    for axis in (0, 1):
        x = x.unfold(1 + axis, dilation[axis] * (kernel[axis] - 1) + 1, geometry.stride[axis])
    x = x[..., :: dilation[0], :: dilation[1]]  # [B, H', W', C, kh, kw]
    batch, height, width, channels = x.shape[:4]
    return x.permute(0, 1, 2, 4, 5, 3).reshape(batch * height * width, channels * kernel[0] * kernel[1])


def requantize(sums: torch.Tensor, finish: Finish) -> torch.Tensor:
    """Codes float32 from whole numbers [B, N, ...] of any number type: see `Finish`."""
    shape = (1, -1) + (1,) * (sums.dim() - 2)
    exact = (sums.double() + finish.bias.reshape(shape)).mul_(finish.factor.reshape(shape)).add_(0.5)
    return exact.floor_().clamp_(finish.low, finish.high).float().contiguous()


def add_codes(
    left: torch.Tensor, right: torch.Tensor, first: float | torch.Tensor, second: float | torch.Tensor, low: int,
    high: int,
) -> torch.Tensor:
    """clamp(floor(left * first + right * second + 1/2), low, high), float32 codes of one shape."""
    exact = (left.double() * first).add_(right.double() * second).add_(0.5)
    return exact.floor_().clamp_(low, high).float().contiguous()
