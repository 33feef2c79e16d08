"""Exact networks and the same with tables."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import agn_hw
from agn_hw.codes import SIGNED, UNSIGNED
from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.quantize import ModelError
from agn_hw.mapping import default
from agn_hw.nn.layers import table_layers
from tests.agn_hw.networks import images, quantized_resnet, small_resnet
from tests.agn_hw.nn.small_networks import inputs, quantized
from tests.agn_hw.tables import exact_lut, multiplier, random_lut, truncated_lut

X = images(100, seed=5)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return quantized_resnet()


@pytest.mark.parametrize("name", ["resnet", "mobile", "affine mobile", "squeeze", "signal", "affine averages"])
def test_exact_multiplier_gives_the_exact_network(name):
    """Bit for bit: 8-bit operands make gains that are powers of two, which m and s take in without rounding."""
    network, x = quantized(name), inputs(name, 20, seed=5)
    for ports in ((8, 8, False), (9, 8, True), (8, 9, False)):
        found = approximate(network, multiplier(exact_lut(*ports), signed=ports[2]))
        gains = {float(layer.gain) for layer in table_layers(found).values()}
        assert all(gain in (2.0**n for n in range(8)) for gain in gains), gains
        for mode in (torch.no_grad(), torch.enable_grad()):
            with mode:
                assert torch.equal(found(x), network(x))


def test_the_kinds_of_codes_that_were_compared():
    kinds = {codes for name in ("resnet", "squeeze", "affine mobile")
             for layer in table_layers(quantized(name)).values() for codes in layer.in_codes}
    assert UNSIGNED in kinds and SIGNED in kinds
    assert any(codes.high - codes.low == 255 and -128 < codes.low < 0 for codes in kinds)  # with a zero point


@pytest.mark.parametrize("name", ["resnet of 4 bits", "mixed mobile", "narrow squeeze", "affine squeeze of 6 bits"])
def test_narrow_codes_on_a_wide_port_change_nothing(name):
    """They are shifted up to fill the port; requantisation shifts back."""
    network, x = quantized(name), inputs(name, 20, seed=5)
    found = approximate(network, multiplier(exact_lut()))
    assert any(float(layer.gain) > 2 for layer in table_layers(found).values())
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            assert torch.equal(found(x), network(x))


@pytest.mark.parametrize("bits, limit", [(8, 0.05), (7, 0.1), (6, 0.2)])
def test_exact_narrow_multipliers_are_low_bit_quantisation(model, bits, limit):
    network = approximate(model, multiplier(exact_lut(bits, bits)))
    assert (network(X) - model(X)).abs().mean() < limit * model(X).std()


def test_chosen_layers_only(model):
    network = approximate(model, {"stage1.conv1": multiplier(truncated_lut(4)), "fc": None})
    with_table = [name for name, layer in table_layers(network).items() if layer.lut.numel()]
    assert with_table == ["stage1.conv1"]
    again = approximate(network, {"fc": multiplier(truncated_lut(3)), "stage1.conv1": None})
    assert [name for name, layer in table_layers(again).items() if layer.lut.numel()] == ["fc"]


def test_model_is_left_alone(model):
    before = model(X)
    state = copy.deepcopy(model.state_dict())
    network = approximate(model, multiplier(random_lut(0, 60000)))
    assert not torch.equal(network(X), before) and torch.equal(model(X), before)
    after = model.state_dict()
    assert list(state) == list(after)
    for name, value in after.items():
        assert torch.equal(state[name], value) if isinstance(value, torch.Tensor) else state[name] == value


def test_operand_order_matters_and_is_the_mappings(model):
    chosen = multiplier(truncated_lut(5))
    turned = multiplier(truncated_lut(5).T)
    plain = approximate(model, chosen)(X)
    assert torch.equal(approximate(model, turned)(X), plain) is False
    layers = list(table_layers(model))
    assert torch.equal(approximate(model, dict.fromkeys(layers, (turned, default(turned, "b"))))(X), plain)


def test_table_and_gain_are_the_mappings(model):
    chosen = multiplier(random_lut(1, 60000))
    mapping = default(chosen, "b", 2.0)
    layer = table_layers(approximate(model, {"fc": (chosen, mapping)}))["fc"]
    assert np.array_equal(layer.lut.numpy(), mapping.table8(chosen.lut)) and float(layer.gain) == mapping.gain == 4


def test_unknown_layers_are_refused(model):
    with pytest.raises(ModelError, match=r"'stage9.conv'.*stem.conv"):
        approximate(model, {"stage9.conv": multiplier(exact_lut())})


def test_float_models_are_refused():
    with pytest.raises(ModelError, match="no quantised layer"):
        approximate(small_resnet(), multiplier(exact_lut()))


@pytest.mark.parametrize("choice", ["drum_8_k4", {"stage1.conv1": "drum_8_k4"}, 3])
def test_a_name_is_no_multiplier(model, choice):
    with pytest.raises(ModelError, match="catalog"):
        agn_hw.approximate(model, choice)
