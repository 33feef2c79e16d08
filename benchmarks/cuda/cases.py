"""What the CUDA kernels are timed on: products, convolutions, operands and tables. Everything is seeded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn import functional as F

from agn_hw.kernels.forms import Geometry
from benchmarks import operands


@dataclass(frozen=True)
class Product:
    """y[M, N] from x [M, K] and w [N, K]."""

    rows: int
    depth: int
    columns: int

    @property
    def name(self) -> str:
        return f"{self.rows}x{self.depth}x{self.columns}"

    @property
    def lookups(self) -> int:
        return self.rows * self.depth * self.columns


@dataclass(frozen=True)
class Convolution:
    """Images [batch, channels, side, side] by kernels [outputs, channels / groups, kernel, kernel], padded to keep the
    size but for the stride."""

    batch: int
    channels: int
    outputs: int
    kernel: int
    side: int
    stride: int = 1
    groups: int = 1

    @property
    def name(self) -> str:
        kind = "depthwise" if self.groups == self.channels else "conv"
        step = f"/{self.stride}" if self.stride > 1 else ""
        return f"{kind} {self.batch}x{self.channels}x{self.side}^2 {self.kernel}^2{step} -> {self.outputs}"

    @property
    def geometry(self) -> Geometry:
        pads = self.kernel // 2
        return Geometry((self.stride, self.stride), (pads, pads), (1, 1), self.groups)

    @property
    def lookups(self) -> int:
        side = (self.side + 2 * (self.kernel // 2) - self.kernel) // self.stride + 1
        return self.batch * self.outputs * side**2 * self.kernel**2 * (self.channels // self.groups)


Task = Product | Convolution

SQUARE = Product(4096, 4096, 4096)
"""The task of the headline figures."""
PRODUCTS = (
    SQUARE,
    Product(8192, 576, 64),
    Product(6272, 1152, 128),
    Product(392, 4608, 512),
    Product(131072, 144, 16),
    Product(32, 2048, 1000),
    Product(1, 2048, 1000),
)
BATCH = 64
CONVOLUTIONS = (
    Convolution(BATCH, 3, 64, 7, 224, 2),
    Convolution(BATCH, 64, 256, 1, 56),
    Convolution(BATCH, 64, 64, 3, 56),
    Convolution(BATCH, 128, 128, 3, 28),
    Convolution(BATCH, 256, 256, 3, 14),
    Convolution(BATCH, 512, 512, 3, 7),
    Convolution(BATCH, 256, 256, 3, 28, groups=256),
)
"""ResNet-50's on 224x224 images, and a depthwise one as of MobileNets."""


def truncated(columns: int) -> np.ndarray:
    """Sign and magnitude around an array that leaves out its lowest columns of cells, i + j < columns: its error has
    rank `columns`, one term for each activation bit below. int64 [256, 256]."""
    x, w = np.arange(256)[:, None], np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)[None, :]
    magnitude = np.abs(w)
    cells = [(i, j) for i in range(8) for j in range(8) if i + j >= columns]
    return np.sign(w) * sum(((x >> i & 1) * (magnitude >> j & 1)) << (i + j) for i, j in cells)


FAMILY = {f"truncated_{rank}": rank for rank in range(1, 5)}
"""Tables whose error has rank 1, 2, 3, 4."""
NOISE = {f"noise_{largest}": largest for largest in (127, 255)}
"""Tables whose error is anything from 0 to this: one term and one residual byte. Below 128, row-add adds two of these
within a byte."""
ANY, LOW = "random_17_bit", "broken_array"
"""The table without structure; the low-rank one of the other benchmarks."""
TABLES = tuple(operands.TABLES)


def noisy(largest: int) -> np.ndarray:
    """x * w plus 0..largest, anywhere. int64 [256, 256]."""
    return operands.exact() + np.random.default_rng(largest).integers(0, largest + 1, (256, 256))


@cache
def table(name: str) -> torch.Tensor:
    """Table `name` of `TABLES`, `FAMILY` or `NOISE`, int32 [256, 256], by activation and byte pattern of the weight."""
    if name in FAMILY:
        return torch.from_numpy(truncated(FAMILY[name]).astype(np.int32))
    if name in NOISE:
        return torch.from_numpy(noisy(NOISE[name]).astype(np.int32))
    return operands.table(name)


@cache
def rank(name: str) -> int:
    """Of table - x * w."""
    return operands.error_rank(table(name).numpy())


@dataclass(frozen=True)
class Case:
    """x uint8 [M, K] or [B, C, H, W], w uint8 [N, K] or [N, C / groups, k, k], lut int32 [256, 256], on one device."""

    task: Task
    table: str
    x: torch.Tensor
    w: torch.Tensor
    lut: torch.Tensor

    @property
    def geometry(self) -> Geometry | None:
        return self.task.geometry if isinstance(self.task, Convolution) else None


def case(task: Task, name: str, device: torch.device) -> Case:
    """Activations are the ReLU of a normal, half of them zero, 255 at three deviations; weights int8, normal, of
    standard deviation 25."""
    if isinstance(task, Product):
        sizes = (task.rows, task.depth), (task.columns, task.depth)
    else:
        kernels = task.outputs, task.channels // task.groups, task.kernel, task.kernel
        sizes = (task.batch, task.channels, task.side, task.side), kernels
    generator = torch.Generator(device).manual_seed(0)
    x, w = (torch.randn(size, generator=generator, device=device) for size in sizes)
    x = x.mul_(85).round_().clamp_(0, 255).to(torch.uint8)
    w = w.mul_(25).round_().clamp_(-128, 127).to(torch.int8).view(torch.uint8)
    return Case(task, name, x, w, table(name).to(device))


def some_rows(one: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Which rows of the result are checked, int64 [R], and what the table says they are, int32 [R, N].

    Rows of a convolution are the places of its first image.
    """
    if one.geometry is None:
        picked = torch.tensor(sorted({0, 1, one.x.shape[0] // 2, one.x.shape[0] - 1} & set(range(one.x.shape[0]))))
        windows, groups = one.x[picked.to(one.x.device)][None], 1
    else:
        groups = one.geometry.groups
        kernel, stride, padding = one.w.shape[2:], one.geometry.stride, one.geometry.padding
        fields = F.unfold(one.x[:1].float(), kernel, padding=padding, stride=stride)[0].to(torch.uint8)  # [C k k, L]
        picked = torch.arange(0, fields.shape[1], max(1, fields.shape[1] // 13))
        windows = fields[:, picked.to(fields.device)].t().reshape(len(picked), groups, -1).transpose(0, 1)  # [g, R, K]
    weights = one.w.reshape(groups, -1, windows.shape[2]).long()  # [g, N / g, K]
    entries = one.lut.reshape(-1)
    rows = [entries[windows[:, r, None].long() * 256 + weights].sum(2) for r in range(len(picked))]  # [g, N / g]
    return picked, torch.stack(rows).flatten(1).to(torch.int32)
