"""Whole quantised networks on a device: the processor's bits, training, graphs, compilers, autocast."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.conversion.quantize import quantize
from agn_hw.mapping import WEIGHTS
from agn_hw.nn.coded import learn_steps
from agn_hw.nn.gradients import gradient_factors
from agn_hw.nn.layers import table_layers
from agn_hw.zoo import models
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.nn.small_networks import NETWORKS, inputs, quantized

PLAIN, TRUNCATED, RANDOM = "no table", "truncated", "random"
KINDS = (PLAIN, TRUNCATED, RANDOM)


@pytest.fixture(autouse=True)
def forget():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def with_tables(network: nn.Module, kind: str, gradient: str = "ste") -> nn.Module:
    """A copy whose layers have tables near the product: of low rank, or without structure."""
    made = copy.deepcopy(network)
    if kind == PLAIN:
        return made
    for number, layer in enumerate(table_layers(made).values()):
        product = np.outer(layer.in_codes[0].of_bytes(), WEIGHTS)
        noise = np.random.default_rng(number).integers(-900, 900, (256, 256))
        table = (product + noise if kind == RANDOM else product & ~15).astype(np.int32)
        layer.set_table(table, 1.0, gradient_factors(gradient, table, layer.in_codes[0], layer.largest_weight))
    return made


def step(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The loss, with gradients left behind."""
    loss = F.cross_entropy(network(x), torch.arange(len(x), device=x.device) % 5)
    loss.backward()
    return loss.detach()


def slopes(network: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: p.grad.detach().cpu() for name, p in network.named_parameters() if p.grad is not None}
    assert len(found) > 3
    return found


def check_slopes(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], room: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        atol = room * max(float(value.abs().max()), 1e-9)
        named = {"msg": lambda text, name=name: f"{name}: {text}"}
        torch.testing.assert_close(found[name].double(), value.double(), rtol=room, atol=atol, **named)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_resnet8_has_the_processors_bits(device, kind, mode):
    network = with_tables(quantized_resnet(), kind)
    x = images(40, seed=9)
    there = copy.deepcopy(network).to(device)
    with mode():
        for _ in range(4):  # tables are looked at again once they stay
            assert torch.equal(there(x.to(device)).cpu(), network(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_small_network_has_the_processors_bits(device, name, kind):
    network = with_tables(quantized(name), kind)
    x = inputs(name, 5)
    with torch.no_grad():
        expected, found = network(x), copy.deepcopy(network).to(device)(x.to(device)).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 if _whole(network) else float(expected.std()))
    if _whole(network):
        assert torch.equal(found, expected)


def _whole(network: nn.Module) -> bool:
    """Whether nothing of it stays in float, where a device may round otherwise."""
    from agn_hw.conversion.float_parts import kept_exact

    return not kept_exact(network)


@pytest.mark.parametrize("name", ["resnet20", "mobilenetv2"])
def test_networks_of_the_zoo_have_the_processors_bits(device, name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.build(name, 3, 5).train()
    x = images(6, side=16)
    with torch.no_grad():
        for _ in range(5):
            model(x)
        network = with_tables(quantize(model, [x]), RANDOM)
        assert torch.equal(copy.deepcopy(network).to(device)(x.to(device)).cpu(), network(x))


@pytest.mark.parametrize("gradient", ["ste", "smoothed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_step_is_close_to_the_processors(device, kind, gradient):
    if kind == PLAIN and gradient != "ste":
        return
    network = with_tables(quantized_resnet(), kind, gradient).train()
    learn_steps(network)
    there = copy.deepcopy(network).to(device)
    x = images(20, seed=3)
    expected, found = step(network, x), step(there, x.to(device))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-5, atol=1e-6)
    check_slopes(slopes(there), slopes(network), 1e-2)


def test_training_learns(device):
    """Loss of a few steps of SGD on one batch, all on the device."""
    network = with_tables(quantized_resnet(), RANDOM).train().to(device)
    x = images(40, seed=3).to(device)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.02, momentum=0.9)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        losses.append(float(step(network, x)))
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_waits(device, kind):
    """Neither inference nor a training step, once tables have been seen."""
    network = with_tables(quantized_resnet(), kind).to(device)
    x, labels = images(20).to(device), torch.arange(20, device=device) % 5
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1e-4)

    def train() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network.train()(x), labels).backward()
        optimizer.step()

    for _ in range(4):
        train()
        with torch.no_grad():
            network.eval()(x)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train()
        with torch.no_grad():
            network.eval()(x)
            network(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", KINDS)
def test_inference_in_a_cuda_graph(device, kind):
    network = with_tables(quantized_resnet(), kind)
    there, given = copy.deepcopy(network).to(device), images(20).to(device)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(4):
                there(given)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            y = there(given)
        for seed in (5, 6):
            x = images(20, seed=seed)
            given.copy_(x)
            graph.replay()
            assert torch.equal(y.cpu(), network(x))


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_changes_nothing(device, kind):
    network = with_tables(quantized_resnet(), kind).to(device)
    x = images(20).to(device)
    with torch.no_grad():
        expected = network(x)
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cuda", dtype):
                assert torch.equal(network(x).float(), expected)
    with torch.autocast("cuda", torch.bfloat16):
        loss = F.cross_entropy(network.train()(x), torch.arange(20, device=device) % 5)
    loss.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("kind, backend", [*((kind, "aot_eager") for kind in KINDS), (TRUNCATED, "inductor")])
def test_compiled(device, kind, backend):
    """One graph. aot_eager: the same bits; inductor may contract a product and a sum of torch's own."""
    network = with_tables(quantized_resnet(), kind).to(device)
    x = images(20).to(device)
    compiled = torch.compile(network, fullgraph=True, backend=backend)
    with torch.no_grad():
        expected, found = network(x), compiled(x)
    if backend == "aot_eager":
        assert torch.equal(found, expected)
    else:
        assert float((found - expected).abs().max()) <= 0.1 * float(expected.std())
    network.train()
    losses, gradients = [], []
    for call in (network, compiled):
        network.zero_grad()
        losses.append(step(call, x))
        gradients.append(slopes(network))
    room = 1e-4 if backend == "aot_eager" else 0.1
    torch.testing.assert_close(losses[1], losses[0], rtol=room, atol=room)
    check_slopes(gradients[1], gradients[0], room)


def test_moved_there_and_back(device):
    """What layers keep goes with the device."""
    network = with_tables(quantized_resnet(), RANDOM)
    x = images(10)
    with torch.no_grad():
        expected = network(x)
        for where in (device, torch.device("cpu"), device):
            network.to(where)
            assert torch.equal(network(x.to(where)).cpu(), expected)
        for layer in table_layers(network).values():
            layer.lut += 3
        assert torch.equal(network(x.to(device)).cpu(), network.to("cpu")(x))


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"foreach": True}])
def test_optimisers_are_noticed(device, options):
    """Whether torch counts their changes or not: evaluation after a step is that of a fresh copy."""
    network = with_tables(quantized_resnet(), RANDOM).to(device)
    x = images(20).to(device)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.5, **options)
    with torch.no_grad():
        before = network.eval()(x)
    step(network.train(), x)
    optimizer.step()
    with torch.no_grad():
        after = network.eval()(x)
        assert torch.equal(after, copy.deepcopy(network)(x)) and not torch.equal(after, before)


def test_a_model_on_the_device_is_quantised(device):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.build("resnet8", 3, 5).eval()
    x = images(6, side=16)
    expected = quantize(model, [x])
    found = quantize(model.to(device), [x.to(device)])
    assert {tensor.device for tensor in found.state_dict().values() if torch.is_tensor(tensor)} == {device}
    with torch.no_grad():
        assert torch.equal(found(x.to(device)).cpu(), expected(x))


def test_a_saved_state_is_loaded_where_the_network_is(device):
    network = with_tables(quantized_resnet(), TRUNCATED)
    there = copy.deepcopy(quantized_resnet()).to(device)
    there.load_state_dict(network.state_dict())
    x = images(10)
    with torch.no_grad():
        assert torch.equal(there(x.to(device)).cpu(), network(x))


def test_whole_steps_inside_autocast(device):
    """Backward too, with gradients by tables: they are computed in whole precision all the same."""
    network = with_tables(quantized_resnet(), RANDOM, "smoothed").train().to(device)
    other, x = copy.deepcopy(network), images(20).to(device)
    step(network, x)
    with torch.autocast("cuda", torch.bfloat16):
        step(other, x)
    check_slopes(slopes(other), slopes(network), 1e-3)
