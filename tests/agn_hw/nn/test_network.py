"""Whole quantised networks, bit for bit: against integers one product after another, and in their fake-quant form."""

import copy

import numpy as np
import pytest
import torch
from torch import fx, nn

from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.quantize import quantize
from agn_hw.mapping import WEIGHTS, Mapping
from agn_hw.nn.coded import Coded, learn_steps
from agn_hw.nn.compensation import exact_moments, reestimate
from agn_hw.nn.layers import table_layers
from agn_hw.zoo.models import BasicBlock, Stem
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.nn.fake_quant_network import fake_quant_network
from tests.agn_hw.nn.integer_network import integer_network
from tests.agn_hw.nn.small_networks import NETWORKS, inputs, quantized
from tests.agn_hw.tables import multiplier, random_lut

NAMES = ["stem.conv", "stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.conv2", "stage2.shortcut",
         "stage3.conv1", "stage3.conv2", "stage3.shortcut", "fc"]


def codes_of(network: fx.GraphModule, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """The network's output, and the codes of each of its modules by name."""
    seen: dict[str, np.ndarray] = {}
    hooks = [
        module.register_forward_hook(lambda _, args, y, name=name: seen.update({name: y.detach().double().numpy()}))
        for name, module in network.named_modules()
        if isinstance(module, Coded) and hasattr(module, "out_scale")
    ]
    try:
        return network(x).detach(), seen
    finally:
        for hook in hooks:
            hook.remove()


def check(network: fx.GraphModule, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Compares output and all edges, in all modes; gives the edges."""
    expected, edges = integer_network(network, x)
    for mode in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with mode:
            found, codes = codes_of(network, x)
            assert torch.equal(found, expected) and found.dtype == torch.float32
            assert set(codes) <= set(edges)
            assert all(np.array_equal(edges[name], y) for name, y in codes.items())
    return edges


def alive(edges: dict[str, np.ndarray]) -> bool:
    """Whether the edges carry numbers, not only zeros and limits."""
    return all(len(np.unique(codes)) >= min(3, codes.size) for codes in edges.values())


def made_up() -> tuple:
    """A table without structure around the product, not commutative, zero operands included, and its mapping."""
    noisy = np.outer(np.arange(256), np.arange(256)) + random_lut(1, 3000)
    codes = np.random.default_rng(2).permutation(256).astype(np.uint8)
    near = np.clip(2 * np.abs(WEIGHTS) + codes % 3, 0, 255).astype(np.uint8)
    return multiplier(noisy), Mapping("sign_magnitude", "b", np.arange(256, dtype=np.uint8), near, WEIGHTS < 0, 1.9)


def with_random_tables(network: fx.GraphModule, compensated: bool) -> fx.GraphModule:
    """A copy with another random folded table in each layer: the exact product 1.9 times, and noise everywhere."""
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(3)
    for seed, layer in enumerate(table_layers(network).values()):
        codes = layer.in_codes[0]
        noise = random_lut(seed, 4 * codes.largest * layer.largest_weight // 10 + 3)
        layer.set_table((1.9 * np.outer(codes.of_bytes(), WEIGHTS)).astype(np.int32) + noise.astype(np.int32), 1.9)
        if compensated:
            layer.channel_gain = 0.5 + torch.rand(len(layer.bias), generator=generator).double()
            layer.channel_offset = 200 * torch.randn(len(layer.bias), generator=generator).double()
    return network


@pytest.fixture(scope="module")
def model() -> fx.GraphModule:
    return quantized_resnet()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> tuple[str, fx.GraphModule]:
    return request.param, quantized(request.param)


def test_names(model):
    assert list(table_layers(model)) == NAMES


def test_exact_products_in_every_network(network):
    name, quantized_network = network
    assert alive(check(quantized_network, inputs(name, 3, seed=5)))


@pytest.mark.parametrize("compensated", [False, True])
def test_random_tables_in_every_network(network, compensated):
    name, exact = network
    x = inputs(name, 2, seed=6)
    approximated = with_random_tables(exact, compensated)
    check(approximated, x)
    assert not torch.equal(approximated(x), exact(x))


def test_fake_quant_form_of_every_network(network):
    name, exact = network
    x = inputs(name, 4, seed=7)
    expected, edges = fake_quant_network(exact, x)
    found, codes = codes_of(exact, x)
    assert set(codes) == set(edges) and all(np.array_equal(edges[key], y) for key, y in codes.items())
    assert torch.equal(found, expected)


@pytest.mark.parametrize("tables", [False, True])
def test_learned_steps_change_no_code(network, tables):
    name, exact = network
    x = inputs(name, 3, seed=8)
    learning = with_random_tables(exact, True) if tables else copy.deepcopy(exact)
    expected = learning(x)
    learn_steps(learning)
    assert torch.equal(learning(x), expected)


def test_one_image(model):
    check(model, images(1, seed=4))


def test_precision_of_the_surroundings_does_not_matter(model):
    x = images(5, seed=3)
    expected = model(x)
    assert torch.equal(model(x.double()), expected)
    for network in (model, approximate(model, dict.fromkeys(NAMES, made_up()))):
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(x), expected)
            with torch.no_grad():
                assert torch.equal(network(x), expected)


def test_random_table_in_every_layer(model):
    network = approximate(model, dict.fromkeys(NAMES, made_up()))
    edges = check(network, images(5, seed=3))
    assert all(len(np.unique(edges[f"stage{n}.conv1"])) > 30 for n in (1, 2, 3))
    assert not torch.equal(network(images(5, seed=3)), model(images(5, seed=3)))


class Pooled(nn.Module):
    """The first part of ResNet-18, narrow: 7x7 stem with stride 2, max pool, a block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_pool = Stem(3, 6, kernel=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        self.stage1 = BasicBlock(6, 6, stride=1)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage1(self.stem_pool(self.stem(x)))
        return self.fc(torch.flatten(self.pool(x), 1))


def test_max_pool_on_codes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        source = Pooled()
    x = images(8, side=19)
    with torch.no_grad():
        source(x)  # BatchNorm's statistics
    network = quantize(source, [x])
    assert len(np.unique(check(network, x)["stem_pool"])) > 30
    check(approximate(network, dict.fromkeys(table_layers(network), made_up())), x)


def test_different_tables_with_compensation(model):
    chosen = {name: made_up() for name in NAMES[::2]} | {"stage2.conv1": multiplier(random_lut(3, 50000))}
    network = approximate(model, chosen)
    reestimate(network, [images(12)], exact_moments(model, [images(12)]))
    assert any((part.channel_gain != 1).any() for part in table_layers(network).values())
    check(network, images(5, seed=3))
