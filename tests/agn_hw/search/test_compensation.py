"""Mean and standard deviation of approximate channels, set back to the exact ones."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.nn.convert import approximate
from agn_hw.nn.layers import TableConv2d, TableLinear, table_layers
from agn_hw.search.compensation import Moments, compensate, exact_moments, moments, reestimate
from tests.agn_hw.networks import images, labels, quantized_resnet
from tests.agn_hw.tables import exact_lut, multiplier, random_table8, truncated_lut

X = images(40, seed=9)


def accumulators(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each layer accumulates when the whole network runs."""
    found: dict[str, torch.Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(
            lambda layer, arguments, name=name: found.update({name: layer.accumulate(arguments[0]).detach()})
        )
        for name, layer in table_layers(model).items()
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return found


def compensated(layer, accumulator: torch.Tensor) -> np.ndarray:
    """The accumulator in products after compensation, [channels, values]."""
    products = np.moveaxis(accumulator.numpy() / float(layer.gain), 1, 0).reshape(len(layer.weight), -1)
    return products * layer.channel_gain.numpy()[:, None] + layer.channel_offset.numpy()[:, None]


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_moments_are_by_channel_in_products(shape):
    layer = TableLinear(nn.Linear(2, 3))
    layer.gain = torch.tensor(0.5, dtype=torch.float64)
    accumulator = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = moments(layer, accumulator)
    for channel in range(3):
        values = accumulator[:, channel].numpy().ravel() / 0.5
        assert float(found.mean[channel]) == pytest.approx(values.mean())
        assert float(found.std[channel]) == pytest.approx(values.std())


def test_compensated_moments_are_the_exact_ones():
    layer = TableConv2d(nn.Conv2d(3, 5, 3))
    layer.in_scale, layer.out_scale = (torch.tensor(value, dtype=torch.float64) for value in (0.01, 0.02))
    x = torch.randint(0, 256, (8, 3, 9, 9), generator=torch.Generator().manual_seed(1)).float()
    exact = moments(layer, layer.accumulate(x).detach())
    layer.set_table(random_table8(2, 20000).numpy(), 0.7)
    accumulator = layer.accumulate(x).detach()
    compensate(layer, accumulator, exact)
    values = compensated(layer, accumulator)
    assert (layer.channel_gain > 0.05).all() and (layer.channel_gain < 4).all()
    np.testing.assert_allclose(values.mean(1), exact.mean, rtol=1e-9)
    np.testing.assert_allclose(values.std(1), exact.std, rtol=1e-9)


def test_requantised_codes_follow_the_compensation():
    """The folding into bias and multiplier, against real arithmetic."""
    layer = TableLinear(nn.Linear(40, 4))
    layer.in_scale, layer.out_scale = (torch.tensor(value, dtype=torch.float64) for value in (0.01, 0.005))
    x = torch.randint(0, 256, (60, 40), generator=torch.Generator().manual_seed(1)).float()
    exact = moments(layer, layer.accumulate(x).detach())
    layer.set_table(random_table8(3, 20000).numpy(), 0.7)
    accumulator = layer.accumulate(x).detach()
    compensate(layer, accumulator, exact)
    real = compensated(layer, accumulator).T * (0.01 * layer.weight_scale.numpy()) + layer.bias.detach().numpy()
    expected = np.clip(np.floor(real / 0.005 + 0.5), -128, 127)
    assert len(np.unique(expected)) > 20
    assert np.abs(layer(x).detach().numpy() - expected).max() <= 1


@pytest.mark.parametrize("own_std, exact_std, gain", [
    (0.0, 100.0, 1.0),  # no signal at all
    (1e-9, 100.0, 4.0), (1.0, 100.0, 4.0),  # hardly any
    (100.0, 0.0, 0.05), (0.0, 0.0, 1.0), (50.0, 100.0, 2.0),
])
def test_gain_is_limited_and_the_mean_right_all_the_same(own_std, exact_std, gain):
    layer = TableLinear(nn.Linear(2, 1))
    accumulator = torch.tensor([[7.0 - own_std], [7.0 + own_std]], dtype=torch.float64)
    exact = Moments(torch.tensor([30.0], dtype=torch.float64), torch.tensor([exact_std], dtype=torch.float64))
    compensate(layer, accumulator, exact)
    assert float(layer.channel_gain) == pytest.approx(gain)
    assert compensated(layer, accumulator).mean() == pytest.approx(30)
    assert np.isfinite(compensated(layer, accumulator)).all()


def test_exact_moments_are_those_of_the_whole_network():
    model = quantized_resnet()
    found = exact_moments(model, X)
    for name, accumulator in accumulators(model, X).items():
        values = accumulator.double().transpose(0, 1).flatten(1)
        assert torch.equal(found[name].mean, values.mean(1))
        assert torch.equal(found[name].std, values.std(1, correction=0))


def test_reestimation_is_sequential():
    """Each layer's moments are right on what the approximate layers before it really produce."""
    model = quantized_resnet()
    exact = exact_moments(model, X)
    chosen = {name: multiplier(truncated_lut(6)) for name in table_layers(model) if name != "stage2.conv1"}
    network = approximate(model, chosen)
    reestimate(network, X, exact)
    for name, accumulator in accumulators(network, X).items():
        layer = table_layers(network)[name]
        if name not in chosen:
            assert (layer.channel_gain == 1).all() and (layer.channel_offset == 0).all()
            continue
        inside = ((layer.channel_gain > 0.05) & (layer.channel_gain < 4)).numpy()
        values = compensated(layer, accumulator)
        assert inside.mean() > 0.6
        np.testing.assert_allclose(values.mean(1), exact[name].mean, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(values.std(1)[inside], exact[name].std[inside], rtol=1e-6)


def test_reestimation_restores_accuracy():
    model = quantized_resnet()
    network = approximate(model, multiplier(truncated_lut(6)))
    x = images(300, seed=10)
    before = (network(x).argmax(1) == labels(x)).double().mean()
    reestimate(network, X, exact_moments(model, X))
    assert (network(x).argmax(1) == labels(x)).double().mean() > before + 0.1


def test_exact_table_needs_no_compensation():
    model = quantized_resnet()
    network = approximate(model, {"stem.conv": multiplier(exact_lut())})
    reestimate(network, X, exact_moments(model, X))
    layer = table_layers(network)["stem.conv"]
    assert (layer.channel_gain - 1).abs().max() < 1e-12 and layer.channel_offset.abs().max() < 1e-6
