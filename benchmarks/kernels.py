"""Times every table product against fp32 and against the obvious loops: `python -m benchmarks.kernels --help`."""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/kernels.py`

from agn_hw.kernels import reference
from benchmarks import results, yardsticks
from benchmarks.contestants import Case, Contestant, Run, contestants, instruction_sets, switch_to
from benchmarks.operands import LOW_RANK, OPERANDS, SHAPES, TABLES, Shape, shape_of, table

ROOT = Path(__file__).resolve().parent.parent
SETTLE = 0.005  # seconds in which the threads of the run before stop waiting actively
PATIENCE = 0.5  # seconds for one contestant in one case, checking run apart


class WrongResult(RuntimeError):
    """A contestant's result differs from the reference."""


@dataclass(frozen=True)
class Effort:
    """How long to measure. seconds: aimed at for one case and number of threads; rounds: fewest and most; total: the
    seconds that all of it may take."""

    seconds: float
    rounds: tuple[int, int]
    total: float

    def after(self, spent: float, part: float) -> Effort:
        """The effort for the next case, which completes `part` (0..1) of all, when `spent` seconds are gone: one round
        and a quarter of the time if the machine is too slow or too busy for the total."""
        late = spent > self.total * part
        return replace(self, seconds=self.seconds / 4, rounds=(1, self.rounds[1])) if late else self


FULL = Effort(2.5, (3, 15), 540)
QUICK = Effort(1.6, (3, 9), 18)


@dataclass
class Entry:
    """A contestant on the start line of one case, and its times so far, in seconds."""

    contestant: Contestant
    rows: int
    run: Run
    times: list[float] = field(default_factory=list)


@contextmanager
def threads_set_to(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        switch_to("")


def checked_rows(rows: int) -> torch.Tensor:
    """The output rows that are compared with the reference: the first and last four and eight between."""
    inside = np.random.default_rng(0).integers(0, rows, 8)
    return torch.from_numpy(np.unique(np.clip([*range(4), *range(rows - 4, rows), *inside], 0, rows - 1)))


def expected_rows(case: Case) -> dict[int, torch.Tensor]:
    """The reference's `checked_rows`, int32 [.., N], by the dimensions of a result: 2, the product; 4, the
    convolution."""
    cases = {2: case} if case.shape.images is None else {2: case, 4: case.as_product()}
    picked = checked_rows(case.shape.rows)
    return {dimensions: reference.lut_matmul(one.x[picked], one.w, one.lut) for dimensions, one in cases.items()}


def line_up(field_of: list[Contestant], case: Case, expected: dict[int, torch.Tensor], threads: int) -> list[Entry]:
    """Sets every contestant up, runs it once and checks its result against `expected_rows`. Raises WrongResult."""
    entries = []
    for contestant in field_of:
        part = contestant.part(case)
        switch_to(contestant.isa)
        run = contestant.set_up(part, threads)
        y = run()
        if contestant.exact:
            rows = y if y.dim() == 2 else y.permute(0, 2, 3, 1).flatten(0, 2)
            check(contestant.name, part, rows, expected[y.dim()])
        entries.append(Entry(contestant, part.x.shape[0], run))
    return entries


def check(name: str, case: Case, y: torch.Tensor, expected: torch.Tensor) -> None:
    """Compares y [rows of x, N or more columns] bit for bit with the expected `checked_rows` that it has.

    Raises WrongResult.
    """
    count, columns = case.x.shape[0], case.shape.columns
    if y.shape[0] != count or y.shape[1] < columns:
        raise WrongResult(f"{name}: wanted [{count}, {columns}] sums for {case.shape.name}, got {list(y.shape)}")
    picked = checked_rows(case.shape.rows)
    rows, wanted = picked[picked < count], expected[picked < count]
    wrong = (y[rows, :columns] != wanted).nonzero()
    if len(wrong):
        at, n = wrong[0].tolist()
        m = int(rows[at])
        raise WrongResult(
            f"{name} is wrong on {case.shape.name}: y[{m}, {n}] is {int(y[m, n])}, the reference's {int(wanted[at, n])}"
            f"; {len(wrong)} of {wanted.numel()} compared sums differ"
        )


def race(entries: list[Entry], effort: Effort, threads: int) -> None:
    """Runs all entries in turn, round after round, each round in another order.

    An entry leaves after the most rounds, or after the fewest once it has used its part of the seconds; at once when
    it has used PATIENCE.
    """
    fewest, most = effort.rounds
    share = effort.seconds / len(entries)
    order = random.Random(0)
    for done in range(most):
        for entry in order.sample(entries, len(entries)):
            if sum(entry.times) > (share if done >= fewest else PATIENCE):
                continue
            switch_to(entry.contestant.isa)
            if threads > 1:
                time.sleep(SETTLE)
            start = time.perf_counter()
            entry.run()
            entry.times.append(time.perf_counter() - start)


def measure_case(case: Case, field_of: list[Contestant], threads: list[int], effort: Effort) -> list[dict[str, object]]:
    """One dict a contestant and number of threads."""
    expected = expected_rows(case)
    found: list[dict[str, object]] = []
    for count in threads:
        with threads_set_to(count):
            entries = line_up(field_of, case, expected, count)
            race(entries, effort, count)
        for entry in entries:
            who = entry.contestant
            figures = {"seconds": min(entry.times), "median_seconds": statistics.median(entry.times)}
            named = {"threads": count, "back_end": who.back_end, "isa": who.isa, "kernel": who.kernel}
            found.append({**named, "rows": entry.rows, "rounds": len(entry.times), **figures})
    return found


def line_of(shape: Shape, quick: bool, library: ctypes.CDLL | None) -> list[Contestant]:
    """All contestants for the shape; quick: without other kernels and instruction sets than the automatic choice."""
    best = ("", *instruction_sets()[:1])
    everyone = contestants(shape, library)
    return [one for one in everyone if one.isa in best and one.kernel in ("", "auto")] if quick else everyone


def measure(
    shapes: list[Shape], threads: list[int], quick: bool, library: ctypes.CDLL | None, console: Console
) -> pd.DataFrame:
    """All measurements, one row each; quick: the headline's operands and table only."""
    tables = {name: table(name) for name in TABLES}
    kinds = [("real", LOW_RANK)] if quick else [(operands, name) for operands in OPERANDS for name in tables]
    jobs = [(shape, *kind) for shape in shapes for kind in kinds]
    effort, start, found = QUICK if quick else FULL, time.monotonic(), []
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(jobs))
        for place, (shape, operands, name) in enumerate(jobs, 1):
            progress.update(task, description=f"{shape.name} {operands} {name}")
            case = Case(shape, *OPERANDS[operands](shape, np.random.default_rng(0)), tables[name])
            now = effort.after(time.monotonic() - start, place / len(jobs))
            group = {"shape": shape.name, "operands": operands, "table": name}
            measured = measure_case(case, line_of(shape, quick, library), threads, now)
            found += [{**group, **row} for row in measured]
            progress.advance(task)
    return results.with_ratios(pd.DataFrame(found))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/kernels.py", description="Table products against fp32.")
    parser.add_argument("--quick", action="store_true", help="40 s: one table, real operands; ends in JSON")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for kernels.csv, machine.json and kernels.png")
    parser.add_argument("--threads", type=int, nargs="+", metavar="N", help="default: 1 and 2; with --quick 1")
    parser.add_argument("--shapes", type=shape_of, nargs="+", metavar="MxKxN", default=list(SHAPES))
    chosen = parser.parse_args(arguments)
    cores = len(os.sched_getaffinity(0))
    chosen.threads = chosen.threads or [count for count in ((1,) if chosen.quick else (1, 2)) if count <= cores]
    if not 1 <= min(chosen.threads) <= max(chosen.threads) <= cores:
        parser.error(f"wanted 1..{cores} threads on this machine, got {chosen.threads}")
    chosen.output = chosen.output or ROOT / ("build/benchmarks/quick" if chosen.quick else "reports/kernels")
    return chosen


def main(arguments: list[str] | None = None) -> None:
    chosen = parse(arguments)
    console = Console()
    try:
        library = yardsticks.load()
    except yardsticks.NoCompiler as error:
        library = None
        console.print(f"{error}\nThe scalar and gather loops are left out.", style="yellow")
    try:
        found = measure(chosen.shapes, chosen.threads, chosen.quick, library, console)
    except WrongResult as error:
        sys.exit(f"benchmark stopped: {error}")
    results.show(found, console)
    results.write(found, chosen.output)
    console.print(f"written: {chosen.output}/kernels.csv, machine.json, kernels.png")
    if chosen.quick:
        print(results.summary(found))


if __name__ == "__main__":
    main()
