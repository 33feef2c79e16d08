"""Exact networks and the same with tables."""

import numpy as np
import pytest
import torch
from torch import nn

import agn_hw
from agn_hw.mapping import default
from agn_hw.nn.convert import approximate
from agn_hw.nn.layers import table_layers
from agn_hw.nn.quantize import ModelError
from tests.agn_hw.networks import images, labels, quantized_resnet, small_resnet
from tests.agn_hw.tables import exact_lut, multiplier, random_lut, truncated_lut

X = images(100, seed=5)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return quantized_resnet()


def test_exact_multiplier_gives_the_exact_network(model):
    """Up to the bias, which is rounded in units of half a product: one step of a code now and then."""
    network = agn_hw.approximate(model, multiplier(exact_lut()))
    expected, found = model(X), network(X)
    assert (found - expected).std() < 0.02 * expected.std()
    hits = [(logits.argmax(1) == labels(X)).double().mean() for logits in (expected, found)]
    assert abs(hits[0] - hits[1]) < 0.02


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
    state = {name: value.clone() for name, value in model.state_dict().items()}
    network = approximate(model, multiplier(random_lut(0, 60000)))
    assert not torch.equal(network(X), before) and torch.equal(model(X), before)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


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
