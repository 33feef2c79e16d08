"""Times whole networks with tables against fp32 and fake-quant forms: `python -m benchmarks.network --help`."""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/network.py`

import agn_hw
from agn_hw.nn.gradients import gradient_factors
from agn_hw.nn.layers import table_layers
from agn_hw.recipe import trained_parameters
from agn_hw.zoo import models
from benchmarks import results
from benchmarks.operands import table

ROOT = Path(__file__).resolve().parent.parent
SETTLE = 0.005  # seconds in which the threads of the run before stop waiting actively
FP32, FAKE_QUANT = "fp32", "fake_quant"
TABLES = ("broken_array", "or_adder_array", "random_17_bit")
"""Of `operands.TABLES`: one whose error has rank 4 or less, one of high rank, and one without structure."""


@dataclass(frozen=True)
class Effort:
    """How long to measure. seconds: aimed at for one task and number of threads; rounds: fewest and most."""

    seconds: float
    rounds: tuple[int, int]


FULL = Effort(30, (7, 25))
QUICK = Effort(5, (3, 9))


@dataclass(frozen=True)
class Task:
    """What is timed: a forward pass without gradients, or (`trains`) forward, backward and a step of SGD."""

    model: str
    classes: int
    side: int
    batch: int
    trains: bool = False

    @property
    def name(self) -> str:
        return f"{self.model} {'training step' if self.trains else 'inference'}, batch {self.batch}"


TASKS = (
    Task("resnet20", 10, 32, 64),
    Task("resnet18", 1000, 224, 1),
    Task("resnet18", 1000, 224, 8),
    Task("mobilenetv2", 10, 32, 64),
    Task("resnet8", 10, 24, 100, trains=True),
    Task("resnet20", 10, 32, 64, trains=True),
    Task("mobilenetv2", 10, 32, 64, trains=True),
)
GRADIENTS = ("slopes", "smoothed")
"""Other than straight-through, timed with the second table where a task trains."""


@dataclass
class Entry:
    """One form of a network, ready to run, and its times so far in seconds."""

    form: str
    run: Callable[[], object]
    times: list[float] = field(default_factory=list)


def images(count: int, side: int, seed: int) -> torch.Tensor:
    """Smooth patches with noise, in 0..1: float32 [count, 3, side, side]."""
    generator = torch.Generator().manual_seed(seed)
    patches = F.interpolate(torch.rand(count, 3, 6, 6, generator=generator), (side, side), mode="bilinear")
    return 0.7 * patches + 0.3 * torch.rand(count, 3, side, side, generator=generator)


@torch.no_grad()
def float_network(task: Task) -> nn.Module:
    """Random weights, with the BatchNorm statistics of a few batches; eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.build(task.model, 3, task.classes).train()
    for seed in range(4):
        model(images(8, task.side, seed))
    return model.eval()


def forms(task: Task) -> dict[str, nn.Module]:
    """The plain network, its quantised form with exact products, and that form with each table in every layer; for
    training also with learned step sizes, and with other gradients of the second table."""
    plain = float_network(task)
    quantised = agn_hw.quantize(plain, [images(8, task.side, seed=4)])
    made: dict[str, nn.Module] = {FP32: plain, FAKE_QUANT: quantised}
    for name in TABLES:
        made[name] = with_table(quantised, name, "ste")
    if task.trains:
        made[f"{FAKE_QUANT}, learned steps"] = copy.deepcopy(quantised)
        agn_hw.learn_steps(made[f"{FAKE_QUANT}, learned steps"])
        made |= {f"{TABLES[1]}, {kind}": with_table(quantised, TABLES[1], kind) for kind in GRADIENTS}
    return made


def with_table(quantised: nn.Module, name: str, gradient: str) -> nn.Module:
    """A copy whose layers all have this table."""
    made, lut = copy.deepcopy(quantised), table(name).numpy()
    for layer in table_layers(made).values():
        layer.set_table(lut, 1.0, gradient_factors(gradient, lut, layer.in_codes[0], layer.largest_weight))
    return made


def inference(model: nn.Module, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    model.eval()
    return torch.no_grad()(lambda: model(x))


def training_step(model: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Cross-entropy, its gradients, and SGD with momentum."""
    model.train()
    trained = trained_parameters(model)
    groups = [{"params": [*trained.weights, *trained.biases]}, {"params": trained.scales, "lr": 1e-9}]
    optimizer = torch.optim.SGD([group for group in groups if group["params"]], lr=1e-4, momentum=0.9)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def line_up(task: Task) -> list[Entry]:
    x = images(task.batch, task.side, seed=5)
    if not task.trains:
        return [Entry(form, inference(model, x)) for form, model in forms(task).items()]
    labels = torch.randint(task.classes, (task.batch,), generator=torch.Generator().manual_seed(6))
    return [Entry(form, training_step(model, x, labels)) for form, model in forms(task).items()]


def race(entries: list[Entry], effort: Effort, threads: int) -> None:
    """Runs each entry once untimed, then all in turn, round after round, each round in another order."""
    order = random.Random(0)
    fewest, most = effort.rounds
    for entry in entries:
        entry.run()
        entry.times = []
    for done in range(most):
        if done >= fewest and sum(sum(entry.times) for entry in entries) > effort.seconds:
            return
        for entry in order.sample(entries, len(entries)):
            if threads > 1:
                time.sleep(SETTLE)
            start = time.perf_counter()
            entry.run()
            entry.times.append(time.perf_counter() - start)


def measure_task(task: Task, threads: list[int], effort: Effort) -> list[dict[str, object]]:
    """One dict a form and number of threads; `seconds` is the best round's."""
    entries, found = line_up(task), []
    kind = {"model": task.model, "task": "training" if task.trains else "inference", "batch": task.batch}
    before = torch.get_num_threads()
    for count in threads:
        torch.set_num_threads(count)
        try:
            race(entries, effort, count)
        finally:
            torch.set_num_threads(before)
        for entry in entries:
            named = {**kind, "side": task.side, "threads": count, "form": entry.form, "rounds": len(entry.times)}
            found.append({**named, "seconds": min(entry.times), "median_seconds": statistics.median(entry.times)})
    return found


GROUP = ["model", "task", "batch", "threads"]
"""Measurements that were interleaved and may be compared."""


def with_ratios(measurements: pd.DataFrame) -> pd.DataFrame:
    """The measurements with columns to_fp32 and to_fake_quant: the time over that of the same group's yardstick."""
    table = measurements.copy()
    keys = pd.MultiIndex.from_frame(table[GROUP])
    for form in (FP32, FAKE_QUANT):
        yardstick = table[table["form"] == form].set_index(GROUP)["seconds"]
        table[f"to_{form}"] = table["seconds"].to_numpy() / yardstick.reindex(keys).to_numpy()
    return table


def measure(threads: list[int], effort: Effort, console: Console) -> pd.DataFrame:
    """All tasks, one row a form, with ratios, and what machine and torch they were measured on."""
    found: list[dict[str, object]] = []
    columns = (TextColumn("{task.description:<36}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(TASKS))
        for task in TASKS:
            progress.update(bar, description=task.name)
            found += measure_task(task, threads, effort)
            progress.advance(bar)
    machine = {key: value for key, value in results.machine().items() if key in ("cpu", "cpu_family_model", "torch")}
    return with_ratios(pd.DataFrame(found)).assign(**machine)


def show(found: pd.DataFrame, console: Console) -> None:
    threads = sorted(found["threads"].unique())
    printed = Table(title="time, and over that of fp32 and fake-quant", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    printed.add_column("", no_wrap=True)
    for count in threads:
        for heading in ("ms", "/fp32", "/fake-q."):
            printed.add_column(f"{heading}\n{count} thr.", justify="right", no_wrap=True)
    for (model, task, batch), group in found.groupby(GROUP[:3], sort=False):
        printed.add_row(f"[bold]{model} {task}, batch {batch}")
        for form, rows in group.groupby("form", sort=False):
            by_threads = rows.set_index("threads").reindex(threads)
            cells = [
                cell
                for _, row in by_threads.iterrows()
                for cell in (f"{1e3 * row.seconds:.1f}", f"{row.to_fp32:.2f}", f"{row.to_fake_quant:.2f}")
            ]
            printed.add_row(f"  {form}", *cells)
        printed.add_section()
    console.print(printed)


def summary(found: pd.DataFrame) -> str:
    """One line of JSON: for each task and form the ratios, with the fewest threads."""
    chosen = found[found["threads"] == found["threads"].min()]
    ratios: dict[str, dict[str, dict[str, float]]] = {}
    for row in chosen.itertuples():
        of_task = ratios.setdefault(f"{row.model} {row.task} {row.batch}", {})
        of_task[row.form] = {"to_fp32": round(row.to_fp32, 3), "to_fake_quant": round(row.to_fake_quant, 3)}
    return json.dumps(ratios)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/network.py", description="Networks with tables against fp32.")
    parser.add_argument("--quick", action="store_true", help="40 s: few rounds, 1 thread; ends in JSON")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for network.csv")
    chosen = parser.parse_args(arguments)
    chosen.output = chosen.output or ROOT / ("build/benchmarks/quick" if chosen.quick else "reports/kernels")
    return chosen


def main(arguments: list[str] | None = None) -> None:
    chosen = parse(arguments)
    console = Console()
    cores = len(os.sched_getaffinity(0))
    threads = [count for count in ((1,) if chosen.quick else (1, 2)) if count <= cores]
    found = measure(threads, QUICK if chosen.quick else FULL, console)
    show(found, console)
    chosen.output.mkdir(parents=True, exist_ok=True)
    found.to_csv(chosen.output / "network.csv", index=False, float_format="%.4g")
    console.print(f"written: {chosen.output}/network.csv")
    if chosen.quick:
        print(summary(found))


if __name__ == "__main__":
    main()
