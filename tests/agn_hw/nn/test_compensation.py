"""Mean and standard deviation of approximate channels, set back to the exact ones."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.observe import weight_scales
from agn_hw.conversion.quantize import quantize
from agn_hw.nn.compensation import Moments, compensate, exact_moments, match, moments, reestimate
from agn_hw.nn.errors import ModelError
from agn_hw.nn.layers import table_layers
from agn_hw.nn.products import TableConv2d, TableLinear
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


def scaled(layer, in_scale: float, out_scale: float) -> None:
    layer.in_scale.fill_(in_scale)
    layer.out_scale.fill_(out_scale)
    layer.set_scheme(8, weight_scales(layer.weight, 127, True, "minmax"))


def compensated(layer, accumulator: torch.Tensor) -> np.ndarray:
    """The accumulator in products after compensation, [channels, values]."""
    sums = np.moveaxis(accumulator.numpy(), layer.channel_axis, 0).reshape(len(layer.weight), -1)
    products = sums / float(layer.gain)
    return products * layer.channel_gain.numpy()[:, None] + layer.channel_offset.numpy()[:, None]


@pytest.mark.parametrize("kind, shape", [
    (TableLinear, (6, 3)), (TableLinear, (6, 4, 3)), (TableConv2d, (6, 3, 4, 5)), (TableConv2d, (6, 3, 3, 3)),
])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_moments_are_by_channel_in_products(kind, shape, parts):
    layer = kind(nn.Linear(2, 3) if kind is TableLinear else nn.Conv2d(2, 3, 1))
    layer.gain = torch.tensor(0.5, dtype=torch.float64)
    accumulator = 100 + torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = moments(layer, accumulator.tensor_split(parts))
    for channel in range(3):
        values = accumulator.numpy().take(channel, layer.channel_axis).ravel() / 0.5
        assert float(found.mean[channel]) == pytest.approx(values.mean())
        assert float(found.std[channel]) == pytest.approx(values.std())


def test_compensated_moments_are_the_exact_ones():
    layer = TableConv2d(nn.Conv2d(3, 5, 3))
    scaled(layer, 0.01, 0.02)
    x = torch.randint(0, 256, (8, 3, 9, 9), generator=torch.Generator().manual_seed(1)).float()
    exact = moments(layer, [layer.accumulate(x).detach()])
    layer.set_table(random_table8(2, 20000).numpy(), 0.7)
    accumulator = layer.accumulate(x).detach()
    match(layer, moments(layer, [accumulator]), exact)
    values = compensated(layer, accumulator)
    assert (layer.channel_gain > 0.05).all() and (layer.channel_gain < 4).all()
    np.testing.assert_allclose(values.mean(1), exact.mean, rtol=1e-9)
    np.testing.assert_allclose(values.std(1), exact.std, rtol=1e-9)


def test_requantised_codes_follow_the_compensation():
    """The folding into bias and multiplier, against real arithmetic."""
    layer = TableLinear(nn.Linear(40, 4))
    scaled(layer, 0.01, 0.005)
    x = torch.randint(0, 256, (60, 40), generator=torch.Generator().manual_seed(1)).float()
    exact = moments(layer, [layer.accumulate(x).detach()])
    layer.set_table(random_table8(3, 20000).numpy(), 0.7)
    accumulator = layer.accumulate(x).detach()
    match(layer, moments(layer, [accumulator]), exact)
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
    match(layer, moments(layer, [accumulator]), exact)
    assert float(layer.channel_gain) == pytest.approx(gain)
    assert compensated(layer, accumulator).mean() == pytest.approx(30)
    assert np.isfinite(compensated(layer, accumulator)).all()


@pytest.mark.parametrize("gain, bias", [(True, True), (True, False), (False, True)])
def test_each_part_can_be_left_out(gain, bias):
    layer = TableLinear(nn.Linear(2, 3))
    own = Moments(torch.tensor([3.0, -1.0, 0.0]).double(), torch.tensor([2.0, 1.0, 0.5]).double())
    exact = Moments(torch.tensor([5.0, 1.0, 0.0]).double(), torch.tensor([1.0, 3.0, 0.5]).double())
    match(layer, own, exact, gain=gain, bias=bias)
    assert layer.channel_gain.tolist() == ([0.5, 3, 1] if gain else [1, 1, 1])
    means = layer.channel_gain * own.mean + layer.channel_offset
    assert torch.equal(means, exact.mean) if bias else not layer.channel_offset.any()


def test_exact_moments_are_those_of_the_whole_network():
    model = quantized_resnet()
    found = exact_moments(model, X.split(7))
    for name, accumulator in accumulators(model, X).items():
        values = accumulator.double().movedim(table_layers(model)[name].channel_axis, 0).flatten(1)
        torch.testing.assert_close(found[name].mean, values.mean(1), rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(found[name].std, values.std(1, correction=0), rtol=1e-12, atol=1e-9)


CHEAP = multiplier(truncated_lut(6))


def check_sequential(network: nn.Module, exact: dict[str, Moments], chosen: dict) -> None:
    """Each layer's moments are right on what the approximate layers before it really produce."""
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


@pytest.mark.parametrize("batch", [40, 7])
def test_compensation_is_sequential(batch):
    model = quantized_resnet()
    exact = exact_moments(model, [X])
    chosen = {name: CHEAP for name in table_layers(model) if name != "stage2.conv1"}
    network = approximate(model, chosen)
    reestimate(network, X.split(batch), exact)
    check_sequential(network, exact, chosen)


def test_public_compensation_needs_no_exact_network():
    model = quantized_resnet()
    chosen = {name: CHEAP for name in table_layers(model) if name != "stage2.conv1"}
    network, other = approximate(model, chosen), approximate(model, chosen)
    loader = [(part, None) for part in X.split(16)]
    assert compensate(network, loader) is network
    check_sequential(network, exact_moments(model, [X]), chosen)
    reestimate(other, X.split(16), exact_moments(model, X.split(16)))
    assert torch.equal(network(X), other(X))
    before = network(X)
    assert torch.equal(compensate(network, loader)(X), before)  # what was set is replaced, not added to


def test_on_exact_inputs():
    """Not sequential: every layer's moments are right on what the exact network feeds it."""
    model = quantized_resnet()
    exact = exact_moments(model, [X])
    network = compensate(approximate(model, CHEAP), [X], sequential=False)
    inputs: dict[str, torch.Tensor] = {}
    for name, layer in table_layers(model).items():
        layer.register_forward_pre_hook(lambda layer, given, name=name: inputs.update({name: given[0]}))
    model(X)
    for name, layer in table_layers(network).items():
        values = compensated(layer, layer.accumulate(inputs[name]).detach())
        np.testing.assert_allclose(values.mean(1), exact[name].mean, rtol=1e-6, atol=1e-6)


def test_modes_of_the_modules_are_left_alone():
    network = approximate(quantized_resnet(), CHEAP)
    network.train()
    table_layers(network)["fc"].eval()
    compensate(network, [X])
    assert network.training and not table_layers(network)["fc"].training


def test_float_parts_between_integer_ones_and_linear_layers_on_sequences():
    """Channels of a linear layer are on the last axis, whatever stands between."""
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.mix, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 6), nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.conv(x).flatten(2).transpose(1, 2)  # [B, 64, 6]
            return self.head(nn.functional.gelu(self.mix(tokens)).mean(1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = quantize(Mixer().eval(), [X])
    network = compensate(approximate(model, multiplier(truncated_lut(5))), [X[:20], X[20:]])
    found, exact = accumulators(network, X), exact_moments(model, [X])
    assert found["mix"].shape == (40, 64, 6)
    for name, layer in table_layers(network).items():
        values = compensated(layer, found[name])
        np.testing.assert_allclose(values.mean(1), exact[name].mean, rtol=1e-6, atol=1e-6)


def test_refusals():
    with pytest.raises(ModelError, match=r"no layer of it has a table[^$]*approximate"):
        compensate(quantized_resnet(), [X])
    with pytest.raises(ModelError, match="the loader is empty"):
        compensate(approximate(quantized_resnet(), CHEAP), [])


def test_compensation_restores_accuracy():
    network = approximate(quantized_resnet(), CHEAP)
    x = images(300, seed=10)
    before = (network(x).argmax(1) == labels(x)).double().mean()
    compensate(network, [X])
    assert (network(x).argmax(1) == labels(x)).double().mean() > before + 0.1


def test_exact_table_needs_no_compensation():
    network = compensate(approximate(quantized_resnet(), {"stem.conv": multiplier(exact_lut())}), [X])
    layer = table_layers(network)["stem.conv"]
    assert (layer.channel_gain - 1).abs().max() < 1e-12 and layer.channel_offset.abs().max() < 1e-6
