"""Operands of the kernels that look up residual bytes, and their sums by plain loops."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch

from agn_hw.kernels.cuda.images import Output, Windows, depth_of, padded_channels, windows_of_images, windows_of_matrix
from agn_hw.kernels.forms import Finish, Geometry


class Case(NamedTuple):
    """A product: windows of activations, packed codes, planes of residual bytes, and the sums int64 [B, N, size]."""

    windows: Windows
    codes: torch.Tensor
    form: SimpleNamespace
    sums: np.ndarray
    groups: int

    @property
    def columns(self) -> int:
        return self.sums.shape[1] // self.groups


def planes(count: int, seed: int = 0, largest: int = 255, smallest: int = 0) -> SimpleNamespace:
    """A form with so many planes of bytes; the largest one is among them."""
    bytes_ = np.random.default_rng(seed).integers(smallest, largest + 1, (count, 256, 256)).astype(np.uint8)
    bytes_[0, 255, 255] = largest
    by_weight = np.concatenate([bytes_, np.zeros((count, 1, 256), np.uint8)], axis=1)
    numbers = SimpleNamespace(planes=count, largest=largest)
    by_activation = np.ascontiguousarray(bytes_.transpose(0, 2, 1))
    return SimpleNamespace(
        by_weight=torch.from_numpy(by_weight), by_activation=torch.from_numpy(by_activation), numbers=numbers
    )


def matrix(rows: int, columns: int, depth: int, form: SimpleNamespace, seed: int = 1) -> Case:
    """x [rows, depth] by weights [columns, depth]."""
    generator = np.random.default_rng(seed)
    x, w = _bytes(generator, rows, depth), _bytes(generator, columns, depth, 1, 1)
    padded = np.pad(x, ((0, 0), (0, padded_channels(depth) - depth)), constant_values=generator.integers(256))
    return Case(windows_of_matrix(torch.from_numpy(padded)), _codes(w, 1), form,
                _sums(x[:, :, None], w.reshape(columns, depth), form)[:, :, 0].reshape(rows, columns, 1), 1)


def images(
    size: tuple[int, int, int, int], columns: int, kernel: tuple[int, int], geometry: Geometry, form: SimpleNamespace,
    seed: int = 1,
) -> Case:
    """Images [B, C, H, W] by `columns` kernels a group."""
    generator = np.random.default_rng(seed)
    batch, channels, groups = *size[:2], geometry.groups
    x, w = _bytes(generator, *size), _bytes(generator, columns * groups, channels // groups, *kernel)
    (above, left), code = geometry.padding, geometry.padding_code
    x = np.pad(x, ((0, 0), (0, 0), (above, above), (left, left)), constant_values=code)
    out = geometry.output_size(torch.Size(size), torch.Size(w.shape))
    group = channels // groups
    image = generator.integers(0, 256, (batch, *x.shape[2:], groups, padded_channels(group)), np.uint8)
    image[..., :group] = x.transpose(0, 2, 3, 1).reshape(*image.shape[:3], groups, group)
    sums = []
    for g in range(groups):
        seen = np.stack([
            x[:, g * group : (g + 1) * group, i * geometry.dilation[0] :, j * geometry.dilation[1] :]
            [:, :, : (out[0] - 1) * geometry.stride[0] + 1 : geometry.stride[0],
             : (out[1] - 1) * geometry.stride[1] + 1 : geometry.stride[1]]
            for i in range(kernel[0]) for j in range(kernel[1])
        ], axis=2).reshape(batch, -1, out[0] * out[1])  # (B, K, size), k = channel, tap
        sums.append(_sums(seen, w[g * columns : (g + 1) * columns].reshape(columns, -1), form))
    image = image.reshape(*image.shape[:3], -1)
    windows = windows_of_images(torch.from_numpy(image), torch.Size(w.shape), out, geometry)
    return Case(windows, _codes(w, groups), form, np.concatenate(sums, axis=1), groups)


def _bytes(generator: np.random.Generator, *size: int) -> np.ndarray:
    """With both ends often, as in networks and where kernels go wrong."""
    drawn = generator.integers(-40, 296, size)
    return drawn.clip(0, 255).astype(np.uint8)


def _codes(w: np.ndarray, groups: int) -> torch.Tensor:
    """As packing.pack makes them of weights [N, C/groups, kh, kw]."""
    columns, channels, taps = len(w) // groups, w.shape[1], w[0, 0].size
    codes = np.full((groups, depth_of(taps, channels), -(-columns // 128) * 128), 256, np.int16)
    for n, kernel in enumerate(w):
        for tap in range(taps):
            first = tap * padded_channels(channels)
            codes[n // columns, first : first + channels, n % columns] = kernel.reshape(channels, taps)[:, tap]
    return torch.from_numpy(codes)


def _sums(x: np.ndarray, w: np.ndarray, form: SimpleNamespace) -> np.ndarray:
    """x [B, K, size], w [N, K] -> [B, N, size]."""
    whole = sum(form.by_activation[p].numpy().astype(np.int64) << (8 * p) for p in range(form.numbers.planes))
    y = np.zeros((len(x), len(w), x.shape[2]), np.int64)
    for k in range(x.shape[1]):
        for n in range(len(w)):
            y[:, n] += whole[x[:, k], w[n, k]]
    return y


def as_int32(sums: np.ndarray) -> torch.Tensor:
    """Modulo 2^32."""
    return torch.from_numpy((sums & 0xFFFFFFFF).astype(np.uint32).view(np.int32))


def noise(case: Case, seed: int = 5) -> torch.Tensor:
    """Sums that are there before."""
    drawn = np.random.default_rng(seed).integers(-(2**31), 2**31, case.sums.shape)
    return torch.from_numpy(drawn.astype(np.int32))


def output(
    y: torch.Tensor, case: Case, mode: int, start: torch.Tensor | None = None, ending: Finish | None = None
) -> Output:
    """Where a product's sums go; with an ending they become codes."""
    return Output(y, start, *numbers_of(ending), case.columns, case.groups, mode)


def numbers_of(ending: Finish | None) -> tuple[torch.Tensor | None, torch.Tensor | None, float, float]:
    """As an Output has them."""
    if ending is None:
        return None, None, 0.0, 0.0
    return ending.bias, ending.factor, float(ending.low), float(ending.high)


def ending_of(sums: torch.Tensor) -> Finish:
    """That makes codes of all values from sums int32 [B, N, ...]."""
    by_channel = sums.double().transpose(0, 1).flatten(1)
    spread = by_channel.std(1, correction=0) + 1
    factor = torch.round(80 / spread * 2**40) / 2**40
    return Finish(-torch.floor(by_channel.mean(1)), factor, -128, 127)


def requantized(sums: torch.Tensor, ending: Finish) -> torch.Tensor:
    """Codes of sums int32 [B, N, size]."""
    exact = torch.floor((sums.double() + ending.bias[:, None]) * ending.factor[:, None] + 0.5)
    return exact.clamp(ending.low, ending.high).float()
