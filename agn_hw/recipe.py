"""What a training run is asked for, and the optimiser that comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from agn_hw.augment import AUGMENTS, Augment
from lut_gen.errors import AgnError

Schedule = Literal["one-cycle", "cosine"]
_MOMENTUM_SWING = 0.05  # of the one-cycle schedule, to both sides


class TrainingError(AgnError):
    """A network cannot be trained as asked."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum on random full batches.

    epochs may be a fraction. peak_rate: the largest learning rate. schedule: one-cycle (Smith and Topin,
    "Super-convergence", 2019; momentum swings by .05 around `momentum`, against the rate) or cosine (from the peak to
    0; Loshchilov and Hutter, "SGDR", ICLR 2017). distill: the weight d of the teacher in the loss
    (1 - d) CE + d T^2 KL(teacher || student), both softened by the temperature T (Hinton, Vinyals and Dean,
    "Distilling the knowledge in a neural network", 2015). step_rate: factor on the rate for learned step sizes, which
    move by the sign of their gradient (Bernstein et al., "signSGD", ICML 2018) relative to their size: gradients of
    scales are thousands of times larger in one layer than in another. Raises TrainingError for values out of range.
    """

    epochs: float
    batch: int = 100
    peak_rate: float = 0.1
    weight_decay: float = 5e-4
    augment: Augment = "none"
    momentum: float = 0.9
    schedule: Schedule = "one-cycle"
    distill: float = 0.0
    temperature: float = 4.0
    step_rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = ("epochs", "peak_rate", "weight_decay", "momentum", "distill", "temperature", "step_rate")
        checks = {f"{name}, a finite number": _finite(getattr(self, name)) for name in numbers}
        checks |= {f"{name}, a whole number": type(getattr(self, name)) is int for name in ("batch", "seed")}
        _refuse_first(self, checks)
        checks = {
            "epochs above 0": self.epochs > 0,
            "batch of 1 or more": self.batch >= 1,
            "seed of 0 or more": self.seed >= 0,
            "peak_rate above 0": self.peak_rate > 0,
            "weight_decay of 0 or more": self.weight_decay >= 0,
            "step_rate of 0 or more": self.step_rate >= 0,
            "momentum from 0 to below .95": 0 <= self.momentum < 1 - _MOMENTUM_SWING,
            "distill from 0 to 1": 0 <= self.distill <= 1,
            "temperature above 0": self.temperature > 0,
            f"augment of {', '.join(AUGMENTS)}": self.augment in AUGMENTS,
            f"schedule of {', '.join(get_args(Schedule))}": self.schedule in get_args(Schedule),
        }
        _refuse_first(self, checks)


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_first(recipe: Recipe, checks: dict[str, bool]) -> None:
    """Raises TrainingError for the first of these that does not hold; each begins with a field's name."""
    for wanted, held in checks.items():
        if not held:
            name = wanted.split()[0].strip(",")
            raise TrainingError(f"a recipe with {wanted}", f"{getattr(recipe, name)!r} came", f"change {name}")


class Parameters(NamedTuple):
    """What is trained: weights, which decay; biases of a quantised network and learned step sizes, which do not."""

    weights: list[nn.Parameter]
    biases: list[nn.Parameter]
    scales: list[nn.Parameter]

    def all(self) -> list[nn.Parameter]:
        return [*self.weights, *self.biases, *self.scales]


def scales_of(model: nn.Module) -> set[str]:
    """Names of a quantised network's step sizes, learned or not: float64 parameters of one axis or none, named
    ...scale or ...scales. A float network has none."""
    return {
        name
        for name, parameter in model.named_parameters()
        if name.endswith(("scale", "scales")) and parameter.dtype == torch.float64 and parameter.dim() <= 1
    }


def trained_parameters(model: nn.Module) -> Parameters:
    """The parameters that require a gradient, in the model's order; all of a float network's decay.

    Raises TrainingError where there is nothing to train.
    """
    scales = scales_of(model)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise TrainingError("a network with something to train", "no parameter requires a gradient", "unfreeze some")
    learned = [parameter for name, parameter in trained.items() if name in scales]
    others = [parameter for name, parameter in trained.items() if name not in scales]
    if not scales:
        return Parameters(others, [], [])
    biases = [parameter for parameter in others if parameter.dim() <= 1]
    return Parameters([parameter for parameter in others if parameter.dim() > 1], biases, learned)


def optimizer(recipe: Recipe, parameters: Parameters, steps: int) -> tuple[torch.optim.SGD, LRScheduler]:
    """SGD and its learning rate over `steps` steps, one group of parameters a kind."""
    rate, momentum = recipe.peak_rate, recipe.momentum
    kinds: list[dict[str, Any]] = [
        {"params": parameters.weights, "lr": rate, "weight_decay": recipe.weight_decay},
        {"params": parameters.biases, "lr": rate, "weight_decay": 0.0},
        {"params": parameters.scales, "lr": rate * recipe.step_rate, "weight_decay": 0.0},
    ]
    groups = [group for group in kinds if group["params"]]
    sgd = torch.optim.SGD(groups, rate, momentum, nesterov=momentum > 0)
    if recipe.schedule == "cosine":
        return sgd, CosineAnnealingLR(sgd, steps)
    return sgd, OneCycleLR(
        sgd,
        [group["lr"] for group in groups],
        total_steps=max(8, steps),  # it divides by zero on a cycle of four steps
        pct_start=0.25,
        cycle_momentum=momentum > 0,
        base_momentum=max(0.0, round(momentum - _MOMENTUM_SWING, 9)),
        max_momentum=round(momentum + _MOMENTUM_SWING, 9),
    )
