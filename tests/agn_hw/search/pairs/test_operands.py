"""Recorded operands against counting every product."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.codes import SIGNED, UNSIGNED, Codes
from agn_hw.conversion.quantize import quantize
from agn_hw.nn.layers import table_layers
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from agn_hw.search.pairs import operands
from tests.agn_hw import oracles
from tests.agn_hw.networks import images, quantized_resnet

X = images(5, seed=8)


def network(**convolution) -> nn.Module:
    """A convolution of this geometry on images of 3 x 8 x 8, then a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Sequential(nn.Conv2d(3, 6, **convolution), nn.ReLU(), nn.Flatten())
        return quantize(nn.Sequential(first, nn.Linear(first(X).shape[1], 4)), [X])


def layer_inputs(model: nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    found = {}
    for name, layer in table_layers(model).items():
        layer.register_forward_pre_hook(
            lambda layer, arguments, name=name: found.update({name: oracles.integers(arguments[0])})
        )
    model(x)
    return found


def count(layer: nn.Module, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Activation codes and weight bytes of every product of one output channel, and products in all."""
    w = oracles.integers(layer.weight_codes())
    activations, used = np.zeros(256), np.bincount(w.ravel() & 255, minlength=256)
    if not isinstance(layer, TableConv2d):
        return np.bincount(x.ravel(), minlength=256), used, x.size * len(w)
    ones = np.zeros((256, 256), np.int64)
    for code in np.unique(np.append(x, 0)):  # a table that is 1 for this code counts its reads
        ones[:] = 0
        ones[code] = 1
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        reads = oracles.conv2d(x, np.ones_like(w[:: len(w) // layer.groups]), ones, *geometry)
        activations[code] = reads.sum()
    return activations, used, int(activations.sum()) * (len(w) // layer.groups)


GEOMETRIES = {
    "padded": dict(kernel_size=3, padding=1),
    "stride skips pixels": dict(kernel_size=1, stride=2),
    "stride on an even size": dict(kernel_size=3, stride=2, padding=1),
    "unequal": dict(kernel_size=(2, 3), stride=(3, 1), padding=(0, 2), dilation=(1, 2)),
    "groups": dict(kernel_size=3, padding=2, groups=3),
    "much padding": dict(kernel_size=5, padding=4, stride=3),
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_every_product_is_counted(geometry):
    model = network(**geometry)
    found, inputs = operands.record(model, X[:2]), layer_inputs(model, X[:2])
    for name, layer in table_layers(model).items():
        activations, weights, products = count(layer, inputs[name])
        np.testing.assert_allclose(found[name].activations, activations / activations.sum(), rtol=1e-12)
        np.testing.assert_allclose(found[name].weights, weights / weights.sum(), rtol=1e-12)
        assert found[name].macs * 2 == products
        assert found[name].fan_in == layer.weight[0].numel()


def padded_by_torch(source: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the convolution sees of x [B, C, ...]: all padding written out by torch's own module."""
    identity = type(source)(x.shape[1], x.shape[1], source.kernel_size, padding=source.padding, groups=x.shape[1],
                            dilation=source.dilation, padding_mode=source.padding_mode, bias=False)
    sides = identity._reversed_padding_repeated_twice
    mode = "constant" if source.padding_mode == "zeros" else source.padding_mode
    return nn.functional.pad(x, sides, mode=mode)


def reads_of(source: nn.Module, padded: torch.Tensor, byte: int) -> float:
    """How many products of one output channel a group have this activation byte, by a plain convolution of ones."""
    there = ((padded.long() & 255) == byte).double()
    convolve = nn.functional.conv1d if isinstance(source, nn.Conv1d) else nn.functional.conv2d
    ones = torch.ones(source.groups, *source.weight.shape[1:], dtype=torch.float64)
    return float(convolve(there, ones, None, source.stride, 0, source.dilation, source.groups).sum())


SOURCES = {
    "one dimension": nn.Conv1d(4, 6, 5, stride=2, padding=3, dilation=2),
    "one dimension, groups": nn.Conv1d(4, 4, 3, padding=1, groups=4),
    "same, even kernel": nn.Conv1d(4, 2, 4, padding="same"),
    "valid": nn.Conv2d(4, 2, 3, padding="valid"),
    "same, uneven": nn.Conv2d(4, 2, (2, 5), padding="same", dilation=(3, 1)),
    "reflect": nn.Conv2d(4, 2, 3, padding=2, padding_mode="reflect"),
    "replicate": nn.Conv2d(4, 2, 3, stride=2, padding=(1, 3), padding_mode="replicate"),
    "circular": nn.Conv2d(4, 2, 3, padding=(3, 0), padding_mode="circular"),
    "circular in one dimension": nn.Conv1d(4, 2, 3, padding=2, padding_mode="circular"),
}


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, Codes(-20, 235)], ids=["unsigned", "signed", "affine"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_padding_and_range_of_codes(source, codes):
    layer = (TableConv1d if isinstance(source, nn.Conv1d) else TableConv2d)(source)
    layer.in_codes = (codes,)
    layer.weight_scale.fill_(0.004)
    shape = (3, 4, 11) if isinstance(source, nn.Conv1d) else (3, 4, 9, 11)
    x = torch.randint(codes.low, codes.high + 1, shape, generator=torch.Generator().manual_seed(0)).float()
    found = operands.record(nn.Sequential(layer), x)["0"]
    padded = padded_by_torch(source, x)
    expected = np.array([reads_of(source, padded, byte) for byte in range(256)])
    np.testing.assert_allclose(found.activations, expected / expected.sum(), rtol=1e-12)
    assert found.codes == codes and found.macs * 3 == expected.sum() * len(source.weight) // source.groups
    assert found.layer_type == ("Conv1d" if isinstance(source, nn.Conv1d) else "Conv2d")
    mean_square = np.mean(np.repeat(codes.of_bytes(), expected.astype(int)).astype(float) ** 2)
    assert found.mean_square() == pytest.approx(mean_square * float(layer.weight_codes().detach().square().mean()))


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_histogram_of_each_input_channel(source):
    layer = (TableConv1d if isinstance(source, nn.Conv1d) else TableConv2d)(source)
    layer.in_codes = (SIGNED,)
    shape = (3, 4, 11) if isinstance(source, nn.Conv1d) else (3, 4, 9, 11)
    x = torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(0)).float()
    x[:, 1] = 7
    found = operands.record(nn.Sequential(layer), x, per_channel=True)["0"].channels
    padded = padded_by_torch(source, x)
    for channel in range(4):
        only = torch.full_like(padded, 1000)  # no byte of the others is that of a code
        only[:, channel] = padded[:, channel]
        reads = np.array([reads_of_code(source, only, code) for code in SIGNED.of_bytes()])
        reads[128] = reads_of_code(source, only, -128)
        np.testing.assert_allclose(found[channel], reads / reads.sum(), rtol=1e-12)


def reads_of_code(source: nn.Module, padded: torch.Tensor, code: int) -> float:
    """The same for a code, whatever its byte."""
    return reads_of(source, torch.where(padded == code, 1, 0), 1)


def test_channels_only_on_request():
    layer = TableLinear(nn.Linear(3, 2))
    layer.in_codes = (SIGNED,)
    x = torch.tensor([[[1.0, -1, 5], [1, -2, 5]], [[0, -2, 5], [0, -2, 5]]])
    assert operands.record(nn.Sequential(layer), x)["0"].channels is None
    found = operands.record(nn.Sequential(layer), x, per_channel=True)["0"]
    expected = np.zeros((3, 256))
    expected[0, [0, 1]], expected[1, [255, 254]], expected[2, 5] = 0.5, (0.25, 0.75), 1
    np.testing.assert_array_equal(found.channels, expected)
    np.testing.assert_allclose(found.activations, expected.mean(0))


def test_linear_layers_on_sequences():
    layer = TableLinear(nn.Linear(5, 3))
    layer.in_codes, layer.weight_bits = (SIGNED,), 4
    x = torch.randint(-128, 128, (2, 7, 5), generator=torch.Generator().manual_seed(0)).float()
    found = operands.record(nn.Sequential(layer), x)["0"]
    assert (found.layer_type, found.macs, found.fan_in, found.largest_weight) == ("Linear", 7 * 5 * 3, 5, 7)
    counts = np.bincount(x.long().numpy().ravel() & 255, minlength=256)
    np.testing.assert_allclose(found.activations, counts / counts.sum())


def test_types_and_order():
    found = operands.record(quantized_resnet(), X)
    assert list(found) == list(table_layers(quantized_resnet()))
    assert [entry.layer_type for entry in found.values()] == ["Conv2d"] * 9 + ["Linear"]
    assert found["stem.conv"].macs == 8 * 8 * 4 * 27 and found["fc"].macs == 40


def test_hooks_are_taken_away_even_after_an_error():
    model = quantized_resnet()
    operands.record(model, X)
    with pytest.raises(RuntimeError):
        operands.record(model, X[:, :2])
    assert not any(module._forward_hooks for module in model.modules())


def test_summary():
    activations, weights = np.zeros(256), np.zeros(256)
    activations[[0, 100]] = 0.75, 0.25
    weights[[3, 253, 128]] = 0.5, 0.25, 0.25  # 3, -3, -128
    summary = operands.Operands("Linear", 1, 1, activations, weights).summary()
    assert summary == {"activation_mean": 25, "activation_zero": 0.75, "weight_mean_magnitude": 0.75 * 3 + 0.25 * 128}
    activations[[100, 200]] = 0, 0.25  # of signed codes, -56
    assert operands.Operands("Linear", 1, 1, activations, weights, SIGNED).summary()["activation_mean"] == -14
