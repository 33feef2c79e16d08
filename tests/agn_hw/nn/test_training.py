"""Gradients of whole table networks."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.conversion.approximate import approximate
from agn_hw.nn.coded import scales
from agn_hw.nn.layers import table_layers
from tests.agn_hw.networks import images, labels, quantized_resnet, small_resnet
from tests.agn_hw.tables import exact_lut, multiplier, truncated_lut

X = images(48, seed=6)
LABELS = (labels(X) + 1) % 5  # not what the network has learned


def loss(model: nn.Module) -> torch.Tensor:
    return F.cross_entropy(model(X), LABELS)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return quantized_resnet()


@pytest.mark.parametrize("dropped", [0, 4])
def test_every_parameter_gets_a_finite_gradient(model, dropped):
    network = approximate(model, multiplier(truncated_lut(dropped)))
    loss(network).backward()
    resting = {id(scale) for scale in scales(network)}
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        assert parameter.requires_grad == (id(parameter) not in resting), name
        assert gradient is None or (gradient.isfinite().all() and gradient.abs().max() > 0), name
        assert (gradient is None) == (id(parameter) in resting), name


def test_gradients_of_the_exact_table_are_those_of_the_exact_product(model):
    """The same codes, hence the same straight-through gradients up to the rounding of biases."""
    gradients = []
    for network in (approximate(model, {}), approximate(model, multiplier(exact_lut()))):
        loss(network).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.requires_grad]))
    assert F.cosine_similarity(*gradients, dim=0) > 0.99


def test_gradients_point_where_the_float_networks_do(model):
    real = small_resnet()
    F.cross_entropy(real(X), LABELS).backward()
    network = approximate(model, {})
    loss(network).backward()
    found, expected = table_layers(network)["fc"], real.fc
    assert F.cosine_similarity(found.weight.grad.flatten(), expected.weight.grad.flatten(), dim=0) > 0.98
    assert F.cosine_similarity(found.bias.grad, expected.bias.grad, dim=0) > 0.98


def test_training_through_tables_lowers_the_loss(model):
    network = approximate(model, multiplier(truncated_lut(5))).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.02, 0.9)
    before = float(loss(network).detach())
    for _ in range(25):
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()
    with torch.no_grad():
        assert float(loss(network)) < 0.5 * before


def test_changed_weights_are_used_at_once(model):
    """What layers keep of their weights does not outlive a change in place."""
    network = approximate(model, multiplier(truncated_lut(4)))
    with torch.inference_mode():
        before = network(X)
        network.get_submodule("fc").weight.neg_()
        changed = network(X)
        network.get_submodule("fc").weight.neg_()
        assert not torch.equal(changed, before) and torch.equal(network(X), before)
