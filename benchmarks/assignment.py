"""How long optimal assignments take: `python -m benchmarks.assignment` writes reports/codesign/assignment.csv.

Random instances with the structure of real ones: energies of multipliers spread over a factor of 40, their errors fall
with energy and are in part their own and in part the pair's, layers' losses spread over three decades, MACs over two.
One row for each size and limit: seconds and proven gap over INSTANCES instances with three budgets each (with three
operating points: all budgets at once). `--plain SECONDS` also times HiGHS on the plain program (plain_milp), for the
middle budget of one instance each, at most so long; its gap is inf where it found nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/assignment.py`

from agn_hw.search.solver.assignment import (
    Assignment,
    AssignmentError,
    Candidate,
    Hardware,
    Limits,
    assign,
    operating_points,
)
from agn_hw.search.solver.problem import build
from agn_hw.search.solver.settling import total
from benchmarks import plain_milp

ROOT = Path(__file__).resolve().parent.parent
SIZES = ((10, 60), (20, 150), (53, 400))
INSTANCES = 5
TYPES = (1, 2, 3, 4, 8)
SECONDS = 60.0
Instance = tuple[list[Candidate], Hardware, list[float]]
Solver = Callable[[Instance, float], list[Assignment]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.assignment", description=__doc__)
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "codesign")
    parser.add_argument("--plain", type=float, default=0.0, metavar="SECONDS", help="also time the plain program")
    arguments = parser.parse_args()
    cases = [(size, name) for size in SIZES for name in solvers()]
    rows = [measured(*size, name, arguments.plain) for size, name in track(cases, "solving")]
    table = pd.DataFrame(rows)
    arguments.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.output / "assignment.csv", index=False, lineterminator="\n")
    print(table.to_string(index=False))


def solvers() -> dict[str, Solver]:
    """What is timed, by its name in the CSV."""
    found: dict[str, Solver] = {"none": partial(_few_types, None)}
    found |= {f"{types} types": partial(_few_types, types) for types in TYPES}
    found["area"] = lambda one, budget: [assign(one[0], budget, limits=_area(one[1]), hardware=one[1], seconds=SECONDS)]
    found["least area"] = lambda one, budget: [
        assign(one[0], budget, hardware=one[1], objective="area", seconds=SECONDS)
    ]
    found["4 types, 3 points"] = lambda one, budget: operating_points(
        one[0], one[2], limits=Limits(types=4), seconds=SECONDS
    )
    return found


def _few_types(types: int | None, one: Instance, budget: float) -> list[Assignment]:
    return [assign(one[0], budget, limits=Limits(types=types), seconds=SECONDS)]


def _area(hardware: Hardware) -> Limits:
    """Room for three arrays of the median area."""
    return Limits(area_um2=3 * statistics.median(hardware.area_um2.values()))


def measured(layers: int, multipliers: int, name: str, plain: float) -> dict[str, object]:
    """One row: seconds of a solution (candidates in, assignment out), passed and of the processor, and the greatest
    gap."""
    seconds, processor, gaps, infeasible = [], [], [], 0
    for seed in range(INSTANCES):
        one = instance(layers, multipliers, seed)
        for budget in one[2][:1] if "points" in name else one[2]:
            start, busy = time.perf_counter(), time.process_time()
            try:
                found = solvers()[name](one, budget)
            except AssignmentError:
                infeasible += 1
                continue
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
            gaps.append(max(assignment.gap for assignment in found))
    row = {"layers": layers, "multipliers": multipliers, "limit": name, "solved": len(seconds),
           "infeasible": infeasible, "seconds_median": round(statistics.median(seconds), 3),
           "seconds_max": round(max(seconds), 3), "processor_seconds_median": round(statistics.median(processor), 3),
           "processor_seconds_max": round(max(processor), 3), "gap_max": max(gaps)}  # fmt: skip
    if plain and "types" in name and "points" not in name:
        row |= timed_plainly(layers, multipliers, int(name.split()[0]), plain)
    return row


def timed_plainly(layers: int, multipliers: int, types: int, limit: float) -> dict[str, object]:
    """Seconds and gap of HiGHS on the plain program for the middle budget of the first instance."""
    candidates, hardware, budgets = instance(layers, multipliers, 0)
    problem = build(candidates, np.array(budgets[1:2]), np.ones(1), Limits(types=types), hardware)
    start = time.perf_counter()
    found = plain_milp.solve(problem, limit)
    seconds = time.perf_counter() - start
    gap = np.inf if found is None else 1 - found.bound / total(problem, found.picks)
    return {"plain_seconds": round(seconds, 1), "plain_gap": max(0.0, round(float(gap), 6))}


def instance(layers: int, multipliers: int, seed: int) -> tuple[list[Candidate], Hardware, list[float]]:
    """Candidates of every layer with every multiplier, areas and delays, and three budgets: 0.2, 0.5 and 0.8 of the
    way (in logarithms) from the least possible loss to that of the least energy."""
    rng = np.random.default_rng([layers, multipliers, seed])
    rank = rng.random(multipliers)
    energy = 50 * 40**rank  # fJ a product
    macs = 10 ** rng.uniform(4, 6, layers)
    energies = macs[:, None] * energy * np.exp(0.1 * rng.standard_normal((layers, multipliers)))
    own, pair = 0.4 * rng.standard_normal(multipliers), 0.3 * rng.standard_normal((layers, multipliers))
    losses = 10 ** (rng.uniform(-3, 0, layers)[:, None] - 4 * rank + own + pair)
    least = losses.min(axis=1).sum()
    most = losses[np.arange(layers), energies.argmin(axis=1)].sum()
    names = [f"m{i}" for i in range(multipliers)]
    candidates = [
        Candidate(f"layer{i}", names[j], float(energies[i, j]), float(losses[i, j]))
        for i in range(layers)
        for j in range(multipliers)
    ]
    area = 2 * energy * np.exp(0.2 * rng.standard_normal(multipliers))
    delay = 0.5 + rank * rng.uniform(0.5, 1.5, multipliers)
    hardware = Hardware(dict(zip(names, area.tolist(), strict=True)), dict(zip(names, delay.tolist(), strict=True)))
    return candidates, hardware, [float(least * (most / least) ** share) for share in (0.2, 0.5, 0.8)]


if __name__ == "__main__":
    main()
