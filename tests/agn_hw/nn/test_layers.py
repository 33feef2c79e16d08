"""Layers against integer arithmetic from the constants that `integers()` gives."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.nn.layers import SIGNED, UNSIGNED, TableConv2d, TableLayer, TableLinear, table_layers
from tests.agn_hw import oracles
from tests.agn_hw.tables import exact_table8, random_table8

CONVOLUTIONS = {
    "plain": dict(in_channels=3, out_channels=4, kernel_size=3, padding=1),
    "odd": dict(in_channels=2, out_channels=3, kernel_size=(2, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
    "groups": dict(in_channels=4, out_channels=6, kernel_size=3, padding=1, groups=2),
    "depthwise": dict(in_channels=3, out_channels=3, kernel_size=3, stride=2, padding=1, groups=3, bias=False),
    "pointwise": dict(in_channels=5, out_channels=2, kernel_size=1, stride=2),
}


def settle(layer: TableLayer, output_range: tuple[int, int] = UNSIGNED, seed: int = 0) -> TableLayer:
    """Scales, biases and compensation that exercise the whole formula."""
    generator = torch.Generator().manual_seed(seed)
    channels, depth = len(layer.weight), layer.weight[0].numel()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        layer.weight_scale.copy_(layer.weight.detach().abs().reshape(channels, -1).amax(1).double() / 127)
        layer.bias.copy_(torch.randn(channels, generator=generator))
    layer.in_scale = torch.tensor(0.0131, dtype=torch.float64)
    layer.out_scale = torch.tensor(0.0173 * depth**0.5, dtype=torch.float64)
    layer.output_range = output_range
    return layer


def take_table(layer: TableLayer, lut: torch.Tensor, gain: float, seed: int = 1) -> None:
    """A table and a compensation."""
    generator = torch.Generator().manual_seed(seed)
    layer.set_table(lut.numpy(), gain)
    layer.channel_gain = 0.5 + torch.rand(len(layer.weight), generator=generator, dtype=torch.float64)
    layer.channel_offset = 500 * torch.randn(len(layer.weight), generator=generator, dtype=torch.float64)


def images(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).float()


def constants(layer: TableLayer) -> tuple[np.ndarray, ...]:
    return tuple(oracles.integers(value) for value in (layer.weight_codes(), *layer.integers()))


def check(layer: TableLayer, x: torch.Tensor) -> None:
    """The layer's codes are those of integer arithmetic."""
    w, bias, m, s = constants(layer)
    table = (layer.lut if layer.lut.numel() else exact_table8()).numpy()
    if isinstance(layer, TableConv2d):
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        accumulator = oracles.conv2d(oracles.integers(x), w, table, *geometry)
    else:
        accumulator = oracles.matmul(oracles.integers(x), w, table)
    total = accumulator + bias.reshape(1, -1, *[1] * (accumulator.ndim - 2))
    expected = oracles.requantize(total, m, s, *layer.output_range)
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            y = layer(x)
        assert y.dtype == torch.float32 and np.array_equal(oracles.integers(y), expected)
    assert len(np.unique(expected)) > 3  # not all clipped


@pytest.mark.parametrize("output_range", [UNSIGNED, SIGNED])
@pytest.mark.parametrize("table", ["exact product", "exact table", "random table"])
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(case, table, output_range):
    layer = settle(TableConv2d(nn.Conv2d(**case)), output_range)
    if table != "exact product":
        lut, gain = (exact_table8(), 1.0) if table == "exact table" else (random_table8(3, 4000), 0.3)
        take_table(layer, lut, gain)
    check(layer, images(2, case["in_channels"], 6, 5))


@pytest.mark.parametrize("table", [None, random_table8(4, 4000)], ids=["exact product", "random table"])
@pytest.mark.parametrize("depth", [1, 9, 700])
def test_linear(depth, table):
    layer = settle(TableLinear(nn.Linear(depth, 5, bias=depth != 9)), SIGNED)
    if table is not None:
        take_table(layer, table, 0.3)
    check(layer, images(4, depth))


def test_sums_beyond_single_precision_stay_exact():
    layer = settle(TableLinear(nn.Linear(2100, 2)), SIGNED)
    with torch.no_grad():
        layer.weight[0] = layer.weight.abs().max()  # all codes 127: sums of 255 * 127 * 2100 > 2^24
        layer.weight_scale.copy_(layer.weight.detach().abs().amax(1).double() / 127)
    x = images(3, 2100).clamp_min(201)
    accumulator = layer.accumulate(x)
    assert accumulator.abs().max() > 2**24
    expected = oracles.matmul(oracles.integers(x), oracles.integers(layer.weight_codes()), exact_table8().numpy())
    assert np.array_equal(oracles.integers(accumulator), expected)


def test_weight_codes_are_rounded_half_up_by_channel():
    layer = TableLinear(nn.Linear(4, 2))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[127.0, 2.5, -2.5, 0.49], [-0.127, 0.0005, 0.02, 0.5]]))
    layer.weight_scale = torch.tensor([1.0, 0.001], dtype=torch.float64)
    assert layer.weight_codes().tolist() == [[127, 3, -2, 0], [-127, 1, 20, 127]]


def test_largest_weight_of_each_channel_is_127():
    layer = TableConv2d(nn.Conv2d(3, 8, 3))
    assert layer.weight_codes().abs().reshape(8, -1).amax(1).tolist() == [127] * 8


def test_compensation_and_gain_fold_into_the_constants():
    """Real arithmetic of what the integers stand for."""
    layer = settle(TableLinear(nn.Linear(50, 6)), (-32768, 32767))
    take_table(layer, random_table8(5, 4000), 0.7)
    layer.out_scale = layer.out_scale / 100
    x = images(7, 50)
    products = layer.accumulate(x) / 0.7 * layer.channel_gain + layer.channel_offset
    real = products * layer.in_scale * layer.weight_scale + layer.bias.double()
    assert (layer(x) - real / layer.out_scale).abs().max() < 3


@pytest.mark.parametrize("weights", ["one channel", "all channels", "hardly any"])
def test_channels_without_weights_give_their_bias(weights):
    """As a BatchNorm with weight 0 makes them."""
    source = nn.Conv2d(2, 3, 3)
    with torch.no_grad():
        source.weight[1 if weights != "all channels" else slice(None)] *= 0 if weights != "hardly any" else 1e-9
        source.bias.copy_(torch.tensor([0.5, -1.26, 2.0]))
    layer = TableConv2d(source)
    layer.in_scale, layer.out_scale = (torch.tensor(v, dtype=torch.float64) for v in (0.01, 0.02))
    y = layer(images(1, 2, 3, 3)).flatten()
    assert y[1] == -63
    if weights == "all channels":
        assert y.tolist() == [25, -63, 100]


def test_table_is_taken_away_again():
    layer = settle(TableLinear(nn.Linear(9, 3)), SIGNED)
    before = layer(images(4, 9))
    take_table(layer, random_table8(6, 4000), 0.5)
    assert not torch.equal(layer(images(4, 9)), before)
    layer.set_table(None)
    assert torch.equal(layer(images(4, 9)), before)


def test_saved_layer_comes_back():
    layer = settle(TableConv2d(nn.Conv2d(2, 3, 3)))
    take_table(layer, random_table8(7, 4000), 0.5)
    fresh = TableConv2d(nn.Conv2d(2, 3, 3))
    fresh.output_range = UNSIGNED
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(images(1, 2, 5, 5)), layer(images(1, 2, 5, 5)))
    layer.set_table(None)
    fresh.load_state_dict(layer.state_dict())
    assert fresh.lut.numel() == 0 and torch.equal(fresh(images(1, 2, 5, 5)), layer(images(1, 2, 5, 5)))


@pytest.mark.parametrize("arguments", [dict(padding="same"), dict(padding=1, padding_mode="reflect")])
def test_other_paddings_are_refused(arguments):
    with pytest.raises(ValueError, match=r"same|reflect"):
        TableConv2d(nn.Conv2d(2, 3, 3, **arguments))


def test_macs():
    layer = TableConv2d(nn.Conv2d(4, 6, (3, 2), groups=2))
    assert layer.macs(torch.Size([2, 6, 5, 7])) == 2 * 6 * 5 * 7 * (4 // 2 * 3 * 2)


def test_layers_are_found_by_name_in_order():
    model = nn.Sequential(TableConv2d(nn.Conv2d(1, 1, 1)), nn.Flatten(), TableLinear(nn.Linear(1, 1)))
    assert list(table_layers(model)) == ["0", "2"]
