"""One layer with random settings, and its check: every way to compute it against integers, product by product."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
from torch import nn

from agn_hw.codes import SIGNED, UNSIGNED, Codes, affine, signed, unsigned
from agn_hw.kernels import backend, native
from agn_hw.nn import exact
from agn_hw.nn.layers import TableLayer
from tests.agn_hw import oracles

RANGES = (UNSIGNED, SIGNED, affine(8, 100), affine(8, 255), signed(4), unsigned(2), affine(5, 7), Codes(-1, 0))
"""Of activations: of all kinds and widths."""


def settle(
    layer: TableLayer, out_codes: Codes = UNSIGNED, in_codes: Codes = UNSIGNED, bits: int = 8,
    channels: int | None = None, seed: int = 0,
) -> TableLayer:
    """Scales and biases that exercise the whole formula; channels: how many scales the weights have."""
    generator = torch.Generator().manual_seed(seed)
    count, depth = len(layer.weight), layer.weight[0].numel()
    layer.in_codes, layer.out_codes = (in_codes,), out_codes
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        rows = layer.weight.detach().abs().reshape(channels or count, -1)
        layer.set_scheme(bits, rows.amax(1).double() / (2 ** (bits - 1) - 1))
        layer.bias.copy_(torch.randn(count, generator=generator))
        layer.in_scale.fill_(0.0131 * 255 / in_codes.largest)
        scale = 0.0173 * depth**0.5 * 127 / max(1, out_codes.high)
        layer.out_scale.fill_(max(scale, float(layer.finest_scale()) / 16))
    return layer


def take_table(layer: TableLayer, lut: torch.Tensor, gain: float, seed: int = 1) -> None:
    """A table and a compensation."""
    generator = torch.Generator().manual_seed(seed)
    layer.set_table(lut.numpy(), gain)
    layer.channel_gain = 0.5 + torch.rand(len(layer.weight), generator=generator, dtype=torch.float64)
    offsets = torch.randn(len(layer.weight), generator=generator, dtype=torch.float64)
    layer.channel_offset = 2 * layer.in_codes[0].largest * offsets


def images(*shape: int, seed: int = 2, codes: Codes = UNSIGNED) -> torch.Tensor:
    """Random codes, float32."""
    return torch.randint(codes.low, codes.high + 1, shape, generator=torch.Generator().manual_seed(seed)).float()


@contextmanager
def using(compiled: bool) -> Iterator[None]:
    """The compiled kernels, or pure torch as on a machine without them."""
    with mock.patch.object(backend, "compiled", lambda: compiled):
        yield


def back_ends() -> tuple[bool, ...]:
    """What `using` takes on this machine."""
    return (True, False) if native.available() else (False,)


def constants(layer: TableLayer) -> tuple[np.ndarray, ...]:
    """Weight codes, bias, m and s."""
    return tuple(oracles.integers(value) for value in (layer.weight_codes(), *layer.integers()))


def exact_table(codes: Codes) -> np.ndarray:
    """The exact product by byte of activation and weight, int64 [256, 256], from Python's own numbers."""
    numbers = [byte if byte <= codes.high else byte - 256 for byte in range(256)]
    return np.array([[x * (w - 256 if w > 127 else w) for w in range(256)] for x in numbers])


def expected(layer: TableLayer, x: torch.Tensor, source: nn.Module) -> np.ndarray:
    """The layer's codes by integer arithmetic; what the layer was made from says how its windows lie."""
    w, bias, m, s = constants(layer)
    table = layer.lut.numpy() if layer.lut.numel() else exact_table(layer.in_codes[0])
    codes = oracles.integers(x)
    if isinstance(source, nn.Linear):
        total = oracles.matmul(codes.reshape(-1, codes.shape[-1]), w, table) + bias
        return oracles.requantize(total, m, s, *layer.out_codes).reshape(*codes.shape[:-1], len(w))
    assert isinstance(source, (nn.Conv1d, nn.Conv2d))
    settings = [list(source.stride), padding(source), list(source.dilation)]
    flat = isinstance(source, nn.Conv1d)
    if flat:
        codes, w = codes[:, :, None], w[:, :, None]
        settings = [[1, *settings[0]], [(0, 0), *settings[1]], [1, *settings[2]]]
    total = oracles.conv2d(codes, w, table, *settings, source.groups, mode=source.padding_mode)
    y = oracles.requantize(total + bias.reshape(-1, 1, 1), m, s, *layer.out_codes)
    return y[:, :, 0] if flat else y


def padding(source: nn.Conv1d | nn.Conv2d) -> list[tuple[int, int]]:
    """Before and after, of each axis: 'same' keeps the size, the odd pixel comes after."""
    if not isinstance(source.padding, str):
        return [(int(p), int(p)) for p in source.padding]
    if source.padding == "valid":
        return [(0, 0)] * len(source.kernel_size)
    reach = [d * (k - 1) for k, d in zip(source.kernel_size, source.dilation, strict=True)]
    return [(r // 2, (r + 1) // 2) for r in reach]


def check(layer: TableLayer, x: torch.Tensor, source: nn.Module, clipped: bool = False) -> None:
    """Every way to compute the layer gives the codes of integer arithmetic, with every back end.

    Without gradients (table kernels), with them (float32 sums or table operators), with learned steps (bare sums),
    accumulator and requantisation apart; an exact product also through its table. clipped: all codes may be alike.
    """
    wanted = expected(layer, x, source)
    assert clipped or len(np.unique(wanted)) > min(3, layer.out_codes.high - layer.out_codes.low)
    for compiled in back_ends():
        with using(compiled):
            for form in _forms(layer):
                for y in _ways(form, x):
                    assert y.dtype == torch.float32 and np.array_equal(oracles.integers(y), wanted)


def _forms(layer: TableLayer) -> list[TableLayer]:
    forms = [copy.deepcopy(layer)]
    if not layer.lut.numel():
        forms.append(copy.deepcopy(layer))
        gains = forms[1].channel_gain, forms[1].channel_offset
        forms[1].set_table(exact.table(layer.in_codes[0]).numpy())
        forms[1].channel_gain, forms[1].channel_offset = gains
    return forms


def _ways(layer: TableLayer, x: torch.Tensor) -> Iterator[torch.Tensor]:
    for mode in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with mode:
            yield layer(x)
            yield layer.finish(layer.accumulate(x))
    yield layer(x.clone().requires_grad_())
    layer.in_scale.requires_grad_()
    yield layer(x)
    layer.in_scale.requires_grad_(False)

