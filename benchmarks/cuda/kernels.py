"""Times table products on a CUDA device against libraries and gathers: `python -m benchmarks.cuda.kernels --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `python benchmarks/cuda/kernels.py`

from benchmarks.cuda import report
from benchmarks.cuda.bounds import Machine, machine, split_of
from benchmarks.cuda.cases import (
    ANY,
    CONVOLUTIONS,
    FAMILY,
    LOW,
    NOISE,
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
    "task", "table", "terms", "planes", "contestant", "how", "tera_lookups", "to_int8", "to_bf16", "to_fp32",
    "to_texture", "of_bound", "kernels",
)  # fmt: skip
FAILED, ALL = "failed", "all"
"""In the columns `how` and `contestant`: of one that gave no times; of a task that did not come to its contestants."""
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
    first = [(SQUARE, name) for name in (ANY, LOW, *FAMILY, *NOISE, *(t for t in TABLES if t not in (ANY, LOW)))]
    rest: list[Task] = [*PRODUCTS[1:], *CONVOLUTIONS]
    return first + [(task, name) for task in rest for name in TABLES]


def line_up(one: Case, device: torch.device, console: Console) -> tuple[list[Entry], list[str]]:
    """The contestants set up, checked and captured; and the names of those that failed, which are told of."""
    entries: list[Entry] = []
    failed: list[str] = []
    for contestant in contestants(one):
        try:
            run = contestant.set_up(one)
            if contestant.exact:
                check(contestant.name, one, run())
            entries.append(set_up(contestant.name, run, device))
        except Exception as error:  # of a compiler, the driver, a library or ours: the others are worth measuring
            failed.append(contestant.name)
            report.tell(console, f"{one.task.name} {one.table} {contestant.name}", error)
    return entries, failed


def measure(task: Task, name: str, device: torch.device, effort: Effort, console: Console) -> list[Row]:
    """One row a contestant; of one that failed, without times."""
    one = case(task, name, device)
    split = split_of(one.lut)
    entries, failed = line_up(one, device, console)
    race(entries, effort)
    rates = {entry.name: task.lookups / entry.best for entry in entries}
    terms, planes = split or (None, None)
    kind: Row = {"task": task.name, "table": name, "rank": rank(name), "terms": terms, "planes": planes}
    rows: list[Row] = []
    for entry in entries:
        ours = entry.name in (PREPARED, OPERATOR)
        clock = clock_during(entry) if ours else None
        found: Row = {**kind, "contestant": entry.name, "how": entry.how, "rounds": len(entry.times)}
        found |= {"seconds": entry.best, "median_seconds": entry.median, "tera_lookups": rates[entry.name] / 1e12}
        found |= {f"to_{other}": rates[entry.name] / rates[other] for other in YARDSTICKS if other in rates}
        if ours:
            found |= {"clock_mhz": clock and clock / 1e6, "kernels": kernels_of(entry.run, device)}
            found["of_bound"] = _of_bound(task, split, machine(device, clock), entry.best)
        rows.append(found)
    return rows + [{**kind, "contestant": lost, "how": FAILED} for lost in failed]


def _of_bound(task: Task, split: tuple[int, int] | None, device: Machine, seconds: float) -> float | None:
    """Of groups of few columns, whole entries are looked up: four bytes each, whatever the split."""
    if isinstance(task, Convolution) and task.groups == task.channels:
        split = (0, 4)
    least = None if split is None else device.seconds(task.lookups, *split)
    return None if least is None else least / seconds


def targets(rows: list[Row]) -> list[Target]:
    """What was asked for, on the 4096^3 product, weights prepared. The worst table counts; where one of them, or the
    yardstick beside it, failed, nothing was measured."""
    ours = (row for row in rows if row["task"] == SQUARE.name and row["contestant"] in (PREPARED, ALL))
    square = {row["table"]: row for row in ours}
    low = [row for row in square.values() if 1 <= row["rank"] <= 4] if {LOW, ANY} <= square.keys() else []
    whole = list(square.values()) if ANY in square else []
    rate = _least((row.get("tera_lookups"), 1e12) for row in whole)
    texture = _least((row.get("to_texture"), 1) for row in whole)
    low_rate = _least((row.get("tera_lookups"), 1e12) for row in low)
    share = _least((row.get("to_int8"), 1 + row["rank"]) for row in low)
    return [
        ("any table, lookups a second at 4096^3", rate, ">=", 4e12),
        ("any table, times the texture gather at 4096^3", texture, ">=", 5.0),
        ("rank 1..4 tables, lookups a second at 4096^3", low_rate, ">=", 3e13),
        ("rank r tables, times int8's rate / (1 + r) at 4096^3", share, ">=", 0.25),
    ]


def _least(products: Iterable[tuple[float | None, float]]) -> float | None:
    """The least of value * factor; None where a value is missing, or all."""
    found = [None if value is None else value * factor for value, factor in products]
    known = [value for value in found if value is not None]
    return min(known) if known and len(known) == len(found) else None


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
) -> None:
    """Fills the rows, task by task. What fails is told of and has a row that says so."""
    start = time.monotonic()
    for task, name in tasks:
        if time.monotonic() - start > seconds:
            console.print(f"left out for want of time: {task.name} {name}", style="yellow")
            continue
        try:
            found = measure(task, name, device, effort, console)
        except Exception as error:  # the same as in line_up
            report.tell(console, f"{task.name} {name}", error)
            found = [{"task": task.name, "table": name, "rank": rank(name), "contestant": ALL, "how": FAILED}]
        rows.add(found)
        for row in found:
            if row["contestant"] == PREPARED and row["how"] != FAILED:
                console.print(f"{task.name:<36} {name:<16} {row['tera_lookups']:.3f}e12/s  {row.get('kernels') or ''}")


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
    measure_all(tasks, chosen.device, effort, chosen.seconds, rows, console)
    wanted = targets(rows.rows)
    table = report.markdown(rows.rows, SHOWN)
    report.write_markdown(chosen.output / "kernels.md", "Table products on a GPU", chosen.device, wanted, table)
    console.print(f"written: {escape(str(chosen.output))}/kernels.csv, kernels.md")
    print(report.as_json(wanted))
    failed = sum(row["how"] == FAILED for row in rows.rows)
    if failed:
        sys.exit(f"{failed} failed: named above, and in kernels.csv")


if __name__ == "__main__":
    main()
