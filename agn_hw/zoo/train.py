"""Train the float networks in plain torch, or take them from the cache."""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn
from torch.nn import functional as F

from agn_hw.zoo import models
from agn_hw.zoo.data import Split, Splits, to_float
from lut_gen.files import write_atomically

log = logging.getLogger(__name__)

VERSION = 1  # raise it when `train` would give other weights for the same recipe

Augment = Literal["none", "shift", "dihedral"]


@dataclass(frozen=True)
class Recipe:
    """How one data set is trained: the keyword arguments of `train`."""

    epochs: int
    batch: int
    peak_rate: float
    weight_decay: float
    augment: Augment


RECIPES = {
    "digits": Recipe(epochs=30, batch=32, peak_rate=0.1, weight_decay=5e-4, augment="shift"),
    "shapes": Recipe(epochs=18, batch=100, peak_rate=0.12, weight_decay=5e-4, augment="dihedral"),
}


def trained(model_name: str, data_name: str, splits: Splits, cache: Path, seed: int = 0) -> nn.Module:
    """The network `model_name` trained on `splits` with the recipe of `data_name`, in eval mode on the CPU.

    Kept in `cache` as a state dict; the file's name holds a hash of everything that decides the weights. A
    damaged file is reported in the log and replaced. Raises ValueError for unknown names.
    """
    if data_name not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise ValueError(f"no training recipe for {data_name!r}; known data sets: {known}")
    with _seeded(seed):
        model = models.build(model_name, splits.channels, splits.classes)
    recipe = RECIPES[data_name]
    path = Path(cache) / f"{model_name}_{data_name}_{_key(model, splits, recipe, seed)}.pt"
    state = _read_state(path, model)
    if state is None:
        train(model, splits, seed=seed, **asdict(recipe))
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        write_atomically(path, buffer.getvalue())
    else:
        model.load_state_dict(state)
    return model.eval()


def train(
    model: nn.Module,
    splits: Splits,
    *,
    epochs: int,
    seed: int = 0,
    batch: int = 100,
    peak_rate: float = 0.1,
    weight_decay: float = 5e-4,
    augment: Augment = "none",
) -> None:
    """Fit `model` to `splits.train` in place: SGD with Nesterov momentum .9, one-cycle learning rate.

    The one-cycle policy is Smith and Topin, "Super-convergence", 2019. With the same start, seed and thread
    count the weights come out the same; torch's global random state is left as it was. The model is left in
    eval mode. Raises ValueError if `batch` is more than the training images.
    """
    steps = len(splits.train) // batch  # in an epoch; the incomplete batch is left out
    if steps == 0:
        raise ValueError(f"batch {batch} is more than the {len(splits.train)} training images")
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), peak_rate, 0.9, nesterov=True, weight_decay=weight_decay)
    cycle = max(8, epochs * steps)  # OneCycleLR divides by zero on a cycle of four steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=cycle, pct_start=0.25)
    model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with _seeded(seed), _progress() as bar:
        task = bar.add_task("training", total=epochs * steps)
        for epoch in range(epochs):
            loss_sum, correct = 0.0, 0
            for x, y in _batches(splits.train, batch, augment, generator):
                x, y = x.to(device), y.to(device)
                logits = model(to_float(x).contiguous(memory_format=torch.channels_last))
                loss = F.cross_entropy(logits, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                loss_sum, correct = loss_sum + loss.item(), correct + int((logits.argmax(1) == y).sum())
                bar.advance(task)
            bar.update(
                task,
                description=f"epoch {epoch + 1}/{epochs}  loss {loss_sum / steps:.3f}  "
                f"accuracy {correct / (steps * batch):.1%}",
            )
    model.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _batches(
    split: Split, batch: int, augment: Augment, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of full batches in random order: images uint8 [batch, C, H, W], labels [batch]."""
    order = torch.randperm(len(split), generator=generator)
    for chosen in order[: len(order) // batch * batch].split(batch):
        yield _augmented(split.images[chosen], augment, generator), split.labels[chosen]


@torch.no_grad()
def accuracy(model: nn.Module, split: Split, batch: int = 500) -> float:
    """Fraction of `split` whose largest logit is the label's. The model runs in eval mode and is set back."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    correct = 0
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        correct += int((model(to_float(images.to(device))).argmax(1).cpu() == labels).sum())
    model.train(was_training)
    return correct / len(split)


def _augmented(images: torch.Tensor, augment: Augment, generator: torch.Generator) -> torch.Tensor:
    """Each image [N, C, H, W] moved at random: by up to one pixel, or by a symmetry of the square."""
    if augment == "none":
        return images
    count, _, height, width = images.shape
    if augment == "shift":
        move = torch.randint(0, 3, (2, count, 1), generator=generator)
        rows, columns = move[0] + torch.arange(height), move[1] + torch.arange(width)
        pixels = F.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
        moved = pixels[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)
    coin = torch.randint(0, 2, (3, count, 1, 1, 1), generator=generator).bool()
    images = torch.where(coin[0], images.flip(2), images)
    images = torch.where(coin[1], images.flip(3), images)
    return torch.where(coin[2], images.transpose(2, 3), images)


def _key(model: nn.Module, splits: Splits, recipe: Recipe, seed: int) -> str:
    """Short hash of all that decides the weights: recipe, layers, training images, seed, torch's version."""
    recorded = VERSION, recipe, seed, str(model), splits.name, splits.seed, splits.sizes(), torch.__version__
    digest = hashlib.sha256(repr(recorded).encode())
    for tensor in (splits.train.images, splits.train.labels):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


def _read_state(path: Path, model: nn.Module) -> dict[str, torch.Tensor] | None:
    """The state dict in a cache file if it fits the model, or None when there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not compare the checksums
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"wrong checksum of {damaged}")
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
        if {name: tensor.shape for name, tensor in state.items()} != expected:
            raise ValueError("its tensors are not the model's")
    except Exception as error:  # a damaged file fails in many ways; all of them mean: train again
        log.warning("cannot read %s (%s); training again", path, str(error).partition("\n")[0])
        return None
    return state


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's global CPU generator with this seed inside, as it was outside."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
