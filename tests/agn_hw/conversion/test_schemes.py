"""Schemes of quantisation: what they make of codes and weights, and what they are good for."""

import pytest
import torch
from torch import nn

from agn_hw.conversion.quantize import ModelError, quantize
from agn_hw.nn.functions import Lookup
from agn_hw.nn.layers import table_layers
from agn_hw.nn.scheme import Scheme
from tests.agn_hw.networks import images, small_resnet
from tests.agn_hw.nn.integer_network import integer_network
from tests.agn_hw.nn.small_networks import NETWORKS, Squeeze, inputs, quantized, seeded, signed_images


def error(model: nn.Module, x: torch.Tensor, scheme: Scheme) -> float:
    """Of the output, relative to how it varies."""
    with torch.no_grad():
        expected, found = model(x), quantize(model, [x], scheme)(x)
    return float((found - expected).norm() / (expected - expected.mean(0)).norm())


@pytest.mark.parametrize("name", NETWORKS)
def test_codes_and_weights_have_their_bits(name):
    _, scheme, own = NETWORKS[name]
    network = quantized(name)
    _, edges = integer_network(network, inputs(name, 4))
    for key, layer in table_layers(network).items():
        wanted = own.get(key, scheme)
        codes = layer.in_codes[0]
        assert codes.low <= 0 < codes.high
        span = codes.high - codes.low
        assert span <= 2**wanted.activation_bits - 1 and span >= 2**wanted.activation_bits - 2
        weights = layer.weight_codes()
        assert weights.abs().max() <= layer.largest_weight == 2 ** (wanted.weight_bits - 1) - 1
        assert len(weights.unique()) > 2
        assert len(layer.weight_scale) == (len(layer.bias) if wanted.per_channel else 1)
        if not wanted.affine:
            assert codes.low in (0, -codes.high, -codes.high - 1)
        if wanted.weight_observer is None and wanted.weight_bits >= 6:
            per_channel = weights.abs().flatten(1).amax(1)
            assert (per_channel if wanted.per_channel else per_channel.max()[None]).min() == layer.largest_weight
    assert edges


def test_affine_codes_have_zero_points_where_numbers_are_signed():
    for name, kind in (("affine mobile", True), ("mobile", False)):
        lows = {layer.in_codes[0].low for layer in table_layers(quantized(name)).values()}
        assert any(low not in (0, -127, -128) for low in lows) is kind


def test_a_layer_of_fewer_bits_than_its_neighbours_gets_a_narrow_lookup():
    network = quantized("mixed mobile")
    lookups = [module for module in network.modules() if isinstance(module, Lookup)]
    assert len(lookups) == 1 and lookups[0].bits == 5
    assert lookups[0].out_scale is table_layers(network)["blocks.0.expand.0"].in_scale
    assert lookups[0].in_codes[0].high > lookups[0].out_codes.high


def test_one_input_for_layers_of_different_bits():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.left(x) + self.right(x)

    x = images(16)
    network = quantize(seeded(Two), [x], layers={"left": Scheme(8, 3), "right": Scheme(8, 5)})
    layers = table_layers(network)
    assert layers["left"].in_codes == ((0, 7),) and layers["right"].in_codes == ((0, 31),)
    assert torch.equal(network(x[:2]), integer_network(network, x[:2])[0])


@pytest.mark.parametrize("build", [Squeeze, small_resnet])
@pytest.mark.parametrize("affine", [False, True])
def test_more_bits_less_error(build, affine):
    model = build() if build is small_resnet else seeded(build)
    x = images(64) if build is small_resnet else signed_images(64)
    errors = [error(model, x, Scheme(bits, bits, affine=affine)) for bits in (2, 4, 6, 8)]
    assert errors[3] < errors[2] < errors[1] < errors[0]
    assert errors[3] < 0.06 and errors[2] < 0.25


def test_zero_points_pay_where_numbers_lie_to_one_side():
    """SiLU goes down to -0.28 only: half of the symmetric codes lie idle."""
    model, x = seeded(Squeeze), signed_images(64)
    assert error(model, x, Scheme(8, 5, affine=True)) < 0.8 * error(model, x, Scheme(8, 5))


def test_scales_of_channels_pay_where_channels_differ():
    model, x = seeded(Squeeze), signed_images(64)
    with torch.no_grad():
        model.project.weight[0] *= 40
    assert error(model, x, Scheme(4)) < 0.8 * error(model, x, Scheme(4, per_channel=False))


@pytest.mark.parametrize("observer", ["mse", "percentile"])
def test_observers_that_clip_pay_where_there_are_outliers(observer):
    """One pixel of 1200 images is far out of the range of all others, within the network as well."""
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    x = signed_images(1200)
    x[0, :, 2, 2] *= 40
    errors = []
    with torch.no_grad():
        for kind in ("minmax", observer):
            own = {"0": Scheme(activation_observer=kind)}
            network = quantize(model, [x], Scheme(8, 4, activation_observer=kind), own)
            errors.append(float((network(x[1:]) - model(x[1:])).norm()))
    assert errors[1] < 0.9 * errors[0]  # what enters the network always has its whole range


@pytest.mark.parametrize("given, named", [
    ({"weight_bits": 1}, "weight_bits"), ({"weight_bits": 9}, "weight_bits"),
    ({"activation_bits": 0}, "activation_bits"),
    ({"activation_bits": 4.0}, "activation_bits"), ({"weight_observer": "max"}, "weight_observer"),
    ({"activation_observer": None}, "activation_observer")])
def test_schemes_that_are_none(given, named):
    with pytest.raises(ModelError, match=named) as caught:
        Scheme(**given)
    assert "to mend" in str(caught.value)


def test_layers_that_are_none():
    with pytest.raises(ModelError, match=r"'stage9' came.*stem\.conv"):
        quantize(small_resnet(), [images(4)], layers={"stage9": Scheme()})


def test_a_fused_ceiling_holds_for_what_calibration_did_not_see():
    """ReLU6 at the end, where outputs have room beyond what was seen; and with few bits, where steps are coarse."""
    for scheme in (Scheme(), Scheme(2, 2), Scheme(8, 2)):
        model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6()))
        x = signed_images(16)
        network = quantize(model, [3 * x], scheme)
        found = network(9 * x)
        assert found.max() <= 6 + 1e-5 and found.max() > 5.5
