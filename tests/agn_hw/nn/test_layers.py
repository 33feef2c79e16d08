"""What all layers with weights share: codes of weights, constants, tables, saved state. Products: test_products.py."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.codes import LOGITS, SIGNED, UNSIGNED
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.nn.products import TableConv2d, TableLinear
from tests.agn_hw import oracles
from tests.agn_hw.nn.single_layers import exact_table, images, settle, take_table
from tests.agn_hw.tables import exact_table8, random_table8


@torch.no_grad()
def scaled(layer: TableLayer, **scales: float) -> TableLayer:
    for name, value in scales.items():
        layer.get_parameter(name).fill_(value)
    return layer


def test_sums_beyond_single_precision_stay_exact():
    layer = settle(TableLinear(nn.Linear(2100, 2)), SIGNED)
    with torch.no_grad():
        layer.weight[0] = layer.weight.abs().max()  # all codes 127: sums of 255 * 127 * 2100 > 2^24
        layer.weight_scale.copy_(layer.weight.detach().abs().amax(1).double() / 127)
    x = images(3, 2100).clamp_min(201)
    accumulator = layer.accumulate(x)
    assert accumulator.abs().max() > 2**24
    expected = oracles.matmul(oracles.integers(x), oracles.integers(layer.weight_codes()), exact_table(UNSIGNED))
    assert np.array_equal(oracles.integers(accumulator), expected)


def test_weight_codes_are_rounded_half_up_by_channel():
    layer = TableLinear(nn.Linear(4, 2))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[127.0, 2.5, -2.5, 0.49], [-0.127, 0.0005, 0.02, 0.5]]))
    layer.set_scheme(8, torch.tensor([1.0, 0.001], dtype=torch.float64))
    assert layer.weight_codes().tolist() == [[127, 3, -2, 0], [-127, 1, 20, 127]]
    layer.set_scheme(3, torch.tensor([1.0], dtype=torch.float64))
    assert layer.weight_codes().tolist() == [[3, 3, -2, 0], [0, 0, 0, 1]]


def test_weights_reach_one_code_less_below_zero():
    """127, not 128: the magnitude has a bit pattern of its own in every encoding."""
    layer = TableLinear(nn.Linear(1, 2))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-1000.0], [1000.0]]))
        layer.weight_scale.fill_(1.0)
    for bits in range(2, 9):
        layer.weight_bits = bits
        assert layer.weight_codes().flatten().tolist() == [-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1]


def test_compensation_and_gain_fold_into_the_constants():
    """Real arithmetic of what the integers stand for."""
    layer = settle(TableLinear(nn.Linear(50, 6)), LOGITS)
    take_table(layer, random_table8(5, 4000), 0.7)
    scaled(layer, out_scale=0.0173 * 50**0.5 / 100)
    x = images(7, 50)
    products = layer.accumulate(x) / 0.7 * layer.channel_gain + layer.channel_offset
    real = products * layer.in_scale * layer.weight_scale + layer.bias.double()
    assert (real / layer.out_scale).abs().max() > 2000
    assert (layer(x) - real / layer.out_scale).abs().max() < 3


@pytest.mark.parametrize("kind", [TableConv2d, TableLinear])
def test_real_numbers_are_those_of_the_codes(kind):
    """What calibration sees, against the integers in float64: no rounding but that of weights."""
    layer = settle(kind(nn.Conv2d(3, 5, 3) if kind is TableConv2d else nn.Linear(27, 5)), LOGITS)
    scaled(layer, out_scale=1e-3)
    x = images(2, 3, 5, 5) if kind is TableConv2d else images(4, 27)
    real = layer.real(x * layer.in_scale.float())
    assert real.abs().max() < 30 and (layer(x) * 1e-3 - real).abs().max() < 5e-3
    layer.ceiling = 2.0
    assert torch.equal(layer.real(x * layer.in_scale.float()), real.clamp(0, 2)) and real.max() > 2


def test_products_of_any_gain_have_one_bias():
    """Biases are rounded in products, so that the exact table times a number is the exact product, bit for bit."""
    layer, x = settle(TableLinear(nn.Linear(50, 6)), SIGNED), images(9, 50)
    expected = layer(x)
    for gain in (1, 2, 5, 64):
        layer.set_table((exact_table8() * gain).numpy(), float(gain))
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("weights", ["one channel", "all channels", "hardly any"])
def test_channels_without_weights_give_their_bias(weights):
    """As a BatchNorm with weight 0 makes them; the scale is that of a channel with weights."""
    source = nn.Conv2d(2, 3, 3)
    with torch.no_grad():
        source.weight.copy_(torch.linspace(-0.2, 0.2, source.weight.numel()).reshape(source.weight.shape))
        source.weight[1 if weights != "all channels" else slice(None)] *= 0 if weights != "hardly any" else 1e-9
        source.bias.copy_(torch.tensor([0.5, -1.26, 2.0]))
    layer = scaled(TableConv2d(source), weight_scale=0.2 / 127, in_scale=0.01, out_scale=0.02)
    layer.out_codes = SIGNED
    y = layer(images(1, 2, 3, 3)).flatten()
    assert y[1] == -63
    if weights == "all channels":
        assert y.tolist() == [25, -63, 100]


def test_biases_stay_within_int32():
    layer = settle(TableLinear(nn.Linear(3, 2)), SIGNED)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1e9, -1e9]))
    assert layer.integers()[0].tolist() == [2**31 - 1, -(2**31)]


def test_table_is_taken_away_again():
    layer = settle(TableLinear(nn.Linear(9, 3)), SIGNED)
    before = layer(images(4, 9))
    take_table(layer, random_table8(6, 4000), 0.5)
    assert not torch.equal(layer(images(4, 9)), before)
    layer.set_table(None)
    assert torch.equal(layer(images(4, 9)), before)
    assert layer.gain == 1 and (layer.channel_gain == 1).all() and not layer.channel_offset.any()


def test_a_table_of_ones_own_can_change():
    """The layer keeps a copy."""
    layer, table = settle(TableLinear(nn.Linear(9, 3)), SIGNED), random_table8(6, 4000).numpy()
    layer.set_table(table, 0.5)
    before = layer(images(4, 9))
    table[:] = 0
    assert torch.equal(layer(images(4, 9)), before)


def test_saved_layer_comes_back():
    layer = settle(TableConv2d(nn.Conv2d(2, 3, 3)), UNSIGNED, SIGNED, bits=6)
    take_table(layer, random_table8(7, 4000), 0.5)
    fresh = TableConv2d(nn.Conv2d(2, 3, 3))
    x = images(1, 2, 5, 5, codes=SIGNED)
    for table in (True, False):
        if not table:
            layer.set_table(None)
        fresh.load_state_dict(layer.state_dict())
        assert fresh.lut.numel() == layer.lut.numel() and fresh.weight_bits == 6
        assert fresh.in_codes == (SIGNED,) and fresh.out_codes == UNSIGNED and torch.equal(fresh(x), layer(x))


def test_a_later_schema_is_refused():
    layer = TableLinear(nn.Linear(2, 2))
    state = layer.state_dict()
    state["_extra_state"]["schema"] += 1
    with pytest.raises(RuntimeError, match="update agn-hw"):
        layer.load_state_dict(state)


def test_layers_are_found_by_name_in_order():
    model = nn.Sequential(TableConv2d(nn.Conv2d(1, 1, 1)), nn.Flatten(), TableLinear(nn.Linear(1, 1)))
    assert list(table_layers(model)) == ["0", "2"]
