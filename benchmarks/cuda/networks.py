"""Times ResNet-50 and VGG16 with tables on a CUDA device: `python -m benchmarks.cuda.networks --help`.

Random weights and images; float networks keep their BatchNorm, quantised ones have it folded.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `python benchmarks/cuda/networks.py`

import agn_hw
from agn_hw.nn.layers import table_layers
from agn_hw.recipe import trained_parameters
from agn_hw.zoo import models
from benchmarks.cuda import report
from benchmarks.cuda.cases import LOW, table
from benchmarks.cuda.report import Row, Rows, Target
from benchmarks.cuda.timing import Effort, Entry, captured, race, set_up

ROOT = Path(__file__).resolve().parents[2]
FULL, QUICK = Effort(1.0, (5, 20)), Effort(0.2, (3, 5))
FP32, BF16, FAKE_QUANT = "fp32", "bf16", "quantised, no table"
TABLES = ("exact", LOW, "or_adder_array")
"""Of `operands.TABLES`: the product itself, one whose error has rank 4 or less, one of high rank."""
COMPILED, GRAPH = ", compiled", ", CUDA graph"
COLUMNS = ("model", "task", "batch", "side", "form", "rounds", "seconds", "median_seconds", "to_fp32", "to_bf16")


@dataclass(frozen=True)
class Task:
    """A forward pass without gradients, or (`trains`) forward, backward and a step of SGD."""

    model: str
    batch: int
    side: int
    classes: int = 1000
    trains: bool = False

    @property
    def name(self) -> str:
        return f"{self.model.removeprefix('torchvision:')} {'training' if self.trains else 'inference'}"


NETWORKS = {"resnet50": "torchvision:resnet50", "vgg16": "torchvision:vgg16"}
BATCH, SIDE = 64, 224
Step = Callable[[], torch.Tensor]


def images(count: int, side: int, seed: int) -> torch.Tensor:
    """Smooth patches with noise, in 0..1: float32 [count, 3, side, side]."""
    generator = torch.Generator().manual_seed(seed)
    patches = F.interpolate(torch.rand(count, 3, 6, 6, generator=generator), (side, side), mode="bilinear")
    return 0.7 * patches + 0.3 * torch.rand(count, 3, side, side, generator=generator)


@cache
def networks(model: str, side: int, classes: int, device: torch.device) -> tuple[nn.Module, nn.Module]:
    """The float network with the BatchNorm statistics of a few batches, and the same quantised; on the processor."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = models.build(model, 3, classes).to(device).train()
    with torch.no_grad():
        for seed in range(4):
            plain(images(16, side, seed).to(device))
    plain = plain.cpu().eval()
    return plain, agn_hw.quantize(plain, [images(4, side, seed=4)])


def with_table(quantised: nn.Module, name: str) -> nn.Module:
    """A copy whose layers all have this table, with straight-through gradients."""
    made = copy.deepcopy(quantised)
    for layer in table_layers(made).values():
        layer.set_table(table(name).numpy(), 1.0)
    return made


def step_of(task: Task, model: nn.Module, device: torch.device, compiled: bool = False, half: bool = False) -> Step:
    """One run of the task. half: in bf16 where torch's autocast says so, channels last."""
    layout = torch.channels_last if half else torch.contiguous_format
    model = copy.deepcopy(model).to(device).to(memory_format=layout).train(task.trains)
    call = torch.compile(model) if compiled else model
    x = images(task.batch, task.side, seed=5).to(device).to(memory_format=layout)

    def forward() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return call(x)

    if not task.trains:
        return torch.no_grad()(forward)
    labels = torch.randint(task.classes, (task.batch,), generator=torch.Generator().manual_seed(6)).to(device)
    trained = trained_parameters(model)
    optimizer = torch.optim.SGD([*trained.weights, *trained.biases], lr=1e-4, momentum=0.9)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(forward().float(), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def forms(task: Task, device: torch.device, compiles: bool) -> dict[str, Callable[[], Step]]:
    """What is timed, by name, not made yet; ours first, for time may run out."""
    plain, quantised = networks(task.model, task.side, task.classes, device)
    made: dict[str, Callable[[], Step]] = {FP32: lambda: step_of(task, plain, device)}
    for name in TABLES:
        made[name] = lambda name=name: step_of(task, with_table(quantised, name), device)
    made[FAKE_QUANT] = lambda: step_of(task, quantised, device)
    made[BF16] = lambda: step_of(task, plain, device, half=True)
    if compiles:
        made[FP32 + COMPILED] = lambda: step_of(task, plain, device, compiled=True)
        made[BF16 + COMPILED] = lambda: step_of(task, plain, device, compiled=True, half=True)
    return made


def line_up(task: Task, device: torch.device, compiles: bool, until: float, console: Console) -> list[Entry]:
    """Every form, set up; one that fails is told of and left out, compilers are left out when time is up."""
    entries: list[Entry] = []
    for form, make in forms(task, device, compiles).items():
        if COMPILED in form and time.monotonic() > until:
            console.print(f"left out for want of time: {task.name} {form}", style="yellow")
            continue
        try:
            run = make()
            entries.append(set_up(form, run, device, graph=False, piece=0.0))
            graph = not task.trains and COMPILED not in form and device.type == "cuda"
            replay = captured(run, 1) if graph else None
            if graph and replay is None:
                console.print(f"no CUDA graph of {task.name} {form}: it could not be captured", style="yellow")
        except Exception as error:  # of a compiler, a library or ours: the others are still worth measuring
            report.tell(console, f"{task.name} {form}", error)
            continue
        if replay is not None:
            entries.append(set_up(form + GRAPH, replay, device, graph=False, piece=0.0))
    return entries


def measure(
    task: Task, device: torch.device, effort: Effort, compiles: bool, until: float, console: Console
) -> list[Row]:
    """One row a form."""
    entries = line_up(task, device, compiles, until, console)
    race(entries, effort)
    times = {entry.name: entry.median for entry in entries}
    kind = {"model": task.model, "task": task.name.split()[-1], "batch": task.batch, "side": task.side}
    rows: list[Row] = []
    for entry in entries:
        row: Row = {**kind, "form": entry.name, "rounds": len(entry.times), "seconds": entry.best}
        row["median_seconds"] = entry.median
        row |= {f"to_{other}": entry.median / times[other] for other in (FP32, BF16) if other in times}
        rows.append(row)
    return rows


def targets(rows: list[Row]) -> list[Target]:
    """What was asked for: ResNet-50's time with the low-rank table over that in fp32; and as a CUDA graph."""
    found = {(row["model"], row["task"], row["form"]): row.get("to_fp32") for row in rows}
    model = NETWORKS["resnet50"]
    return [
        ("resnet50 inference, rank <= 4 table, time over fp32", found.get((model, "inference", LOW)), "<=", 1.5),
        ("the same as a CUDA graph, over eager fp32", found.get((model, "inference", LOW + GRAPH)), "<=", 1.5),
        ("resnet50 training step, rank <= 4 table, time over fp32", found.get((model, "training", LOW)), "<=", 1.3),
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/cuda/networks.py", description="Networks on a CUDA device.")
    parser.add_argument("--quick", action="store_true", help="a minute: ResNet-50 alone, few rounds, nothing compiled")
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for networks.csv and networks.md")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--side", type=int, default=SIDE, help="pixels of an image")
    parser.add_argument("--seconds", type=float, default=200, help="nothing is compiled after this many (default 200)")
    chosen = parser.parse_args(arguments)
    if chosen.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("wanted a CUDA device, torch finds none here: see torch.cuda.is_available()")
    chosen.models = chosen.models[:1] if chosen.quick else chosen.models
    chosen.output = chosen.output or ROOT / ("build/benchmarks/cuda" if chosen.quick else "reports/cuda")
    return chosen


def main(arguments: list[str] | None = None) -> None:
    chosen = parse(arguments)
    until = time.monotonic() + chosen.seconds
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    console = Console(width=160, highlight=False)
    name = "networks" if len(chosen.models) == len(NETWORKS) or chosen.quick else f"networks_{chosen.models[0]}"
    rows = Rows(chosen.output / f"{name}.csv", COLUMNS)
    effort = QUICK if chosen.quick else FULL
    for model in chosen.models:
        for trains in (False, True):
            task = Task(NETWORKS[model], chosen.batch, chosen.side, trains=trains)
            found = measure(task, chosen.device, effort, not chosen.quick, until, console)
            rows.add(found)
            for row in found:
                console.print(f"{task.name:<20} {row['form']:<40} {1e3 * row['seconds']:8.2f} ms  "
                              f"{row.get('to_fp32', float('nan')):.2f} x fp32")
            torch.compiler.reset()
    wanted = targets(rows.rows)
    table_of_rows = report.markdown(rows.rows, COLUMNS)
    title = "Networks with tables on a GPU"
    report.write_markdown(chosen.output / f"{name}.md", title, chosen.device, wanted, table_of_rows)
    console.print(f"written: {escape(str(chosen.output))}/{name}.csv, {name}.md")
    print(report.as_json(wanted))
    measured = {(row["model"], row["task"], row["form"]) for row in rows.rows}
    wanted_tasks = [(model, kind) for model in chosen.models for kind in ("inference", "training")]
    missing = [
        f"{model} {kind} {form}" for model, kind in wanted_tasks for form in (FP32, *TABLES)
        if (NETWORKS[model], kind, form) not in measured
    ]
    if missing:
        sys.exit(f"failed, see above: {', '.join(missing)}")


if __name__ == "__main__":
    main()
