"""Networks: layer names, shapes, fx."""

import pytest
import torch
from torch import nn

from agn_hw.nn.layers import table_layers
from agn_hw.nn.quantize import quantize
from agn_hw.zoo import models
from tests.agn_hw.tables import exact_table8

LAYERS = ["stem.conv", "stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.conv2", "stage2.shortcut",
          "stage3.conv1", "stage3.conv2", "stage3.shortcut", "fc"]


PUBLISHED = {"resnet20": (3, 10, 0.27e6, 0.005e6), "resnet18": (3, 1000, 11.69e6, 0.005e6)}
"""Channels, classes, parameters in He et al., table 6, or of the usual ResNet-18 for ImageNet; and their rounding."""


def layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def test_resnet8_has_ten_weight_layers():
    assert layers(models.build("resnet8", 3, 10)) == LAYERS


@pytest.mark.parametrize("channels, side, classes", [(1, 8, 10), (3, 24, 10), (3, 32, 7), (2, 5, 3)])
def test_resnet8_shapes(channels, side, classes):
    logits = models.build("resnet8", channels, classes).eval()(torch.rand(4, channels, side, side))
    assert logits.shape == (4, classes)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name):
    channels, classes, published, rounding = PUBLISHED[name]
    count = sum(parameter.numel() for parameter in models.build(name, channels, classes).parameters())
    assert abs(count - published) < rounding


@pytest.mark.parametrize("name, stages, blocks", [("resnet20", 3, 3), ("resnet18", 4, 2)])
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


@pytest.mark.parametrize("name, channels, side", [("resnet20", 1, 8), ("resnet18", 3, 33)])
def test_larger_networks_quantise_and_take_tables(name, channels, side):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.build(name, channels, 5)
    x = torch.rand(16, channels, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(x)  # BatchNorm's statistics
        network = quantize(model, [x])
        assert list(table_layers(network)) == layers(model)
        expected, found = model.eval()(x), network(x)
        assert (found - expected).std() < 0.3 * expected.std()
        for layer in table_layers(network).values():
            layer.set_table(exact_table8().numpy())
        assert torch.equal(network(x), found)


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
    model = models.build(name, 3, 10).eval()
    traced = torch.fx.symbolic_trace(model)
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    x = torch.rand(2, 3, 24, 24)
    assert set(layers(model)) <= set(calls) and len(calls) == len(set(calls))
    assert torch.equal(traced(x), model(x))


def test_unknown_model_lists_the_known():
    with pytest.raises(ValueError, match=r"'vgg'.*resnet18, resnet20, resnet8"):
        models.build("vgg", 3, 10)
