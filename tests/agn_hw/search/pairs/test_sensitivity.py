"""The measured loss of one layer, against a network built from scratch."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.quantize import quantize
from agn_hw.mapping import default
from agn_hw.nn.compensation import exact_moments, match, moments
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.one_layer import of_accumulator
from agn_hw.search.pairs.sensitivity import Sensitivity, kl_divergence, screen
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


@torch.no_grad()
def plain(model, name: str, made, mapping) -> float:
    """The same in the plainest way: whole accumulators, the whole network, one thread."""
    network = copy.deepcopy(model)
    layer, exact = table_layers(network)[name], exact_moments(network, [X])[name]
    logits = network(X)
    codes = {}
    hook = layer.register_forward_hook(lambda _, inputs, output: codes.update(x=inputs[0]))
    network(X)
    hook.remove()
    layer.set_table(mapping.table8(made.lut), mapping.gain)
    match(layer, moments(layer, [layer.accumulate(codes["x"])]), exact)
    return kl_divergence(logits, network(X))


@pytest.mark.parametrize("threads", [1, 3])
def test_same_bits_as_the_plain_way(threads):
    model = quantized_resnet()
    pairs = [(name, made, default(made, *rest)) for name in table_layers(model) for made, *rest in MADE.values()]
    with torch_threads(threads):
        assert Sensitivity(model, X).divergences(pairs) == [plain(model, *pair) for pair in pairs]


SOURCES = nn.Linear(7, 5), nn.Conv2d(3, 1, 3), nn.Conv2d(2, 2, 3), nn.Conv1d(4, 7, 3)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_moments_of_few_channels_at_a_time(source):
    shape = {"Linear": (9, 7), "Conv1d": (9, 4, 11)}.get(type(source).__name__, (9, source.weight.shape[1], 6, 8))
    model = quantize(nn.Sequential(source).eval(), [torch.randn(20, *shape[1:])])
    (layer,) = table_layers(model).values()
    layer.set_table(random_lut(1, 4000).astype("int32"), 1.7)
    accumulator = layer.accumulate(torch.randint(-127, 128, shape).float())
    expected = moments(layer, [accumulator])
    found = of_accumulator(accumulator, layer.channel_axis, layer.gain)
    assert torch.equal(found.mean, expected.mean) and torch.equal(found.std, expected.std)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_network_and_threads_stay_as_they_were():
    model = quantized_resnet()
    before = copy.deepcopy(model.state_dict())
    logits = model(X)
    sensitivity = Sensitivity(model, X)
    made = multiplier(truncated_lut(6))
    impossible = multiplier(np.full((256, 256), 2**31 - 1))
    with torch_threads(2):
        sensitivity.divergence("stage1.conv1", made, default(made))
        with pytest.raises(RuntimeError, match="int32"):
            sensitivity.divergences([(name, impossible, default(impossible)) for name in table_layers(model)])
        assert torch.get_num_threads() == 2
    state = model.state_dict()
    assert state.keys() == before.keys()
    for name, value in state.items():
        assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]
    assert torch.equal(model(X), logits) and torch.equal(sensitivity.logits, logits)


def test_progress_is_told():
    made, model, told = multiplier(truncated_lut(6)), quantized_resnet(), []
    sensitivity = Sensitivity(model, X)
    pairs = [(name, made, default(made)) for name in ("fc", "stage3.conv2", "fc")]
    losses = sensitivity.divergences(pairs, lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)] and losses[0] == losses[2] != losses[1]
    assert sensitivity.divergences([]) == []


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
    assert screen(costs, energies, keep=1) == ["best", "cheap"]


def test_screen_keeps_the_first_of_equal_ones():
    same = {"a": 1.0, "b": 1.0, "c": 1.0}
    costs, energies = {**same, "d": 5.0}, {**same, "d": 9.0}
    assert screen(costs, energies, keep=1) == ["a"]
    assert screen(costs, energies) == ["a", "b"]
    assert screen(costs, energies, keep=4) == ["a", "b", "c", "d"]
    assert screen(dict(reversed(costs.items())), energies) == ["c", "b"]


def test_screen_keeps_every_point_of_the_front_once():
    """Whole figures from few, so that most are shared by three or more."""
    for seed in range(20):
        points = dict(enumerate(np.random.default_rng(seed).integers(0, 6, (60, 2)).tolist()))
        costs, energies = ({f"m{i}": float(point[axis]) for i, point in points.items()} for axis in (0, 1))
        every = {tuple(point) for point in points.values()}
        front = {one for one in every if not any(o != one and o[0] <= one[0] and o[1] <= one[1] for o in every)}
        kept = [(costs[name], energies[name]) for name in screen(costs, energies, keep=1)]
        assert len(kept) == len(front) and set(kept) == front
