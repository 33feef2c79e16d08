"""Networks: layer names, shapes, fx."""

import pytest
import torch
from torch import nn

from agn_hw.zoo import models

LAYERS = ["stem.conv", "stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.conv2", "stage2.shortcut",
          "stage3.conv1", "stage3.conv2", "stage3.shortcut", "fc"]


def layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def test_resnet8_has_ten_weight_layers():
    assert layers(models.build("resnet8", 3, 10)) == LAYERS


@pytest.mark.parametrize("channels, side, classes", [(1, 8, 10), (3, 24, 10), (3, 32, 7), (2, 5, 3)])
def test_resnet8_shapes(channels, side, classes):
    logits = models.build("resnet8", channels, classes).eval()(torch.rand(4, channels, side, side))
    assert logits.shape == (4, classes)


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


def test_fx_sees_every_layer():
    model = models.build("resnet8", 3, 10).eval()
    traced = torch.fx.symbolic_trace(model)
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    x = torch.rand(2, 3, 24, 24)
    assert set(LAYERS) <= set(calls) and len(calls) == len(set(calls))
    assert torch.equal(traced(x), model(x))


def test_unknown_model_lists_the_known():
    with pytest.raises(ValueError, match=r"'vgg'.*resnet8"):
        models.build("vgg", 3, 10)
