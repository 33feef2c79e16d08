"""The float networks by name. The built-in ones are plain modules: `torch.fx.symbolic_trace` sees every layer."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from torch import nn

from agn_hw.zoo.models import outside
from agn_hw.zoo.models.alexnet import AlexNet
from agn_hw.zoo.models.blocks import Stem
from agn_hw.zoo.models.errors import ModelError, UnknownModel
from agn_hw.zoo.models.lenet import LeNet5
from agn_hw.zoo.models.mobilenet import MobileNetV2
from agn_hw.zoo.models.resnet import BasicBlock, resnet8, resnet14, resnet18, resnet20, resnet32, resnet56
from agn_hw.zoo.models.vgg import vgg11, vgg16

__all__ = ["MODELS", "BasicBlock", "ModelError", "Stem", "UnknownModel", "build", "check", "check_side", "resnet8"]

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "lenet5": LeNet5,
    "resnet8": resnet8,
    "resnet14": resnet14,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet56": resnet56,
    "resnet18": resnet18,
    "vgg11": vgg11,
    "vgg16": vgg16,
    "alexnet": AlexNet,
    "mobilenetv2": MobileNetV2,
}
SMALLEST = {"lenet5": 28, "vgg11": 32, "vgg16": 32, "alexnet": 29}
"""Sides of the smallest images that these can take; the others take any."""


def build(name: str, in_channels: int, classes: int) -> nn.Module:
    """A freshly initialised network by name; its weights come from torch's global generator.

    name: one of `MODELS`, "torchvision:NAME" or "timm:NAME". Raises UnknownModel (a ValueError), with the known
    names, for an unknown one, and ModelError where the package is missing.
    """
    if ":" in name:
        return outside.build(name, in_channels, classes)
    check(name)
    return MODELS[name](in_channels, classes)


def check(name: str) -> None:
    """Raises what `build` would raise for this name."""
    if ":" in name:
        outside.check(name)
    elif name not in MODELS:
        near = difflib.get_close_matches(name, MODELS)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        came = f"unknown model {name!r}; known models: {', '.join(sorted(MODELS))}"
        raise UnknownModel("a model of the zoo", came, f"{hint}Other networks are torchvision:NAME and timm:NAME")


def check_side(name: str, side: int) -> None:
    """Raises ModelError where images of this side (pixels, the shorter one) are too small for a built-in network."""
    smallest = SMALLEST.get(name, 1)
    if side < smallest:
        mend = "choose another data set or network; resnet8 to resnet56 take any size"
        raise ModelError(f"images of {smallest} x {smallest} or more for {name}", f"they are {side} pixels small", mend)
