"""Narrow accumulators in networks: saved and loaded, forgotten with a new table, compensated; what is refused."""

import copy
import io

import pytest
import torch
from torch import nn

import agn_hw
from agn_hw.accelerator import bounds
from agn_hw.codes import SIGNED, affine
from agn_hw.conversion.quantize import skeleton
from agn_hw.mapping import affine as affine_mapping
from agn_hw.nn.accumulator import SATURATE, WRAP, Accumulator
from agn_hw.nn.coded import SCHEMA
from agn_hw.nn.compensation import moments
from agn_hw.nn.ends import Quantize
from agn_hw.nn.errors import ModelError
from agn_hw.nn.layers import table_layers
from agn_hw.nn.overflow import set_accumulator
from tests.agn_hw.networks import images as pictures
from tests.agn_hw.networks import quantized_resnet, small_resnet
from tests.agn_hw.nn.single_layers import images
from tests.agn_hw.nn.test_overflow import MODES, SHAPES, layer_of
from tests.agn_hw.nn.test_products import KNOWN
from tests.agn_hw.tables import exact_table8, multiplier, random_lut, random_table8, truncated_lut


def test_a_network_keeps_its_accumulators():
    exact, x = quantized_resnet(), pictures(4)
    network = agn_hw.approximate(exact, multiplier(truncated_lut(5)))
    y = network(x).detach()
    set_accumulator(network, 17, SATURATE, rows=8)
    narrow = network(x).detach()
    assert not torch.equal(narrow, y)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    again = skeleton(small_resnet())
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again(x), narrow) and torch.equal(copy.deepcopy(again)(x), narrow)
    assert {layer.accumulator for layer in table_layers(again).values()} == {Accumulator(17, SATURATE, 8)}
    set_accumulator(again, None)
    assert torch.equal(again(x), y)
    again.load_state_dict(network.state_dict())
    again.load_state_dict(exact.state_dict())  # which knows of none
    assert torch.equal(again(x), exact(x))


def test_versions_without_accumulators_refuse_them():
    """By the schema, which is that of all modules where there is none."""
    layer = layer_of(nn.Linear(5, 2))
    assert layer.get_extra_state()["schema"] == SCHEMA and "accumulator" not in layer.get_extra_state()
    set_accumulator(layer, 9)
    state = layer.get_extra_state()
    assert state["schema"] == SCHEMA + 1
    with pytest.raises(RuntimeError, match="update agn-hw"):
        layer.set_extra_state({**state, "schema": SCHEMA + 2})


def test_terms_of_zero_points_are_saved_with_the_table():
    lut = random_lut(5, 60000).clip(0)
    mapping = affine_mapping(multiplier(lut), codes=affine(8, 90))
    layer = layer_of(nn.Linear(30, 2), in_codes=mapping.codes, out_codes=SIGNED)
    layer.set_table(mapping.table8(lut), mapping.gain, None, bounds.zero_terms(mapping))
    set_accumulator(layer, 16)
    other, x = KNOWN[nn.Linear](nn.Linear(30, 2)), images(5, 30, codes=mapping.codes)
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(other(x), layer(x))
    other.load_state_dict(layer_of(nn.Linear(30, 2)).state_dict())
    assert other.zero_terms is None and other.accumulator is None


def test_a_new_table_forgets_the_accumulator():
    layer = layer_of(nn.Linear(5, 2))
    set_accumulator(layer, 9)
    layer.set_table(exact_table8().numpy())
    assert layer.accumulator is None


def test_compensation_aims_at_sums_that_do_not_overflow():
    """Mean and deviation of the first layer's channels become those of the exact network."""
    exact, x = quantized_resnet(), pictures(60)
    network = agn_hw.approximate(exact, multiplier(truncated_lut(5)))
    layer, other = (table_layers(one)["stem.conv"] for one in (network, exact))
    with torch.no_grad():
        codes = next(module for module in network.modules() if isinstance(module, Quantize))(x)
        plain = layer.accumulate(codes)
        set_accumulator(network, int(plain.abs().max()).bit_length(), SATURATE, rows=8)
        assert not torch.equal(layer.accumulate(codes), plain)
        agn_hw.compensate(network, [x])
        own, aim = (moments(one, [one.accumulate(codes)]) for one in (layer, other))
    assert torch.allclose(layer.channel_gain * own.std, aim.std)
    assert torch.allclose(layer.channel_gain * own.mean + layer.channel_offset, aim.mean)


@MODES
def test_no_image_gives_no_output(overflow):
    for source, shape in SHAPES["groups"], SHAPES["one dimension"], SHAPES["linear"]:
        layer = layer_of(source, random_table8(3, 900))
        size = layer(images(*shape)).shape
        set_accumulator(layer, 9, overflow, rows=4)
        for mode in (torch.no_grad(), torch.enable_grad()):
            with mode:
                assert layer(images(0, *shape[1:])).shape == (0, *size[1:])


def test_what_is_refused():
    layer = layer_of(nn.Linear(5, 2))
    for bits in (0, 1, 33, 8.5, "8"):
        with pytest.raises(ModelError, match="2 to 32 bits"):
            set_accumulator(layer, bits)
    with pytest.raises(ModelError, match="'wrap' or 'saturate'"):
        set_accumulator(layer, 9, "clip")
    for rows in (0, -1, 2.0):
        with pytest.raises(ModelError, match="one row or more"):
            set_accumulator(layer, 9, WRAP, rows)
    with pytest.raises(ModelError, match=r"agn_hw\.quantize"):
        set_accumulator(nn.Linear(5, 2), 9)
    assert layer.accumulator is None
