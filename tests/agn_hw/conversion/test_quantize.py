"""From float to integers: structure and accuracy of the conversion, and what it leaves alone."""

import copy
import operator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import agn_hw
from agn_hw.conversion.quantize import quantize, skeleton
from agn_hw.nn.coded import scales
from agn_hw.nn.layers import table_layers
from tests.agn_hw.networks import images, labels, quantized_resnet, small_resnet


class Functional(nn.Module):
    """One of each: a bias, no BatchNorm, functional ReLU, a pool, a Sequential, sums, dropout, view."""

    def __init__(self, add=torch.add, flatten=lambda x: torch.flatten(x, 1)) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.left = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.right = nn.Conv2d(6, 6, (1, 3), padding=(0, 1), bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.gap = nn.AdaptiveAvgPool2d((1, 1))
        self.head = nn.Sequential(nn.Identity(), nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 4))
        self.add, self.flatten = add, flatten

    def forward(self, x):
        x = self.first(x)
        left = F.relu(self.left(x))
        right = self.norm(self.right(x))
        x = torch.relu(self.add(left, right))
        return self.head(self.flatten(self.gap(x)))


def seeded(build, *arguments, **keywords):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*arguments, **keywords).eval()


@torch.no_grad()
def error(model: nn.Module, x: torch.Tensor) -> float:
    """Largest difference of the quantised logits, over the range of the float ones."""
    expected = model(x)
    return float((quantize(model, [x])(x) - expected).abs().max() / (expected.max() - expected.min()))


def test_small_resnet_keeps_its_logits_and_accuracy():
    model, x = small_resnet(), images(300, seed=7)
    network = quantized_resnet()
    with torch.no_grad():
        expected, found = model(x), network(x)
    assert (found - expected).std() < 0.1 * expected.std()
    right = [float((logits.argmax(1) == labels(x)).double().mean()) for logits in (expected, found)]
    assert right[0] > 0.7 and abs(right[1] - right[0]) < 0.03


@pytest.mark.parametrize("add", [torch.add, operator.add, operator.iadd, lambda left, right: left + right])
@pytest.mark.parametrize("flatten", [
    lambda x: torch.flatten(x, 1), lambda x: x.flatten(1), lambda x: x.view(-1, 6), lambda x: x.reshape(-1, 6),
    lambda x: x.view(x.size(0), -1), lambda x: x.reshape(x.shape[0], -1), lambda x: x[:, :, 0, 0],
])
def test_unusual_but_legal(add, flatten):
    assert error(seeded(Functional, add, flatten), images(32)) < 0.08


def test_the_same_branch_twice():
    class Twice(Functional):
        def forward(self, x):
            x = self.first(x)
            return self.head(torch.flatten(self.gap(x + x), 1))

    assert error(seeded(Twice), images(32)) < 0.08


def test_one_pool_used_twice():
    class Pools(Functional):
        def forward(self, x):
            x = self.first[2](self.first(x))
            return self.head(torch.flatten(self.gap(x), 1))

    assert error(seeded(Pools), images(32)) < 0.08


def test_one_layer_is_a_network():
    assert error(seeded(nn.Sequential, nn.Flatten(), nn.Linear(12, 3)), images(32, 3, 2)) < 0.03


@pytest.mark.parametrize("training", [True, False])
def test_model_and_random_state_are_left_alone(training):
    model = seeded(Functional).train(training)
    model.norm.eval()
    model.right.weight.requires_grad_(False)
    model.right.weight.grad = torch.ones_like(model.right.weight)
    model.head.register_forward_hook(lambda *_: None)
    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    tensors = {name: id(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    modules = [(id(module), module.training, len(module._forward_hooks)) for module in model.modules()]
    network = quantize(model, [images(4)])
    F.cross_entropy(network(images(4)), torch.zeros(4, dtype=torch.int64)).backward()
    after = model.state_dict()
    assert list(before) == list(after) and all(torch.equal(before[name], after[name]) for name in before)
    assert modules == [(id(module), module.training, len(module._forward_hooks)) for module in model.modules()]
    assert tensors == {name: id(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    assert not model.right.weight.requires_grad and (model.right.weight.grad == 1).all()
    assert model.left.weight.grad is None and torch.equal(torch.get_rng_state(), random_state)
    assert isinstance(model.head[2], nn.Dropout)


def test_training_mode_changes_nothing():
    """No BatchNorm and no dropout are left to make a difference."""
    network = quantize(seeded(Functional), [images(8)])
    assert not network.training
    assert torch.equal(network(images(8)), network.train()(images(8)))


def test_batch_norm_is_folded():
    model, folded = small_resnet(), table_layers(skeleton(small_resnet()))
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    expected = model.stage2.bn1(model.stage2.conv1(x))
    layer = folded["stage2.conv1"]
    torch.testing.assert_close(F.conv2d(x, layer.weight, layer.bias, 2, 1), expected, rtol=1e-4, atol=1e-5)


def test_batches_alone_in_tuples_and_from_a_loader():
    model = small_resnet()
    x = images(8)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(8)), batch_size=3)
    expected = agn_hw.quantize(model, [x])(x)
    for batches in ([x[:5], x[5:]], [(x, None)], loader, iter([x])):
        assert torch.equal(agn_hw.quantize(model, batches)(x), expected)


def test_batches_of_one_image_see_the_same_scales():
    """Up to the last bits of float32: torch convolves one image in another order."""
    model, x = small_resnet(), images(8)
    together, alone = (scales(quantize(model, batches)) for batches in ([x], [[x[:1]], [x[1:]]]))
    assert len(together) == len(alone) > 20
    for expected, found in zip(together, alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_copies_are_independent():
    network = quantized_resnet()
    twin = copy.deepcopy(network)
    expected = network(images(6))
    assert torch.equal(twin(images(6)), expected)
    with torch.no_grad():
        for layer in table_layers(twin).values():
            layer.weight.zero_()
        for scale in scales(twin):
            scale.mul_(2)
    assert torch.equal(network(images(6)), expected) and not torch.equal(twin(images(6)), expected)
