"""What a training run depends on, as short hashes: a checkpoint of another run is known by them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from agn_hw.zoo.data import Split, Splits

LARGEST = 2 << 30  # bytes of a mapped part that are read; of a larger one a sample is
_SAMPLE = 1000  # images
_AT_ONCE = 4096  # rows of a tensor that are made contiguous together


def identity(model: nn.Module, splits: Splits, recipe: object, teacher: nn.Module | None) -> dict[str, str]:
    """What a run's weights and its log depend on but for the start weights, as short texts by name.

    Of the data every training and validation image and label is hashed, which takes about a second a gigabyte. Only
    of images that are mapped from a file (`Split.files`), in a part larger than 2 GiB, every k-th of about 1000 is;
    the rest is known by the facts of the files that they were decoded from (path, length, time of change). Of the
    model its structure, its tensors' shapes, and the values of what training does not change (tables, scales,
    compensation).
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    shapes = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors]
    settings = {name: value for name, value in model.state_dict().items() if not isinstance(value, torch.Tensor)}
    structure = re.sub(r" at 0x[0-9a-f]+", "", f"{model} {shapes} {settings}")
    sizes = ", ".join(f"{part} {size}" for part, size in splits.sizes().items())
    return {
        "recipe": str(recipe),
        "data set": f"{splits.name}, seed {splits.seed}, {sizes}",
        "training images": _known(splits.train),
        "validation images": _known(splits.validation),
        "model": hashlib.sha256(structure.encode()).hexdigest()[:12],
        "tables or scales": _short(_resting(model)),
        "teacher": "none" if teacher is None else _short([*teacher.parameters(), *teacher.buffers()]),
    }


def of_weights(state: dict[str, Any]) -> str:
    """A short hash of the tensors of a state dict, whatever device and memory layout they have."""
    return _short(value for value in state.values() if isinstance(value, torch.Tensor))


def _known(split: Split) -> str:
    """The hash of a part's images and labels, and of the files they were mapped from."""
    sample = split.files and split.images.nbytes > LARGEST
    images = split.images[:: max(1, len(split) // _SAMPLE)] if sample else split.images
    return f"{_short([images, split.labels])} {split.files}".strip()


def _resting(model: nn.Module) -> Iterable[torch.Tensor]:
    """Parameters and buffers that training leaves as they are, in the model's order."""
    for module in model.modules():
        yield from (tensor for tensor in module.parameters(recurse=False) if not tensor.requires_grad)
        if not isinstance(module, _NormBase):  # running statistics follow the images
            yield from module.buffers(recurse=False)


def _short(tensors: Iterable[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
        for rows in torch.atleast_1d(tensor.detach()).split(_AT_ONCE):
            digest.update(rows.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:12]
