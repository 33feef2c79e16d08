"""torchvision where its compiled part does not load beside this torch: its networks need none of it."""

import importlib.util
import sys
from types import ModuleType

import pytest
import torch

OPERATORS = ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
             "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_kept: list[torch.library.Library] = []
"""Operators live as long as their library."""


def import_torchvision() -> ModuleType:
    """The package torchvision; timm can be imported after it. Skips the test where it is not installed.

    A torchvision built for another torch does not import, because its compiled operators are not there; then the
    schemas of two of them are defined, without anything behind them.
    """
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    try:
        return importlib.import_module("torchvision")
    except (RuntimeError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        library.define(operator)
    _kept.append(library)
    return importlib.import_module("torchvision")
