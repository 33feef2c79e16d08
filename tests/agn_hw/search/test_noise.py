"""Learned noise: the formula and its gradient, what is learned on a small network, how multipliers are matched."""

import copy
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import fx
from torch.nn import functional as F

from agn_hw.conversion.approximate import approximate
from agn_hw.nn.compensation import exact_moments
from agn_hw.nn.layers import table_layers
from agn_hw.recipe import TrainingError
from agn_hw.search.noise import LARGEST_SIGMA, Learned, Noisy, learn, matched, noised, spread
from agn_hw.zoo.data import Split, to_float
from tests.agn_hw.networks import images, labels, quantized_resnet
from tests.agn_hw.nn.small_networks import inputs, quantized
from tests.agn_hw.tables import multiplier, truncated_lut


def split_of(count: int) -> Split:
    codes = (images(count, seed=7) * 255).round().to(torch.uint8)
    return Split(codes, labels(to_float(codes)))


SPLIT = split_of(500)


def equal_macs(model: fx.GraphModule) -> dict[str, int]:
    return dict.fromkeys(table_layers(model), 10)


@cache
def learned(weight: float) -> Learned:
    return run(weight)


def run(weight: float, epochs: float = 10.0, seed: int = 0, model: fx.GraphModule | None = None) -> Learned:
    model = model or quantized_resnet()
    return learn(model, SPLIT, equal_macs(model), weight, epochs, seed)


def test_gradient_is_the_formula():
    generator = torch.Generator().manual_seed(0)
    y, n, grad = (torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64) for _ in range(3))
    y = (3 * y + 1).requires_grad_()
    sigma = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)
    out = noised(y, sigma, n)
    out.backward(grad)
    values, deviation = y.detach(), float(np.std(y.detach().numpy()))
    assert torch.allclose(out.detach(), values - 0.3 * deviation * n)
    assert float(sigma.grad) == pytest.approx(float((grad * n).sum()) * deviation)
    along = -0.3 * float((grad * n).sum()) * (values - values.mean()) / (values.numel() * deviation)
    assert torch.allclose(y.grad, grad + along)


def test_gradient_of_a_dead_layer_is_finite():
    y = torch.full((2, 3), 4.0, requires_grad=True)
    noised(y, torch.tensor(0.5), torch.ones(2, 3)).sum().backward()
    assert torch.equal(y.grad, torch.ones(2, 3))


@pytest.mark.parametrize("name", ["stem.conv", "fc"])
def test_noisy_layer(name):
    """Without noise the layer itself; with noise, that of its accumulator, rounded, before bias and activation."""
    model = quantized_resnet()
    layer, found = table_layers(model)[name], {}
    hook = layer.register_forward_hook(lambda layer, given, output: found.update(codes=given[0].detach()))
    model(images(200))
    hook.remove()
    noisy = Noisy(layer, torch.Generator().manual_seed(0))
    exact = layer.accumulate(found["codes"]).detach()
    with torch.no_grad():
        noisy.sigma.zero_()
    assert torch.equal(noisy(found["codes"]), layer(found["codes"]))
    with torch.no_grad():
        noisy.sigma.fill_(0.2)
    given = []
    layer.finish = lambda sums: given.append(sums.detach()) or sums
    noisy(found["codes"])
    error = (given[0] - exact).double()
    assert torch.equal(given[0], given[0].round())
    assert float(error.std()) == pytest.approx(0.2 * float(exact.double().std()), rel=0.05)
    assert abs(float(error.mean())) < 0.05 * float(error.std())
    by_channel = error.movedim(layer.channel_axis, 0).flatten(1).std(1)
    assert float(by_channel.max() / by_channel.min()) < 1.5


def test_more_weight_more_noise():
    found = [learned(weight) for weight in (0.0, 1.0, 100.0)]
    means = [float(np.mean(list(one.sigma.values()))) for one in found]
    assert means[0] < 0.1 < 1.5 * means[0] + 0.1 < means[1] < means[2]
    assert set(found[2].sigma.values()) == {LARGEST_SIGMA}
    assert found[0].loss < found[1].loss < found[2].loss and found[0].accuracy > found[2].accuracy
    assert [one.weight for one in found] == [0.0, 1.0, 100.0]


def loss_of_one(model: fx.GraphModule, name: str) -> float:
    """Cross-entropy with noise in this layer alone."""
    network = copy.deepcopy(model)
    noisy = Noisy(table_layers(network)[name], torch.Generator().manual_seed(1))
    with torch.no_grad():
        noisy.sigma.fill_(0.4)
        network.set_submodule(name, noisy)
        return float(F.cross_entropy(network(to_float(SPLIT.images)), SPLIT.labels))


def test_sensitive_layers_get_less_noise():
    model = quantized_resnet()
    sigma = learned(1.0).sigma
    losses = [loss_of_one(model, name) for name in sigma]
    assert spearmanr(list(sigma.values()), losses).statistic < -0.6


def test_layers_of_more_multiplications_get_more_noise():
    model = quantized_resnet()
    names = list(table_layers(model))
    plain = learned(1.0).sigma
    macs = {name: 10 if name != "stage1.conv1" else 90 for name in names}
    found = learn(model, SPLIT, macs, 1.0, 10.0, 0).sigma
    assert found["stage1.conv1"] > 1.2 * plain["stage1.conv1"]
    assert sum(found[name] < plain[name] for name in names) >= len(names) - 2


def test_given_network_and_random_state_stay():
    model = quantized_resnet()
    before, logits = copy.deepcopy(model.state_dict()), model(images(20)).detach()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    run(1.0, epochs=0.5, model=model)
    assert torch.equal(torch.get_rng_state(), state)
    after = model.state_dict()
    assert after.keys() == before.keys() and not model.training
    for name, value in after.items():
        assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model(images(20)), logits)


def test_seed_decides_and_tables_do_not_count():
    model = quantized_resnet()
    rough = approximate(model, multiplier(truncated_lut(6)))
    assert run(1.0, 0.6) == run(1.0, 0.6) == run(1.0, 0.6, model=rough)
    assert run(1.0, 0.6).sigma != run(1.0, 0.6, seed=1).sigma


@pytest.mark.parametrize("name", ["signal", "rows", "affine mobile"])
def test_other_networks(name):
    """One axis, a layer that is called twice and float parts between, depthwise convolutions."""
    model, x = quantized(name), inputs(name, 40)
    codes = ((x - x.min()) / (x.max() - x.min()) * 255).to(torch.uint8)
    split = Split(codes, torch.arange(40) % 3)
    sigma = learn(model, split, equal_macs(model), 1000.0, 40.0, 0).sigma
    assert list(sigma) == list(table_layers(model))
    assert set(sigma.values()) == {LARGEST_SIGMA}


@pytest.mark.parametrize("epochs, steps", [(0.01, 1), (0.6, 3), (2.4, 12)])
def test_progress(epochs, steps):
    told, model = [], quantized_resnet()
    learn(model, SPLIT, equal_macs(model), 0.1, epochs, 0, lambda done, total: told.append((done, total)))
    assert told == [(done, steps) for done in range(1, steps + 1)]


def test_refusals():
    model = quantized_resnet()
    macs = equal_macs(model)
    del macs["stage2.conv1"]
    with pytest.raises(TrainingError, match=r"stage2.conv1"):
        learn(model, SPLIT, macs, 0.1, 1.0, 0)
    frozen = quantized_resnet().requires_grad_(False)
    with pytest.raises(TrainingError, match="something to train"):
        run(0.1, model=frozen)
    with pytest.raises(TrainingError, match="epochs above 0"):
        run(0.1, epochs=0.0)
    for weight in (-0.1, math.nan, math.inf):
        with pytest.raises(TrainingError, match="weight of the noise"):
            run(weight)


def test_loss_that_is_not_finite(monkeypatch):
    model = quantized_resnet()
    monkeypatch.setattr(F, "cross_entropy", lambda logits, labels: logits.sum() * math.nan)
    with pytest.raises(TrainingError, match="nan"):
        learn(model, SPLIT, equal_macs(model), 0.1, 1.0, 0)


def test_spread_is_that_of_all_channels():
    model, x = quantized_resnet(), images(50)
    exact, found = exact_moments(model, [x]), {}
    layers = table_layers(model)
    for name in ("stage1.conv2", "fc"):
        codes: list[torch.Tensor] = []
        hook = layers[name].register_forward_hook(lambda layer, given, out, codes=codes: codes.append(given[0]))
        model(x)
        hook.remove()
        found[name] = float(np.std(layers[name].accumulate(codes[0]).detach().double().numpy()))
        assert spread(exact[name]) == pytest.approx(found[name], rel=1e-6)


PAIRS = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), st.tuples(st.integers(-1, 5), PAIRS)))
def test_matched(layers):
    sigma = {layer: float(limit) for layer, (limit, _) in layers.items()}
    errors = {layer: {name: float(pair[0]) for name, pair in pairs.items()} for layer, (_, pairs) in layers.items()}
    energies = {layer: {name: float(pair[1]) for name, pair in pairs.items()} for layer, (_, pairs) in layers.items()}
    names = matched(sigma, errors, energies)
    assert list(names) == list(sigma)
    for layer, name in names.items():
        own, cost, limit = errors[layer], energies[layer], sigma[layer]
        if own[name] > limit:
            assert min(own.values()) == own[name]
            assert all(cost[name] <= cost[other] for other in own if own[other] == own[name])
        for other in own:
            if own[other] <= limit:
                assert (cost[name], own[name]) <= (cost[other], own[other])
                assert own[name] <= limit
