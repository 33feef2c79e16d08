"""The float networks of the zoo, trained by `agn_hw.fit` or taken from the cache."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agn_hw.checkpoint import read_tensors, write_tensors
from agn_hw.recipe import Recipe
from agn_hw.train import accuracy, fit
from agn_hw.zoo import models
from agn_hw.zoo.data import Splits

__all__ = ["RECIPES", "Recipe", "accuracy", "recipe_for", "train", "trained", "untrained"]

log = logging.getLogger(__name__)

VERSION = 1  # raise it when `train` would give other weights for the same recipe

RECIPES = {
    "digits": Recipe(epochs=30, batch=32, peak_rate=0.1, weight_decay=5e-4, augment="shift"),
    "shapes": Recipe(epochs=18, batch=100, peak_rate=0.12, weight_decay=5e-4, augment="dihedral"),
    "mnist": Recipe(epochs=10, batch=100, peak_rate=0.1, weight_decay=5e-4, augment="shift"),
    "cifar10": Recipe(epochs=60, batch=128, peak_rate=0.2, weight_decay=5e-4, augment="crop-flip"),
    "cifar100": Recipe(epochs=60, batch=128, peak_rate=0.2, weight_decay=5e-4, augment="crop-flip"),
    "tiny-imagenet": Recipe(epochs=60, batch=128, peak_rate=0.2, weight_decay=5e-4, augment="crop-flip"),
    "folder": Recipe(epochs=30, batch=32, peak_rate=0.1, weight_decay=5e-4, augment="crop-flip"),
}
"""By data set; the first two are tuned, the others follow them and what is usual for the set."""
_WITHOUT_NORMALISATION = 0.2
"""Of the peak rate, for networks without BatchNorm, which would diverge."""


def recipe_for(data_name: str, model: nn.Module, splits: Splits, seed: int = 0) -> Recipe:
    """How `model` is trained on this data set, in batches no larger than the set.

    Raises ValueError, with the known names, for an unknown one.
    """
    if data_name not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise ValueError(f"no training recipe for {data_name!r}; known data sets: {known}")
    recipe = RECIPES[data_name]
    normalised = any("Norm" in type(module).__name__ for module in model.modules())
    rate = recipe.peak_rate if normalised else recipe.peak_rate * _WITHOUT_NORMALISATION
    return replace(recipe, batch=min(recipe.batch, len(splits.train)), peak_rate=rate, seed=seed)


def trained(model_name: str, data_name: str, splits: Splits, cache: Path, seed: int = 0) -> nn.Module:
    """The network `model_name` trained on `splits` with the recipe of `data_name`, in eval mode on the CPU.

    Kept in `cache` as a state dict; the file's name holds a hash of everything that decides the weights. A
    damaged file is reported in the log and replaced. Raises ValueError for unknown names.
    """
    model = untrained(model_name, splits, seed)
    recipe = recipe_for(data_name, model, splits, seed)
    name = model_name.replace(":", "-")
    path = Path(cache) / f"{name}_{data_name}_{_key(model, splits, recipe)}.pt"
    state = _read_state(path, model)
    if state is None:
        train(model, splits, **{field.name: getattr(recipe, field.name) for field in fields(recipe)})
        write_tensors(path, model.state_dict())
    else:
        model.load_state_dict(state)
    return model.eval()


def untrained(model_name: str, splits: Splits, seed: int) -> nn.Module:
    """The network as this seed begins it. Raises ValueError for an unknown name."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return models.build(model_name, splits.channels, splits.classes)


def train(model: nn.Module, splits: Splits, *, epochs: float, **settings: Any) -> None:
    """Fits `model` to `splits.train` in place, as `agn_hw.fit` does with Recipe(epochs, **settings)."""
    fit(model, splits, Recipe(epochs, **settings), validate=False)


def _key(model: nn.Module, splits: Splits, recipe: Recipe) -> str:
    """Short hash of all that decides the weights: recipe, layers, training images, seed, torch's version."""
    defaults = {field.name: field.default for field in fields(recipe) if field.name not in _ALWAYS}
    values = {field.name: getattr(recipe, field.name) for field in fields(recipe) if field.name != "seed"}
    told = ", ".join(f"{name}={value!r}" for name, value in values.items() if value != defaults.get(name, MISSING))
    rest = recipe.seed, str(model), splits.name, splits.seed, splits.sizes(), torch.__version__
    digest = hashlib.sha256(f"({VERSION}, Recipe({told}), {repr(rest)[1:]}".encode())
    for tensor in (splits.train.images, splits.train.labels):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


_ALWAYS = ("epochs", "batch", "peak_rate", "weight_decay", "augment")
"""What the cache's key always holds of a recipe; of the rest it holds what is not as usual."""


def _read_state(path: Path, model: nn.Module) -> dict[str, torch.Tensor] | None:
    """The state dict in a cache file if it fits the model, or None when there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        state: dict[str, torch.Tensor] = read_tensors(path)
        expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
        if {name: tensor.shape for name, tensor in state.items()} != expected:
            raise ValueError("its tensors are not the model's")
    except Exception as error:  # a damaged file fails in many ways; all of them mean: train again
        log.warning("cannot read %s (%s); training again", path, str(error).partition("\n")[0])
        return None
    return state
