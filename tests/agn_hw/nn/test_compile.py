"""torch.compile of whole converted networks: one graph, the same bits, the same gradients."""

import pytest
import torch
from torch import nn

from agn_hw.nn.coded import learn_steps
from tests.agn_hw.nn.small_networks import NETWORKS, inputs, quantized
from tests.agn_hw.nn.test_network import with_random_tables

BACKEND = "aot_eager"
QUICK = ("affine squeeze of 6 bits",)
pytestmark = pytest.mark.filterwarnings(  # torch's own, about how it traces every autograd function
    "ignore:.*Function'> should not be instantiated:DeprecationWarning")


@pytest.fixture(autouse=True)
def forget():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def step(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The output and the gradients of all parameters."""
    model.zero_grad()
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    return y.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def compare(network: nn.Module, x: torch.Tensor, backend: str = BACKEND) -> None:
    """Without and with gradients, bit for bit."""
    compiled = torch.compile(network, fullgraph=True, backend=backend)
    with torch.no_grad():
        assert torch.equal(compiled(x), network(x))
    network.train()
    expected, gradients = step(network, x)
    found, compiled_gradients = step(compiled, x)
    assert torch.equal(found, expected)
    assert len(gradients) == len(compiled_gradients) > 3
    for name, gradient in gradients.items():
        room = 1e-5 * float(gradient.abs().max())
        torch.testing.assert_close(compiled_gradients["_orig_mod." + name], gradient, rtol=1e-5, atol=room)


@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NETWORKS])
def test_one_graph_and_the_same_bits(name, tables):
    network = quantized(name)
    if tables:
        network = with_random_tables(network, True)
    compare(network, inputs(name, 3))


@pytest.mark.slow
@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize("name", ["resnet", "affine squeeze of 6 bits"])
def test_learned_steps(name, tables):
    network = quantized(name)
    if tables:
        network = with_random_tables(network, False)
    learn_steps(network)
    compare(network, inputs(name, 3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules, when inductor is first loaded
@pytest.mark.parametrize("tables", [False, True])
def test_inductor(tables):
    network = quantized("squeeze")
    if tables:
        network = with_random_tables(network, True)
    compare(network, inputs("squeeze", 3), "inductor")
