"""What works in place in the user's model: whoever holds the tensor sees the change, on integers too."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.conversion.quantize import ModelError, quantize
from tests.agn_hw.networks import images
from tests.agn_hw.nn.integer_network import integer_network
from tests.agn_hw.nn.small_networks import seeded

X = images(16)


class InPlace(nn.Module):
    """What works in place is seen by all who hold the tensor."""

    def __init__(self, step) -> None:
        super().__init__()
        self.conv, self.act, self.act6 = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.ReLU6(inplace=True)
        self.fc = nn.Conv2d(4, 3, 1)
        self.step = step

    def forward(self, x):
        return self.fc(self.step(self, self.conv(x)))


def iadd(net, x):
    y = x
    x += torch.relu(x)
    return y


def alias(net, x):
    y = x
    net.act(x)
    return y


IN_PLACE = {
    "result used": lambda net, x: net.act(x),
    "result and tensor used": lambda net, x: net.act(x) + x,
    "tensor used, first": lambda net, x: x + net.act(x),
    "tensor used twice": lambda net, x: (net.act(x), x + x)[1],
    "result not used": alias,
    "function": lambda net, x: (F.relu(x, inplace=True), x)[1],
    "function and tensor": lambda net, x: F.relu(x, inplace=True) + x,
    "method": lambda net, x: (x.relu_(), x)[1],
    "method and tensor": lambda net, x: x.mul_(2.0) + x,
    "sum before": lambda net, x: (lambda y: y + net.act6(x) + x)(x * 1.0),
}


@pytest.mark.parametrize("step", IN_PLACE.values(), ids=IN_PLACE)
def test_in_place(step):
    model = seeded(lambda: InPlace(step))
    network = quantize(model, [X])
    with torch.no_grad():
        expected, found = model(X), network(X)
    assert (found - expected).std() < 0.03 * expected.std()
    assert torch.equal(found[:3], integer_network(network, X[:3])[0])


def test_a_change_in_place_that_tracing_does_not_see_is_refused():
    with pytest.raises(ModelError, match=r"x \+= y"):
        quantize(seeded(lambda: InPlace(iadd)), [X])


def test_the_users_images_are_left_alone():
    x = X.clone()
    quantize(seeded(lambda: nn.Sequential(nn.ReLU(inplace=True), InPlace(lambda net, x: x.mul_(2)))), [x - 0.5, x])
    quantize(seeded(Normalising), [x])
    assert torch.equal(x, X)


class Normalising(nn.Conv2d):
    """Works on what it is given."""

    def __init__(self) -> None:
        super().__init__(3, 4, 3)

    def forward(self, x):
        return super().forward(x.sub_(0.5).div_(0.25))
