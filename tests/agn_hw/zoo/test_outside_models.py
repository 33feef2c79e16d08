"""Networks of torchvision and timm by name, and what is said where they are not there."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from agn_hw.zoo import models
from agn_hw.zoo.models import outside
from tests.agn_hw.torchvision_models import import_torchvision


@pytest.fixture
def torchvision():
    return import_torchvision()


@pytest.fixture
def timm(torchvision):
    return pytest.importorskip("timm")


@pytest.mark.parametrize("name, channels, side", [
    ("resnet18", 3, 32), ("resnet18", 1, 33), ("mobilenet_v2", 2, 32), ("vgg11_bn", 1, 32), ("squeezenet1_1", 4, 64),
    ("shufflenet_v2_x0_5", 1, 64)])
def test_torchvision_networks_take_channels_and_classes(torchvision, name, channels, side):
    model = models.build(f"torchvision:{name}", channels, 7)
    logits = model(torch.rand(2, channels, side, side))
    assert logits.shape == (2, 7)
    logits.sum().backward()
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    usual = next(m for m in torchvision.models.get_model(name, weights=None).modules() if isinstance(m, nn.Conv2d))
    assert first.in_channels == channels and first.weight.grad is not None
    for attribute in ("out_channels", "kernel_size", "stride", "padding", "dilation"):
        assert getattr(first, attribute) == getattr(usual, attribute)
    assert (first.bias is None) == (usual.bias is None)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_no_second_output_in_training(torchvision, name):
    assert not models.build(f"torchvision:{name}", 3, 5).aux_logits


@pytest.mark.parametrize("name, channels", [("resnet18", 1), ("mobilenetv2_100", 3), ("efficientnet_lite0", 2)])
def test_timm_networks_take_channels_and_classes(timm, name, channels):
    model = models.build(f"timm:{name}", channels, 7)
    logits = model(torch.rand(2, channels, 32, 32))
    assert logits.shape == (2, 7)
    logits.sum().backward()


@pytest.mark.parametrize("name, near", [
    ("torchvision:resnet19", "near it: .*resnet18"), ("torchvision:RESNET18", "none of its 80 is near"),
    ("torchvision:maskrcnn_resnet50_fpn", "classification network of torchvision")])
def test_unknown_torchvision_names_list_near_ones(torchvision, name, near):
    with pytest.raises(models.UnknownModel, match=near):
        models.build(name, 3, 10)


@pytest.mark.parametrize("name", [
    "resnet18.a1_in1k", "hf-hub:somebody/something", "hf_hub:a/b", "local-dir:/tmp", "../x"])
def test_timm_names_that_would_fetch_something_are_refused(timm, name, monkeypatch):
    monkeypatch.setattr("timm.create_model", lambda *a, **k: pytest.fail("it was built"))
    with pytest.raises(models.UnknownModel, match="classification network of timm"):
        models.build(f"timm:{name}", 3, 10)


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_missing_package_says_what_to_install(package, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # Python's way to say: cannot be imported
    with pytest.raises(models.ModelError, match=f"pip install {package}") as caught:
        models.build(f"{package}:resnet18", 3, 10)
    assert not isinstance(caught.value, ValueError)


def test_package_that_does_not_load_says_why(monkeypatch):
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(outside.importlib, "import_module", broken)
    with pytest.raises(models.ModelError, match=r"(?s)nms does not exist.*from the same place"):
        models.check("torchvision:resnet18")


def test_unknown_package():
    with pytest.raises(models.UnknownModel, match="'keras' came"):
        models.build("keras:resnet18", 3, 10)


def test_nothing_is_imported_before_it_is_asked_for():
    code = "import sys; from agn_hw.zoo import models; models.build('resnet8', 3, 10); " \
        "print({'timm', 'torchvision'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
