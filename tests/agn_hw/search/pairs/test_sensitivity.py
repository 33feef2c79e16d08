"""The measured loss of one layer, against a network built from scratch."""

import copy

import numpy as np
import pytest
import torch

from agn_hw.conversion.approximate import approximate
from agn_hw.mapping import default
from agn_hw.nn.layers import table_layers
from agn_hw.search.sensitivity import Sensitivity, kl_divergence, screen
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.nn.test_compensation import accumulators
from tests.agn_hw.tables import exact_lut, multiplier, random_lut, truncated_lut

X = images(30, seed=11)


def divergence(exact: np.ndarray, approximate: np.ndarray) -> float:
    """KL in nats, image by image."""
    total = 0.0
    for one, other in zip(exact.astype(float), approximate.astype(float), strict=True):
        p, q = np.exp(one - one.max()), np.exp(other - other.max())
        p, q = p / p.sum(), q / q.sum()
        total += float((p * np.log(p / q)).sum())
    return total / len(exact)


def from_scratch(model, name: str, made, mapping) -> float:
    """Approximates one layer, sets its compensation by the definition, runs the whole network."""
    network = approximate(model, {name: (made, mapping)})
    layer = table_layers(network)[name]
    exact = accumulators(model, X)[name].transpose(0, 1).flatten(1).numpy()
    own = accumulators(network, X)[name].transpose(0, 1).flatten(1).numpy() / mapping.gain
    gain = np.clip(exact.std(1) / own.std(1), 0.05, 4)
    layer.channel_gain = torch.from_numpy(gain)
    layer.channel_offset = torch.from_numpy(exact.mean(1) - gain * own.mean(1))
    return divergence(model(X).detach().numpy(), network(X).detach().numpy())


MADE = {
    "truncated": (multiplier(truncated_lut(6)), "a", 1.0),
    "the other way round": (multiplier(truncated_lut(6)), "b", 1.4),
    "noisy": (multiplier(exact_lut() + random_lut(0, 4000)), "a", 1.0),
    "narrow": (multiplier(exact_lut(3, 4)), "a", 1.0),
}


@pytest.mark.parametrize("made, port, prescale", MADE.values(), ids=MADE)
def test_same_as_from_scratch(made, port, prescale):
    model = quantized_resnet()
    sensitivity, mapping = Sensitivity(model, X), default(made, port, prescale)
    for name in ("stem.conv", "stage1.conv2", "stage2.shortcut", "stage3.conv1", "fc"):
        expected = from_scratch(model, name, made, mapping)
        assert sensitivity.divergence(name, made, mapping) == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert expected > 1e-5


def test_exact_table_loses_nothing():
    model = quantized_resnet()
    made, sensitivity = multiplier(exact_lut()), Sensitivity(model, X)
    for name in table_layers(model):
        assert sensitivity.divergence(name, made, default(made)) < 1e-3


def test_borrowed_network_comes_back_as_it_was():
    model = quantized_resnet()
    before = copy.deepcopy(model.state_dict())
    logits = model(X)
    sensitivity = Sensitivity(model, X)
    made = multiplier(truncated_lut(6))
    sensitivity.divergence("stage1.conv1", made, default(made))
    impossible = multiplier(np.full((256, 256), 2**31 - 1))
    with pytest.raises(RuntimeError, match="int32"):
        sensitivity.divergence("stage1.conv1", impossible, default(impossible))
    state = model.state_dict()
    assert state.keys() == before.keys()
    for name, value in state.items():
        assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]
    assert torch.equal(model(X), logits) and torch.equal(sensitivity.logits, logits)


def test_order_of_measurements_does_not_matter():
    made = multiplier(truncated_lut(6))
    sensitivity = Sensitivity(quantized_resnet(), X)
    first = [sensitivity.divergence(name, made, default(made)) for name in ("fc", "stem.conv")]
    again = [sensitivity.divergence(name, made, default(made)) for name in ("stem.conv", "fc")]
    assert first == again[::-1]


def test_kl_divergence():
    exact, other = (torch.randn(7, 4, generator=torch.Generator().manual_seed(seed)) * 3 for seed in (0, 1))
    assert kl_divergence(exact, other) == pytest.approx(divergence(exact.numpy(), other.numpy()))
    assert kl_divergence(exact, other) != pytest.approx(kl_divergence(other, exact))
    assert kl_divergence(exact, exact) == 0 and kl_divergence(exact, exact + 5) == pytest.approx(0, abs=1e-9)
    certain = torch.tensor([[1e4, 0.0]])
    assert kl_divergence(certain, certain.flip(1)) == pytest.approx(1e4)


def test_screen_keeps_what_fewer_than_two_beat():
    costs = {"best": 1.0, "second": 2.0, "third": 3.0, "cheap": 9.0, "twin": 9.0}
    energies = {"best": 5.0, "second": 6.0, "third": 7.0, "cheap": 1.0, "twin": 1.0}
    assert screen(costs, energies) == ["best", "second", "cheap", "twin"]
    assert screen(costs, energies, keep=1) == ["best"]
