"""One loop that trains any network in plain torch: a float one, a quantised one, one that multiplies with tables.

    agn_hw.fit(model, splits, Recipe(epochs=30, peak_rate=0.1))                                # a float network
    agn_hw.fit(a, splits, Recipe(epochs=1, peak_rate=3e-4, distill=0.9), teacher=model, folder="runs/retrained")

With a folder the run outlives a kill at any moment: called again, it goes on and ends in the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn
from torch.nn import functional as F

from agn_hw import checkpoint
from agn_hw.augment import augmented
from agn_hw.recipe import Recipe, TrainingError, optimizer, scales_of, trained_parameters
from agn_hw.run_identity import identity, of_weights
from agn_hw.train_checks import check, check_logits, check_teacher
from agn_hw.zoo.data import Split, Splits, to_float
from lut_gen.files import locked

CHECKPOINT_SECONDS = 30.0
_SMALLEST_STEP = 1e-3  # of what a learned step size was at the start


@dataclass(frozen=True)
class Epoch:
    """A line of the log: means over the epoch's batches, validation accuracy (None: not asked for) and rate at its
    end. The last epoch of a run may be part of one."""

    epoch: float
    step: int
    loss: float
    train_accuracy: float
    validation_accuracy: float | None
    rate: float
    seconds: float

    def line(self) -> str:
        """For a progress bar."""
        return f"epoch {self.epoch:g}  loss {self.loss:.3f}  accuracy {self.train_accuracy:.1%}"


def fit(
    model: nn.Module,
    splits: Splits,
    recipe: Recipe,
    *,
    teacher: nn.Module | None = None,
    folder: str | Path | None = None,
    validate: bool = True,
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[Epoch]:
    """Trains `model` in place on `splits.train` and returns what each epoch brought; leaves it in eval mode.

    The model takes float images 0..1 and gives logits; parameters without requires_grad stay. With the same start,
    recipe and number of threads a CPU gives the same bits; torch's global random state is left as it was. `folder`
    takes checkpoints (at least every `checkpoint_seconds` and after each epoch) and log.jsonl; a call with the same
    arguments goes on from there, or returns at once if the run is finished. tensorboard: the same figures for
    TensorBoard, in `folder`. Raises TrainingError for data, networks and settings that do not fit together or a loss
    that is not finite (the last checkpoint stays), CheckpointError for a folder of another run: other data, recipe,
    structure, or a network with neither the weights that the run began with nor those of its checkpoint.
    """
    check(splits, recipe, validate)
    check_teacher(model, recipe, teacher)
    if tensorboard and folder is None:
        raise TrainingError("a folder for TensorBoard's files", "none came", "give fit a `folder`")
    with ExitStack() as held:
        kept = None
        if folder is not None:
            held.enter_context(locked(Path(folder)))
            depends_on = identity(model, splits, recipe, teacher), of_weights(model.state_dict())
            kept = checkpoint.RunFolder(Path(folder), *depends_on, checkpoint_seconds, tensorboard)
        run = _Run(model, splits, recipe, teacher)
        held.enter_context(_seeded(recipe.seed, run.device))
        held.enter_context(_modes(model, teacher))
        state = kept.load() if kept else None
        if kept and state:
            run.load(state)
            kept.write_log(run.log(), new=len(run.history))
        bar = held.enter_context(_progress())
        task = bar.add_task("training", total=run.total, completed=run.step)
        while run.step < run.total:
            for x, y in run.rest_of_epoch():
                run.learn(x, y)
                bar.update(task, completed=run.step)
                if kept and not run.epoch_is_over():
                    kept.save_when_due(run.state)
            run.end_epoch(accuracy(model, splits.validation) if validate else None)
            if kept:
                kept.save(run.state())
                kept.write_log(run.log(), new=1)
            bar.update(task, description=run.history[-1].line())
    return run.history


class _Run:
    """Everything that changes while a network is trained; `state` is what a checkpoint holds of it."""

    def __init__(self, model: nn.Module, splits: Splits, recipe: Recipe, teacher: nn.Module | None) -> None:
        self.model, self.train, self.recipe, self.teacher = model, splits.train, recipe, teacher
        self.classes = int(splits.train.labels.max()) + 1  # that the labels need; a network may have more
        self.steps = len(splits.train) // recipe.batch  # in an epoch; the incomplete batch is left out
        self.total = max(1, round(recipe.epochs * self.steps))
        parameters = trained_parameters(model)
        self.trained, self.scales = parameters.all(), parameters.scales
        self.device, self.layout = self.trained[0].device, _layout(model)
        self.optimizer, self.schedule = optimizer(recipe, parameters, self.total)
        self.smallest = [_SMALLEST_STEP * scale.detach().clone() for scale in self.scales]
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.epoch_start = self.generator.get_state()
        self.step, self.loss_sum, self.correct = 0, 0.0, 0
        self.seconds, self.since = 0.0, time.perf_counter()
        self.history: list[Epoch] = []

    def epoch_is_over(self) -> bool:
        """After the last step of an epoch, or of the run."""
        return self.step % self.steps == 0 or self.step == self.total

    def rest_of_epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The epoch's batches from where the run stands: images uint8 [batch, C, H, W], labels [batch]."""
        first, here = self.step % self.steps, self.generator.get_state()
        self.generator.set_state(self.epoch_start)
        order = torch.randperm(len(self.train), generator=self.generator)
        if first:
            self.generator.set_state(here)
        for number in range(first, min(self.steps, first + self.total - self.step)):
            chosen = order[number * self.recipe.batch :][: self.recipe.batch]
            yield augmented(self.train.images[chosen], self.recipe.augment, self.generator), self.train.labels[chosen]

    def learn(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One step of the optimiser. Raises TrainingError if the loss is not finite or outputs are of another shape."""
        x, y = to_float(x.to(self.device)), y.to(self.device)
        x = x.contiguous(memory_format=self.layout) if x.dim() == 4 else x
        logits, wanted = self.model(x), None
        if self.teacher is not None:
            with torch.no_grad():
                wanted = self.teacher(x)
        check_logits(logits, wanted, len(x), self.classes)
        loss = F.cross_entropy(logits, y)
        if wanted is not None:
            weight, temperature = self.recipe.distill, self.recipe.temperature
            loss = (1 - weight) * loss + weight * distillation(logits, wanted, temperature)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"it is {value}")
        self.optimizer.zero_grad()
        loss.backward()
        for scale in self.scales:
            if scale.grad is not None:
                scale.grad = scale.detach() * scale.grad.sign()  # see Recipe
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            for scale, smallest in zip(self.scales, self.smallest, strict=True):
                scale.clamp_(min=smallest)
        self.step, self.loss_sum = self.step + 1, self.loss_sum + value
        self.correct += int((logits.argmax(1) == y).sum())

    def _diverged(self, came: str) -> TrainingError:
        where = f"{came} in epoch {self.step // self.steps + 1}, step {self.step + 1} of {self.total}"
        mend = "lower peak_rate, or look for inputs that are not finite; the last checkpoint, if any, is as it was"
        return TrainingError("a finite loss", where, mend)

    def end_epoch(self, validation: float | None) -> None:
        """Adds the epoch to the history and begins the next."""
        self._stop_clock()
        done = (self.step - 1) % self.steps + 1
        epoch = Epoch(
            epoch=round(self.step / self.steps, 3),
            step=self.step,
            loss=self.loss_sum / done,
            train_accuracy=self.correct / (done * self.recipe.batch),
            validation_accuracy=validation,
            rate=float(self.schedule.get_last_lr()[0]),
            seconds=round(self.seconds, 2),
        )
        self.history.append(epoch)
        self.epoch_start = self.generator.get_state()
        self.loss_sum, self.correct, self.seconds = 0.0, 0, 0.0

    def _stop_clock(self) -> None:
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    def log(self) -> list[dict[str, Any]]:
        """The history as dicts."""
        return [asdict(epoch) for epoch in self.history]

    def state(self) -> dict[str, Any]:
        """For a checkpoint. Raises TrainingError where weights are not finite: no good place to go on from."""
        if not all(bool(tensor.isfinite().all()) for tensor in self.trained):
            raise self._diverged("weights are not finite")
        self._stop_clock()
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": _random_states(self.device),
            "order": [self.epoch_start, self.generator.get_state()],
            "smallest": self.smallest,
            "history": self.log(),
            **numbers,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Back to where `state` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        _set_random_states(state["random"], self.device)
        self.epoch_start, here = state["order"]
        self.generator.set_state(here)
        self.smallest = [tensor.to(self.device) for tensor in state["smallest"]]
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        for name in _NUMBERS:
            setattr(self, name, state[name])


_NUMBERS = ("step", "loss_sum", "correct", "seconds")


def distillation(logits: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 KL(softmax(wanted / T) || softmax(logits / T)), the mean over a batch; both [B, classes], wanted: the
    teacher's. The factor keeps the gradient's size whatever the temperature."""
    student, teacher = F.log_softmax(logits / temperature, 1), F.log_softmax(wanted / temperature, 1)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


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


def _layout(model: nn.Module) -> torch.memory_format:
    """In which the network is fastest on a CPU: torch's convolutions with channels last, our layers not."""
    return torch.contiguous_format if scales_of(model) else torch.channels_last


@contextmanager
def _modes(model: nn.Module, teacher: nn.Module | None) -> Iterator[None]:
    """The model trains and the teacher does not; afterwards the model is in eval mode, the teacher as it was."""
    was_training = teacher is not None and teacher.training
    model.train().to(memory_format=_layout(model))  # type: ignore[call-overload]
    if teacher is not None:
        teacher.eval()
    try:
        yield
    finally:
        model.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        if teacher is not None:
            teacher.train(was_training)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators with this seed inside, as they were outside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield


def _random_states(device: torch.device) -> list[torch.Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_states(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
