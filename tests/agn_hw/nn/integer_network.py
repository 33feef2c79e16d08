"""A quantised network computed once more: every module in numpy's int64 and Python's integers, slow and obvious.

Nothing of the product's forward passes or constants is used: weights, biases, scales and ranges are read, and from them
m and s are made in fractions; every product is looked up by itself. What stays in float between Dequantize and Quantize
is called as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from agn_hw.nn.coded import Coded
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.functions import Lookup
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.pools import AveragePool, GlobalAverage, MaxPool
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from agn_hw.nn.sums import CodeProduct, ResidualSum
from tests.agn_hw import oracles

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def fixed(ratio: float | Fraction) -> tuple[int, int]:
    """m of 15 bits and s <= 40 with m / 2^s nearest to a ratio >= 0."""
    shift = 40
    while shift > 1 and math.floor(Fraction(ratio) * 2**shift + Fraction(1, 2)) >= 2**15:
        shift -= 1
    return math.floor(Fraction(ratio) * 2**shift + Fraction(1, 2)), shift


def rescaled(total: np.ndarray, m: int, s: int, codes: tuple[int, int]) -> np.ndarray:
    """clamp((total * m + (1 << (s - 1))) >> s) of every number."""
    low, high = codes
    numbers = [min(max((int(v) * m + (1 << (s - 1))) >> s, low), high) for v in total.ravel()]
    return np.array(numbers, np.int64).reshape(total.shape)


def quantize(module: Quantize, x: torch.Tensor) -> np.ndarray:
    scaled = x.detach().numpy().astype(np.float32) / np.float32(module.out_scale.item())
    return np.clip(np.floor(scaled + np.float32(0.5)), *module.out_codes).astype(np.int64)


def weight_codes(layer: TableLayer) -> np.ndarray:
    """Of a layer, from its real weights."""
    weight, scale = layer.weight.detach().numpy(), layer.weight_scale.detach().numpy().astype(np.float32)
    codes = np.floor(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)) + np.float32(0.5))
    largest = 2 ** (layer.weight_bits - 1) - 1
    return np.clip(codes, -largest, largest).astype(np.int64)


def table(layer: TableLayer) -> np.ndarray:
    """What each pair of bytes makes: the layer's table, or the product of the codes they stand for."""
    if layer.lut.numel():
        return layer.lut.numpy()
    numbers = np.arange(256)
    activations = np.where(numbers > layer.in_codes[0].high, numbers - 256, numbers)
    return np.outer(activations, np.where(numbers > 127, numbers - 256, numbers))


def constants(layer: TableLayer) -> list[tuple[int, int, int]]:
    """Bias, m and s of each channel, as the definitions say; and as the layer tells them to the hardware."""
    found = []
    channels = len(layer.bias)
    scales = np.broadcast_to(layer.weight_scale.detach().numpy(), channels)
    gain, in_scale, out_scale = layer.gain.item(), layer.in_scale.item(), layer.out_scale.item()
    for n in range(channels):
        of_channel, offset = layer.channel_gain[n].item(), layer.channel_offset[n].item()
        products = math.floor(float(layer.bias[n]) / (in_scale * scales[n]) + 0.5) + offset
        bias = math.floor(products * (gain / max(of_channel, 1e-9)) + 0.5)
        assert -(2**31) <= bias < 2**31
        found.append((bias, *fixed(in_scale * scales[n] * of_channel / (gain * out_scale))))
    told = [np.broadcast_to(oracles.integers(part), channels) for part in layer.integers()]
    assert found == [tuple(map(int, numbers)) for numbers in zip(*told, strict=True)]
    return found


def finished(layer: TableLayer, total: np.ndarray, axis: int) -> np.ndarray:
    """Bias and requantisation, channel by channel."""
    channels = [rescaled(np.take(total, n, axis) + bias, m, s, layer.out_codes)
                for n, (bias, m, s) in enumerate(constants(layer))]
    return np.stack(channels, axis)


def convolution(layer: TableConv2d, x: np.ndarray) -> np.ndarray:
    w, flat = weight_codes(layer), x.ndim == 3
    if flat:
        x, w = x[:, :, None], w[:, :, None]
    sides = [(0, 0), (0, 0), *[(size, size) for size in layer.padding]]
    if layer.explicit:
        pairs = list(zip(layer.explicit[::2], layer.explicit[1::2], strict=True))[::-1]
        sides = [(0, 0)] * (4 - len(pairs)) + pairs
    x = np.pad(x, sides, mode=_MODES[layer.padding_mode])  # type: ignore[call-overload]
    total = oracles.conv2d(x, w, table(layer), layer.stride, (0, 0), layer.dilation, layer.groups)
    return finished(layer, total[:, :, 0] if flat else total, 1)


def linear(layer: TableLinear, x: np.ndarray) -> np.ndarray:
    rows = x.reshape(-1, x.shape[-1])
    return finished(layer, oracles.matmul(rows, weight_codes(layer), table(layer)), 1).reshape(*x.shape[:-1], -1)


def sum_factors(module: ResidualSum) -> tuple[tuple[int, int], int]:
    """Both factors over the power of two of the larger one, and its exponent."""
    pairs = [fixed(scale.item() / module.out_scale.item()) for scale in (module.left_scale, module.right_scale)]
    shift = min(s for _, s in pairs)
    first, second = (math.floor(Fraction(m, 2 ** (s - shift)) + Fraction(1, 2)) for m, s in pairs)
    return (first, second), shift


def add(module: ResidualSum, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    (first, second), shift = sum_factors(module)
    return rescaled(left * first + right * second, 1, shift, module.out_codes)


def multiply(module: CodeProduct, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    ratio = module.left_scale.item() * module.right_scale.item() / module.out_scale.item()
    return rescaled(left * right, *fixed(ratio), module.out_codes)


def global_average(module: GlobalAverage, x: np.ndarray) -> np.ndarray:
    total = x.sum(module.axes, keepdims=module.keepdim)
    size = x.size // total.size
    return rescaled(total, *fixed(module.in_scale.item() / (module.out_scale.item() * size)), module.out_codes)


def windows(pool: nn.AvgPool2d | nn.AdaptiveAvgPool2d, axis: int, size: int) -> list[tuple[int, int, int]]:
    """Of one axis: first and last pixel (not included) of each window within the image, and how many count."""
    pair = [value if isinstance(value, tuple) else (value, value) for value in (
        (pool.output_size,) if isinstance(pool, nn.AdaptiveAvgPool2d) else (pool.kernel_size, pool.stride, pool.padding)
    )]
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        outputs = pair[0][axis]
        ends = [(i * size // outputs, math.ceil(Fraction((i + 1) * size, outputs))) for i in range(outputs)]
        return [(first, last, last - first) for first, last in ends]
    kernel, stride, padding = (value[axis] for value in pair)
    found, start = [], -padding
    end = size + padding
    while start + kernel <= end or (pool.ceil_mode and start < size and start - stride + kernel < end):
        inside = max(start, 0), min(start + kernel, size)
        counted = min(start + kernel, end) - start
        found.append((*inside, counted if pool.count_include_pad else inside[1] - inside[0]))
        start += stride
    return found


def average(module: AveragePool, x: np.ndarray) -> np.ndarray:
    """Each window's sum over what it is divided by."""
    rows, columns = (windows(module.pool, axis, x.shape[axis + 2]) for axis in (0, 1))
    y = np.empty((*x.shape[:2], len(rows), len(columns)), np.int64)
    for r, c in np.ndindex(len(rows), len(columns)):
        (top, bottom, height), (left, right, width) = rows[r], columns[c]
        size = getattr(module.pool, "divisor_override", None) or height * width
        total = x[:, :, top:bottom, left:right].sum((2, 3))
        ratio = module.in_scale.item() / (module.out_scale.item() * size)
        y[:, :, r, c] = rescaled(total, *fixed(ratio), module.out_codes)
    return y


def largest(module: MaxPool, x: np.ndarray) -> np.ndarray:
    pool = module.pool
    assert isinstance(pool.kernel_size, int) and isinstance(pool.stride, int) and isinstance(pool.padding, int)
    return oracles.max_pool(x, pool.kernel_size, pool.stride, pool.padding, 1, pool.ceil_mode)


def lookup(module: Lookup, x: np.ndarray) -> np.ndarray:
    """The function of each code's real number, one code after another."""
    entries = {}
    for code in np.unique(x):
        real = torch.tensor([code * module.in_scale.item()], dtype=torch.float64)
        entry = math.floor(module.function(real).item() / module.out_scale.item() + 0.5)
        entries[code] = min(max(entry, module.out_codes.low), module.out_codes.high)
    return np.vectorize(entries.__getitem__, otypes=[np.int64])(x)


FORMS: dict[type[nn.Module], Callable[..., np.ndarray]] = {
    TableConv2d: convolution, TableConv1d: convolution, TableLinear: linear, ResidualSum: add, CodeProduct: multiply,
    GlobalAverage: global_average, AveragePool: average, MaxPool: largest, Lookup: lookup,
}  # fmt: skip


class IntegerNetwork(fx.Interpreter):
    """Values are int64 tensors where the network has codes, float ones elsewhere. `edges`: the codes of each module."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.edges: dict[str, np.ndarray] = {}

    def call_module(self, target: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        module = self.module.get_submodule(target)
        if isinstance(module, Dequantize):
            assert args[0].dtype == torch.int64
            return args[0].float() * module.in_scale.float()
        if isinstance(module, Quantize):
            made = quantize(module, args[0])
        elif type(module) in FORMS:
            assert all(value.dtype == torch.int64 for value in args) and not kwargs
            made = FORMS[type(module)](module, *[value.numpy() for value in args])
        else:
            assert not isinstance(module, Coded)
            return super().call_module(target, args, kwargs)
        if isinstance(module, Coded):
            low, high = module.out_codes
            assert low <= made.min() and made.max() <= high
        self.edges[target] = made
        return torch.from_numpy(np.ascontiguousarray(made))


@torch.no_grad()
def integer_network(network: fx.GraphModule, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """The network's output float32, and the codes int64 that each module gives, by name."""
    interpreter = IntegerNetwork(network)
    return interpreter.run(x), interpreter.edges
