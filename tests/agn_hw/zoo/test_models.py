"""The built-in networks: layer names, shapes, parameters, gradients, fx."""

import math

import pytest
import torch
from torch import nn

from agn_hw.zoo import models

LAYERS = ["stem.conv", "stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.conv2", "stage2.shortcut",
          "stage3.conv1", "stage3.conv2", "stage3.shortcut", "fc"]
OPTION_B = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64  # parameters of the two shortcuts, which option A does not have

PUBLISHED = {  # channels, classes, parameters, rounding
    "resnet20": (3, 10, 0.27e6 + OPTION_B, 0.005e6),  # He et al., table 6, which is with option A
    "resnet32": (3, 10, 0.46e6 + OPTION_B, 0.005e6),
    "resnet56": (3, 10, 0.85e6 + OPTION_B, 0.005e6),
    "resnet18": (3, 1000, 11.69e6, 0.005e6),  # the usual ResNet-18 for ImageNet
    "mobilenetv2": (3, 1000, 3.4e6, 0.11e6),  # Sandler et al., table 4; 3.50 million as everybody builds it
    "lenet5": (1, 10, 60_000, 2_000),  # LeCun et al., section II B; theirs connects fewer maps, ours has no RBF units
    "vgg16": (3, 10, 14.7e6, 0.05e6),  # the usual VGG-16 for CIFAR with one linear layer
}
BIASES = {"vgg16": 4224}  # of the convolutions before BatchNorm; the usual one has them
CONVOLUTIONS = {"vgg11": 8, "vgg16": 13, "alexnet": 5, "mobilenetv2": 52, "lenet5": 3, "resnet14": 15}


def layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def seeded(name: str, channels: int, classes: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.build(name, channels, classes)


def test_resnet8_has_ten_weight_layers():
    assert layers(models.build("resnet8", 3, 10)) == LAYERS


@pytest.mark.parametrize("channels, side, classes", [(1, 8, 10), (3, 24, 10), (3, 32, 7), (2, 5, 3)])
def test_resnet8_shapes(channels, side, classes):
    logits = models.build("resnet8", channels, classes).eval()(torch.rand(4, channels, side, side))
    assert logits.shape == (4, classes)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name):
    channels, classes, published, rounding = PUBLISHED[name]
    found = parameters(models.build(name, channels, classes)) + BIASES.get(name, 0)
    assert abs(found - published) < rounding


@pytest.mark.parametrize("name, channels, classes, count", [
    ("lenet5", 1, 10, 61_706), ("resnet20", 3, 10, 269_722 + OPTION_B), ("resnet32", 3, 10, 464_154 + OPTION_B),
    ("resnet56", 3, 10, 853_018 + OPTION_B), ("resnet18", 3, 1000, 11_689_512), ("mobilenetv2", 3, 1000, 3_504_872),
    ("vgg16", 3, 10, 14_728_266 - 4224)])
def test_parameters_are_exactly_those_of_the_usual_implementations(name, channels, classes, count):
    assert parameters(models.build(name, channels, classes)) == count


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_number_of_convolutions(name):
    model = models.build(name, 3, 10)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == CONVOLUTIONS[name]


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize("channels, classes", [(1, 7), (3, 10)])
def test_shape_gradient_and_smallest_image(name, channels, classes):
    """The smallest image it takes, plus a bit: logits of the right shape, a gradient for every parameter."""
    side = models.SMALLEST.get(name, 4)
    model = seeded(name, channels, classes)
    x = torch.rand(2, channels, side, side + 3, generator=torch.Generator().manual_seed(1))
    logits = model(x)
    assert logits.shape == (2, classes)
    (logits - torch.rand(2, classes, generator=torch.Generator().manual_seed(2))).square().sum().backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), label
    assert next(iter(model.parameters())).grad.abs().max() > 0


@pytest.mark.parametrize("name", models.SMALLEST)
def test_smaller_images_are_refused(name):
    side = models.SMALLEST[name]
    with pytest.raises(RuntimeError):
        models.build(name, 3, 10).eval()(torch.rand(2, 3, side - 1, side - 1))
    models.check_side(name, side)
    with pytest.raises(models.ModelError, match=f"images of {side} x {side} or more for {name}"):
        models.check_side(name, side - 1)
    models.check_side("resnet8", 4)


def test_depthwise_convolutions_of_mobilenet():
    model = models.build("mobilenetv2", 3, 10)
    depthwise = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert len(depthwise) == 17
    assert all(module.groups == module.in_channels == module.out_channels for module in depthwise)
    assert sum(isinstance(module, nn.ReLU6) for module in model.modules()) == 35  # none after a projection
    assert sum(block.adds for block in model.modules() if hasattr(block, "adds")) == 10


@pytest.mark.parametrize("name, weight, shape", [
    ("mobilenetv2", "stages.stage7", (4, 4)), ("vgg16", "features.stage4", (2, 2)), ("alexnet", "pool2", (3, 3)),
    ("lenet5", "conv3", (2, 2))])
def test_sizes_inside_for_cifar(name, weight, shape):
    model, found = models.build(name, 3, 10).eval(), []
    model.get_submodule(weight).register_forward_hook(lambda module, inputs, output: found.append(output.shape[2:]))
    with torch.no_grad():
        model(torch.rand(1, 3, 32, 32))
    assert found == [shape]


@pytest.mark.parametrize("name, stages, blocks", [
    ("resnet14", 3, 2), ("resnet20", 3, 3), ("resnet32", 3, 5), ("resnet56", 3, 9), ("resnet18", 4, 2)])
def test_weight_layers_of_the_larger_networks(name, stages, blocks):
    expected = ["stem.conv"]
    for stage in range(1, stages + 1):
        for block in range(1, blocks + 1):
            parts = ["conv1", "conv2"] + ["shortcut"] * (stage > 1 and block == 1)
            expected += [f"stage{stage}.block{block}.{part}" for part in parts]
    assert layers(models.build(name, 3, 10)) == [*expected, "fc"]


@pytest.mark.parametrize("name, side, sizes", [("resnet20", 32, [32, 32, 16, 8]), ("resnet18", 64, [32, 16, 8, 4, 2])])
def test_stages_halve_the_image(name, side, sizes):
    model, found = models.build(name, 3, 7).eval(), []
    for part in [model.stem, *(stage for label, stage in model.named_children() if label.startswith("stage"))]:
        part.register_forward_hook(lambda module, inputs, output: found.append(output.shape[2:]))
    with torch.no_grad():
        assert model(torch.rand(2, 3, side, side)).shape == (2, 7)
    assert found == [(size, size) for size in sizes]


def test_widths_are_used():
    model = models.resnet8(3, 10, widths=(4, 8, 12))
    rows = [model.get_submodule(name).weight.shape[0] for name in LAYERS]
    assert rows == [4, 4, 4, 8, 8, 8, 12, 12, 12, 10]
    assert model(torch.rand(2, 3, 24, 24)).shape == (2, 10)


def test_residual_sum_is_used():
    model = models.resnet8(1, 10, widths=(4, 8, 12)).eval()
    x = torch.rand(2, 4, 8, 8)
    with torch.no_grad():
        model.stage1.bn2.weight.zero_()  # the long branch is silent: the input comes through
        assert torch.equal(model.stage1(x), x)


@pytest.mark.parametrize("name", models.MODELS)
def test_fx_sees_every_layer(name):
    model = seeded(name, 3, 10).eval()
    traced = torch.fx.symbolic_trace(model)
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    x = torch.rand(2, 3, 33, 33)
    assert set(layers(model)) <= set(calls) and len(calls) == len(set(calls))
    assert torch.equal(traced(x), model(x))


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet18"])
def test_names_that_cached_weights_are_keyed_by(name):
    """The key holds `str(model)`; it begins with the class."""
    first, second, *_ = str(models.build(name, 3, 10)).splitlines()
    assert (first, second) == ("ResNet" + name[6:] + "(", "  (stem): Stem(")


def test_unknown_model_lists_the_known():
    with pytest.raises(ValueError, match=r"'vgg'.*resnet18, resnet20, resnet32, resnet56, resnet8, vgg11") as caught:
        models.build("vgg", 3, 10)
    assert "did you mean vgg" in str(caught.value)
    with pytest.raises(models.UnknownModel, match="torchvision:NAME"):
        models.build("", 3, 10)


def test_same_seed_same_weights():
    one, other = seeded("mobilenetv2", 3, 10).state_dict(), seeded("mobilenetv2", 3, 10).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert math.isfinite(float(one["fc.weight"].sum()))
