"""Networks of torchvision and timm as they come, with random weights: three lines, and a training step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import agn_hw
from agn_hw.conversion.quantize import kept_exact
from agn_hw.nn.layers import table_layers
from tests.agn_hw.nn.small_networks import signed_images
from tests.agn_hw.tables import multiplier, truncated_lut
from tests.agn_hw.torchvision_models import import_torchvision

RESIDUAL, PLAIN, DEPTHWISE, GATED, NORMED = 0.15, 0.15, 0.2, 0.6, 0.06
"""Of the output's error relative to the float output. Networks with random weights have little to say about images of
32 x 32 pixels and multiply noise from layer to layer, the deeper and the more gated the more."""
NETWORKS = {
    "torchvision:resnet18": RESIDUAL, "torchvision:vgg11": PLAIN, "torchvision:mobilenet_v2": DEPTHWISE,
    "torchvision:efficientnet_b0": GATED, "torchvision:convnext_tiny": NORMED,
    "timm:resnet18": RESIDUAL, "timm:vgg11": PLAIN, "timm:mobilenetv2_100": DEPTHWISE, "timm:efficientnet_b0": GATED,
    "timm:tf_efficientnet_b0": GATED, "timm:convnext_atto": NORMED,
}  # fmt: skip
QUICK = ("torchvision:resnet18", "torchvision:mobilenet_v2", "timm:tf_efficientnet_b0", "timm:convnext_atto")
REASONS = {"no integer form is known for layer_norm", "no integer form is known for LayerNorm",
           "no integer form is known for mul", "no integer form is known for add"}
"""What ConvNeXt has and integers do not: LayerNorm, and a learned factor for each channel."""


def build(name: str) -> nn.Module:
    """A network with random weights and BatchNorm statistics that its images gave it, in eval mode."""
    torchvision = import_torchvision()
    package, _, model_name = name.partition(":")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if package == "timm":
            model = pytest.importorskip("timm").create_model(model_name, num_classes=10)
        else:
            model = torchvision.models.get_model(model_name, weights=None, num_classes=10)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = None
                    module.weight.copy_(0.4 + 0.4 * torch.rand(module.weight.shape))
                    module.bias.copy_(1 + 0.1 * torch.randn(module.bias.shape))
            for key, parameter in model.named_parameters():
                if key.endswith(("layer_scale", "gamma")):  # as trained ones are, not 1e-6
                    parameter.copy_(0.1 + 0.2 * torch.rand(parameter.shape))
            if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
                model.train()(images())
    return model.eval()


def images() -> torch.Tensor:
    return F.interpolate(signed_images(16, seed=1), size=(32, 32), mode="bilinear")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NETWORKS])
def test_three_lines(name):
    model, x = build(name), images()
    before = copy.deepcopy(model.state_dict())

    q = agn_hw.quantize(model, [x])
    a = agn_hw.approximate(q, multiplier(truncated_lut(3)))
    loss = F.cross_entropy(a.train()(x[:4]), torch.arange(4))

    with torch.no_grad():
        expected, found = model(x), q(x)
        assert not torch.equal(a(x), found)
    assert found.shape == expected.shape and (found - expected).norm() < NETWORKS[name] * expected.norm()
    kept = kept_exact(q)
    layers = [key for key, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert set(table_layers(q)) | set(kept) >= set(layers) and not set(kept) & set(layers)
    assert set(table_layers(q)) == set(layers) and set(kept.values()) <= REASONS
    assert bool(kept) is ("convnext" in name)

    loss.backward()
    for key, parameter in a.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().max() > 0, key
    after = model.state_dict()
    assert list(before) == list(after) and all(torch.equal(before[key], after[key]) for key in after)
