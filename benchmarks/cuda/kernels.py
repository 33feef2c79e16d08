"""Times table products on a CUDA device against libraries and gathers: `python -m benchmarks.cuda.kernels --help`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `python benchmarks/cuda/kernels.py`

from benchmarks.cuda import report
from benchmarks.cuda.bounds import Machine, machine, split_of
from benchmarks.cuda.cases import (
    ANY,
    CONVOLUTIONS,
    FAMILY,
    LOW,
    PRODUCTS,
    SQUARE,
    TABLES,
    Case,
    Convolution,
    Product,
    Task,
    case,
    rank,
)
from benchmarks.cuda.contestants import OPERATOR, PREPARED, TEXTURE, YARDSTICKS, Contestant, check, contestants
from benchmarks.cuda.report import Row, Rows, Target
from benchmarks.cuda.timing import Effort, Entry, clock_during, kernels_of, race, set_up

ROOT = Path(__file__).resolve().parents[2]
FULL, QUICK = Effort(0.25, (5, 30)), Effort(0.05, (3, 10))
COLUMNS = (
    "task", "table", "rank", "terms", "planes", "contestant", "how", "rounds", "seconds", "median_seconds",
    "tera_lookups", *(f"to_{name}" for name in YARDSTICKS), "clock_mhz", "of_bound", "kernels",
)  # fmt: skip
SHOWN = (
    "task", "table", "terms", "planes", "contestant", "tera_lookups", "to_int8", "to_bf16", "to_fp32", "to_texture",
    "of_bound", "kernels",
)  # fmt: skip
PROFILED: dict[str, tuple[Task, str]] = {
    "multiply": (SQUARE, "exact"),
    "multiply_low_rank": (SQUARE, LOW),
    "row_add": (SQUARE, ANY),
    "gather": (Product(32, 2048, 1000), ANY),
    "direct": (CONVOLUTIONS[-1], ANY),
    "conv": (CONVOLUTIONS[3], LOW),
    "texture": (SQUARE, ANY),
}
"""What `--profile NAME` runs, for a profiler around it."""


def jobs(quick: bool) -> list[tuple[Task, str]]:
    """The square one with every table first; then all others with one of each kind."""
    if quick:
        return [(SQUARE, ANY), (SQUARE, LOW), (CONVOLUTIONS[3], LOW), (CONVOLUTIONS[-1], LOW)]
    first = [(SQUARE, name) for name in (ANY, LOW, *FAMILY, *(t for t in TABLES if t not in (ANY, LOW)))]
    rest: list[Task] = [*PRODUCTS[1:], *CONVOLUTIONS]
    return first + [(task, name) for task in rest for name in TABLES]


def line_up(one: Case, device: torch.device) -> list[Entry]:
    """Every contestant set up, checked and captured. Raises WrongResult."""
    entries = []
    for contestant in contestants(one):
        run = contestant.set_up(one)
        if contestant.exact:
            check(contestant.name, one, run())
        entries.append(set_up(contestant.name, run, device))
    return entries


def measure(task: Task, name: str, device: torch.device, effort: Effort) -> list[Row]:
    """One row a contestant. Raises WrongResult."""
    one = case(task, name, device)
    split = split_of(one.lut)
    entries = line_up(one, device)
    race(entries, effort)
    rates = {entry.name: task.lookups / entry.best for entry in entries}
    terms, planes = split or (None, None)
    rows = []
    for entry in entries:
        ours = entry.name in (PREPARED, OPERATOR)
        clock = clock_during(entry) if ours else None
        found: Row = {"task": task.name, "table": name, "rank": rank(name), "terms": terms, "planes": planes}
        found |= {"contestant": entry.name, "how": entry.how, "rounds": len(entry.times), "seconds": entry.best}
        found |= {"median_seconds": entry.median, "tera_lookups": rates[entry.name] / 1e12}
        found |= {f"to_{other}": rates[entry.name] / rates[other] for other in YARDSTICKS if other in rates}
        if ours:
            found |= {"clock_mhz": clock and clock / 1e6, "kernels": kernels_of(entry.run, device)}
            found["of_bound"] = _of_bound(task, split, machine(device, clock), entry.best)
        rows.append(found)
    return rows


def _of_bound(task: Task, split: tuple[int, int] | None, device: Machine, seconds: float) -> float | None:
    """Of groups of few columns, whole entries are looked up: four bytes each, whatever the split."""
    if isinstance(task, Convolution) and task.groups == task.channels:
        split = (0, 4)
    least = None if split is None else device.seconds(task.lookups, *split)
    return None if least is None else least / seconds


def targets(rows: list[Row]) -> list[Target]:
    """What was asked for, on the 4096^3 product, weights prepared. The worst table counts."""
    square = {row["table"]: row for row in rows if row["task"] == SQUARE.name and row["contestant"] == PREPARED}
    low = {name: row for name, row in square.items() if 1 <= row["rank"] <= 4} if {LOW, ANY} <= square.keys() else {}
    square = square if ANY in square else {}
    rate = min((row["tera_lookups"] * 1e12 for row in square.values()), default=None)
    texture = min((row["to_texture"] for row in square.values() if row.get("to_texture")), default=None)
    low_rate = min((row["tera_lookups"] * 1e12 for row in low.values()), default=None)
    share = min((row["to_int8"] * (1 + row["rank"]) for row in low.values() if row.get("to_int8")), default=None)
    return [
        ("any table, lookups a second at 4096^3", rate, ">=", 4e12),
        ("any table, times the texture gather at 4096^3", texture, ">=", 5.0),
        ("rank 1..4 tables, lookups a second at 4096^3", low_rate, ">=", 3e13),
        ("rank r tables, times int8's rate / (1 + r) at 4096^3", share, ">=", 0.25),
    ]


def profile(name: str, device: torch.device) -> None:
    """Runs one kernel three times, after one run that compiles it."""
    task, table = PROFILED[name]
    one = case(task, table, device)
    wanted = TEXTURE if name == "texture" else PREPARED
    chosen: Contestant = next(contestant for contestant in contestants(one) if contestant.name == wanted)
    run = chosen.set_up(one)
    for _ in range(4):
        run()
    torch.cuda.synchronize(device)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/cuda/kernels.py", description="Table products on a CUDA device.")
    parser.add_argument("--quick", action="store_true", help="a minute: four tasks; ends in JSON as the whole does")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for kernels.csv and kernels.md")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--seconds", type=float, default=150, help="no new task is begun after this many (default 150)")
    parser.add_argument("--only", default="", metavar="TEXT", help="tasks and tables whose line holds this text")
    parser.add_argument("--profile", choices=PROFILED, help="only run this kernel, for ncu around it")
    chosen = parser.parse_args(arguments)
    if chosen.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("wanted a CUDA device, torch finds none here: see torch.cuda.is_available()")
    chosen.output = chosen.output or ROOT / ("build/benchmarks/cuda" if chosen.quick else "reports/cuda")
    return chosen


def measure_all(
    tasks: list[tuple[Task, str]], device: torch.device, effort: Effort, seconds: float, rows: Rows, console: Console
) -> bool:
    """Fills the rows, task by task; whether all results were right."""
    start, right = time.monotonic(), True
    for task, name in tasks:
        if time.monotonic() - start > seconds:
            console.print(f"left out for want of time: {task.name} {name}", style="yellow")
            continue
        try:
            rows.add(measure(task, name, device, effort))
        except RuntimeError as error:  # WrongResult is one
            right = False
            console.print(f"[red]FAILED[/red] {task.name} {name}: {type(error).__name__}: {error}", markup=True)
            continue
        best = rows.rows[-1]
        ours = next((row for row in reversed(rows.rows) if row["contestant"] == PREPARED), best)
        console.print(f"{task.name:<36} {name:<16} {ours['tera_lookups']:.3f}e12/s  {ours.get('kernels') or ''}")
    return right


def main(arguments: list[str] | None = None) -> None:
    chosen = parse(arguments)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    if chosen.profile:
        profile(chosen.profile, chosen.device)
        return
    console = Console(width=160, highlight=False)
    rows = Rows(chosen.output / "kernels.csv", COLUMNS)
    effort = QUICK if chosen.quick else FULL
    tasks = [(task, name) for task, name in jobs(chosen.quick) if chosen.only in f"{task.name} {name}"]
    right = measure_all(tasks, chosen.device, effort, chosen.seconds, rows, console)
    wanted = targets(rows.rows)
    table = report.markdown(rows.rows, SHOWN)
    report.write_markdown(chosen.output / "kernels.md", "Table products on a GPU", chosen.device, wanted, table)
    console.print(f"written: {chosen.output}/kernels.csv, kernels.md")
    print(report.as_json(wanted))
    if not right:
        sys.exit("a task failed: see above")


if __name__ == "__main__":
    main()
