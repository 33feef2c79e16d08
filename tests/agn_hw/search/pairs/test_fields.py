"""Receptive fields against the layer itself."""

import numpy as np
import pytest
import torch

from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.fields import receptive_fields, record_fields
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.search.pairs.layers import SOURCES, case


def sums(layer, fields: np.ndarray) -> np.ndarray:
    """Exact sums of products of fields [F, groups, K], int64 [F, N]."""
    weights = layer.weight_codes().detach().long().numpy().reshape(fields.shape[1], -1, fields.shape[2])
    return np.einsum("fgk,gnk->fgn", fields, weights).reshape(len(fields), -1)


def outputs(layer, codes: torch.Tensor) -> np.ndarray:
    """The layer's accumulators, a row an output position, int64 [positions, N]."""
    accumulator = layer.accumulate(codes).detach().movedim(layer.channel_axis, -1)
    return accumulator.flatten(0, -2).long().numpy()


@pytest.mark.parametrize("name", SOURCES)
def test_every_position_in_order(name):
    layer, codes = case(name)
    expected = outputs(layer, codes)
    fields = receptive_fields(layer, codes, count=10**6)
    assert fields.dtype == np.int64 and fields.shape == (len(expected), layer.groups, layer.weight[0].numel())
    np.testing.assert_array_equal(sums(layer, fields), expected)


def test_a_sample_has_no_position_twice():
    layer, codes = case("plain")
    positions = outputs(layer, codes)
    assert len(np.unique(positions, axis=0)) == len(positions)
    found = sums(layer, receptive_fields(layer, codes, 50, seed=1))
    rows = [int(np.flatnonzero((positions == row).all(1))[0]) for row in found]
    assert len(set(rows)) == 50 and rows == sorted(rows)
    assert max(rows) > len(positions) * 0.8 and min(rows) < len(positions) * 0.2


def test_seeds():
    layer, codes = case("groups")
    first, again, other = (receptive_fields(layer, codes, 5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_record_is_one_pass_over_all_layers():
    model, x = quantized_resnet(), images(3)
    inputs = {}
    for name, layer in table_layers(model).items():
        layer.register_forward_pre_hook(lambda _, arguments, name=name: inputs.update({name: arguments[0]}))
    found = record_fields(model, x, 20, seed=3)
    assert list(found) == list(table_layers(model))
    for name, layer in table_layers(model).items():
        np.testing.assert_array_equal(found[name], receptive_fields(layer, inputs[name], 20, seed=3))


def test_hooks_are_taken_away_even_after_an_error():
    model = quantized_resnet()
    with pytest.raises(RuntimeError):
        record_fields(model, images(3)[:, :2])
    assert not any(module._forward_pre_hooks for module in model.modules())
