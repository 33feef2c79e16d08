"""Networks of torchvision and timm by name. The packages are optional and imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from types import ModuleType

from torch import nn

from agn_hw.zoo.models.errors import ModelError, UnknownModel

NEAR = 5  # near matches that an error names
NO_AUXILIARY = {"aux_logits": False, "init_weights": True}
"""For GoogLeNet and Inception v3: one output in training too, and the initialisation said out loud."""


def build(name: str, in_channels: int, classes: int) -> nn.Module:
    """The network of "torchvision:NAME" or "timm:NAME", freshly initialised; pretrained weights are never fetched.

    timm makes the first convolution for `in_channels`; torchvision's is replaced where they are not three. Raises
    UnknownModel, with near matches, and ModelError where the package is missing or does not load.
    """
    package, model = name.split(":", 1)
    check(name)
    return PACKAGES[package][1](model, in_channels, classes)


def check(name: str) -> None:
    """Raises what `build` would raise for this name."""
    package, model = name.split(":", 1)
    if package not in PACKAGES:
        came = f"{package!r} came in {name!r}"
        raise UnknownModel("torchvision: or timm: before the name", came, "name one of these packages, or none")
    known = PACKAGES[package][0]()
    if model not in known:
        near = difflib.get_close_matches(model, known, NEAR, 0.5)
        came = f"{model!r} came; " + (f"near it: {', '.join(near)}" if near else f"none of its {len(known)} is near")
        mend = "choose a name without a tag for weights: networks start untrained"
        raise UnknownModel(f"a classification network of {package}", came, mend)


def _load(module: str) -> ModuleType:
    """The module, or a ModelError that says what to install."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        mend = f"pip install {package}, in the version that goes with the installed torch"
        raise ModelError(f"the package {package}", f"it cannot be imported: {error}", mend) from None
    except RuntimeError as error:  # operators of a torchvision made for another torch
        mend = "install torch and torchvision from the same place, in versions that go together"
        raise ModelError(f"a {package} that suits torch", f"loading it failed: {error}", mend) from None


def _torchvision_names() -> list[str]:
    models = _load("torchvision.models")
    return list(models.list_models(module=models))


def _timm_names() -> list[str]:
    return list(_load("timm").list_models())


def _torchvision(name: str, in_channels: int, classes: int) -> nn.Module:
    options = NO_AUXILIARY if name in ("googlenet", "inception_v3") else {}
    models = _load("torchvision.models")
    model: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    if in_channels != 3:
        _replace_first(model, in_channels)
    return model


def _replace_first(model: nn.Module, in_channels: int) -> None:
    """Puts a convolution for `in_channels` in the place of the first one; all else about it stays."""
    where, first = next((name, part) for name, part in model.named_modules() if isinstance(part, nn.Conv2d))
    parent, _, attribute = where.rpartition(".")
    changed = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        first.dilation,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    setattr(model.get_submodule(parent), attribute, changed)


def _timm(name: str, in_channels: int, classes: int) -> nn.Module:
    model: nn.Module = _load("timm").create_model(name, pretrained=False, in_chans=in_channels, num_classes=classes)
    return model


PACKAGES: dict[str, tuple[Callable[[], list[str]], Callable[[str, int, int], nn.Module]]] = {
    "torchvision": (_torchvision_names, _torchvision),
    "timm": (_timm_names, _timm),
}
"""Package -> its names, how a network is built."""
