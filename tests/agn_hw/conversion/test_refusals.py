"""What stays in float is named; what cannot be quantised at all is refused; what once was refused works."""

import pytest
import torch
from torch import fx, nn

from agn_hw.conversion.quantize import ModelError, kept_exact, quantize
from agn_hw.nn.layers import table_layers
from lut_gen.errors import AgnError
from tests.agn_hw.networks import images, small_resnet
from tests.agn_hw.nn.integer_network import integer_network
from tests.agn_hw.nn.small_networks import randomise, signed_images


class Odd(nn.Module):
    """A convolution, some step, and a linear layer."""

    def __init__(self, step, *modules, wide: int = 3 * 64) -> None:
        super().__init__()
        self.conv, self.other, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.Linear(wide, 2)
        self.extra = nn.ModuleList(modules)
        self.step = step

    def forward(self, x):
        return self.fc(torch.flatten(self.step(self, x), 1))


def relu(net, x):
    return torch.relu(net.conv(x))


def chain(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(*modules)


WORKING = {
    "module": (lambda: Odd(lambda net, x: net.extra[0](net.conv(x)), nn.Sigmoid()), []),
    "function": (lambda: Odd(lambda net, x: torch.sigmoid(net.conv(x))), []),
    "constant": (lambda: Odd(lambda net, x: relu(net, x) + 1), ["add"]),
    "weighted sum": (lambda: Odd(lambda net, x: torch.add(relu(net, x), x, alpha=2)), ["add"]),
    "named sum": (lambda: Odd(lambda net, x: torch.add(input=relu(net, x), other=x)), ["add"]),
    "sum with what enters": (lambda: Odd(lambda net, x: relu(net, x) + x), []),
    "product": (lambda: Odd(lambda net, x: relu(net, x) * x), []),
    "signed layer input": (lambda: Odd(lambda net, x: torch.relu(net.other(net.conv(x)))), []),
    "signed linear input": (lambda: Odd(lambda net, x: net.conv(x)), []),
    "signed sum": (lambda: Odd(lambda net, x: net.conv(x) + x), []),
    "signed average": (lambda: chain(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), []),
    "ReLU on what enters": (lambda: Odd(lambda net, x: torch.relu(x)), ["relu"]),
    "shared before ReLU": (lambda: Odd(lambda net, x: (lambda y: torch.relu(y) + y)(net.conv(x))), []),
    "lonely BatchNorm": (lambda: Odd(lambda net, x: net.extra[0](relu(net, x)), nn.BatchNorm2d(3)), ["extra.0"]),
    "shared before BatchNorm": (
        lambda: Odd(lambda net, x: (lambda y: torch.relu(net.extra[0](y) + y))(net.conv(x)), nn.BatchNorm2d(3)),
        ["extra.0"]),
    "layer used twice": (lambda: Odd(lambda net, x: torch.relu(net.conv(relu(net, x)))), []),
    "padding": (lambda: chain(nn.Conv2d(3, 3, 3, padding="same"), nn.Flatten()), []),
    "pool with indices": (
        lambda: Odd(lambda net, x: net.extra[0](relu(net, x))[0], nn.MaxPool2d(2, return_indices=True), wide=48),
        ["extra.0"]),
    "average to 2x2": (lambda: chain(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)), None),
    "ends in flatten": (lambda: chain(nn.Conv2d(3, 3, 3), nn.Flatten()), []),
    "ends in a ReLU": (lambda: chain(nn.Flatten(), nn.Linear(192, 2), nn.ReLU()), []),
    "ends in a ReLU6": (lambda: chain(nn.Flatten(), nn.Linear(192, 2), nn.ReLU6()), []),
    "ends in a sum": (lambda: _Ends(), []),
    "linear on rows": (lambda: chain(nn.Linear(8, 8)), []),
}
"""name -> what was refused by earlier versions (as a builder), and what stays in float (None: not looked at)."""


class _Ends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.left(x) + self.right(x)


@pytest.mark.parametrize("build, in_float", WORKING.values(), ids=WORKING)
@pytest.mark.parametrize("signed", [False, True])
def test_what_was_refused_before_works(build, in_float, signed):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = randomise(build())
    x = signed_images(32) if signed else images(32)
    network = quantize(model, [x])
    with torch.no_grad():
        expected, found = model(x), network(x)
    assert found.shape == expected.shape
    assert (found - expected).std() < 0.03 * expected.std()
    assert torch.equal(found[:4], integer_network(network, x[:4])[0])
    if in_float is not None:
        assert list(kept_exact(network)) == in_float
    assert len(table_layers(network)) >= sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in _used(model))


def _used(model: nn.Module) -> list[nn.Module]:
    traced = fx.symbolic_trace(model)
    return [traced.get_submodule(str(node.target)) for node in traced.graph.nodes if node.op == "call_module"]


def test_no_batch_is_an_error():
    with pytest.raises(AgnError, match="at least one batch"):
        quantize(small_resnet(), [])


@pytest.mark.parametrize("loader, came", [
    (images(4), "Tensor came"), (3, "int came"), ([3], "int came"), ([images(4).long()], "int64"),
    ([images(4)[:0]], r"\[0, 3, 8, 8\]"), ([None], "NoneType")])
def test_batches_that_are_none(loader, came):
    with pytest.raises(ModelError, match=came) as caught:
        quantize(small_resnet(), loader)
    assert "[images]" in str(caught.value)


def test_images_that_the_model_does_not_take():
    with pytest.raises(ModelError, match=r"\[4, 2, 8, 8\]") as caught:
        quantize(small_resnet(), [images(4, channels=2)])
    assert "to mend" in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_inputs_that_are_not_finite(value):
    x = images(4)
    x[1, 1, 1, 1] = value
    with pytest.raises(ModelError, match="finite numbers") as caught:
        quantize(small_resnet(), [x])
    assert "input_codes" in str(caught.value)


def test_nothing_to_quantise():
    for model in (nn.Sequential(nn.Flatten(), nn.ReLU()), nn.ReLU()):
        with pytest.raises(ModelError, match="no convolution or linear layer"):
            quantize(model, [images(4)])


@pytest.mark.parametrize("condition", [
    lambda x: x.sum() > 0, lambda x: bool((x > 2).any()), lambda x: x.abs().max() * x.shape[0] > 1])
def test_control_flow_on_values_in_the_model_itself(condition):
    """Other images might go the other way."""
    model = Odd(lambda net, x: net.conv(x) if condition(x) else -x)
    with pytest.raises(ModelError, match=r"'Odd'.*trace"):
        quantize(model, [images(4)])


@pytest.mark.parametrize("condition", [
    lambda x: x.shape[2] > 4, lambda x: x.dim() == 4, lambda x: x.size(0) * x.ndim > 3, lambda x: x.shape[-2:] != (7, 7)
])
def test_control_flow_on_shapes_is_decided_by_the_example(condition):
    model = Odd(lambda net, x: net.conv(x) if condition(x) else -x)
    assert list(table_layers(quantize(model, [images(4)]))) == ["conv", "fc"]


def test_a_second_input_is_refused():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 2)

        def forward(self, x, y):
            return self.fc(x + y)

    with pytest.raises(ModelError, match="missing 1 required positional argument: 'y'"):
        quantize(Two(), [images(4)])


def test_a_random_forward_is_refused():
    model = Odd(lambda net, x: net.conv(x) + torch.randn(4, 3, 8, 8))
    with pytest.raises(ModelError, match="random"):
        quantize(model, [images(4)])
