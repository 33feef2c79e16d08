"""`agn-hw sweep`: all strategies on many networks, data sets and seeds, and the table of what they need."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agn_hw import arguments
from agn_hw.codesign_command import ENERGY_MODELS, STRATEGIES, wait_asleep
from agn_hw.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from agn_hw.sweep import Outcome

HEADINGS = ("model", "data", "strategy", "types", "max drop", "retrained", "energy", "test drop, points", "held")


def add(commands: argparse._SubParsersAction, catalog: Path) -> None:
    """Adds the command to the command line; `catalog` is the default one."""
    parser = commands.add_parser(
        "sweep",
        help="strategies compared on many networks, data sets and seeds",
        description="One job a network, data set and seed: every strategy at every loss allowed, before and after "
        "retraining, on the test split. Rows are written as jobs finish; stopped or killed, the same command goes on "
        "where it was.",
    )
    parser.add_argument("--models", nargs="+", default=["resnet8"], metavar="NAME", help="default: resnet8")
    parser.add_argument("--data", nargs="+", default=["digits"], metavar="NAME", help="default: digits")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="for sets that are read from local files")
    parser.add_argument("--image-size", type=arguments.positive, metavar="PIXELS", help="as for codesign")
    parser.add_argument("--seeds", nargs="+", type=arguments.seed, default=[0], metavar="N", help="default: 0")
    parser.add_argument(
        "--strategies", nargs="+", choices=STRATEGIES, default=["kl", "exact-narrow"], help="default: kl exact-narrow"
    )
    parser.add_argument(
        "--max-drops", nargs="+", type=arguments.points, default=[1.0], metavar="POINTS", help="default: 1"
    )
    parser.add_argument(
        "--types",
        nargs="+",
        type=arguments.positive,
        default=[],
        metavar="N",
        help="also with at most so many different multipliers (kl, exact-narrow)",
    )
    parser.add_argument("--no-retrain", action="store_true", help="without retraining")
    parser.add_argument("--catalog", type=Path, default=catalog, help="default: %(default)s")
    parser.add_argument("--energy-model", choices=ENERGY_MODELS, default="weight_stationary", help="as for codesign")
    parser.add_argument("--liberty", type=Path, metavar="FILE", help="the catalog's cell library, if it is your own")
    parser.add_argument(
        "--jobs", type=arguments.positive, default=0, metavar="N", help="processes; default: one a core"
    )
    parser.add_argument(
        "--cluster",
        metavar="HOST:PORT",
        help="a Dask scheduler whose workers (--nthreads 1) do the jobs (pip install 'agn-hw[cluster]')",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    wait_asleep()
    from rich.console import Console

    from agn_hw.sweep import TABLE, sweep
    from agn_hw.sweep_jobs import Asked

    cases = _cases(options)
    types = (None, *sorted(set(options.types)))
    asked = Asked(tuple(dict.fromkeys(options.strategies)), tuple(sorted(set(options.max_drops))), types)
    outcomes = list(_shown(sweep(cases, asked, options.output, options.jobs, options.cluster), len(cases)))
    failed = [outcome for outcome in outcomes if outcome.error]
    rows = [row for outcome in outcomes for row in outcome.rows]
    if rows:
        Console(width=None if sys.stdout.isatty() else 140).print(_table(rows))
    reused = sum(outcome.reused for outcome in outcomes)
    done = len(outcomes) - reused - len(failed)
    print(f"{options.output / TABLE}: {done} jobs done, {reused} were there, {len(failed)} failed")
    return 1 if failed else 0


def _cases(options: argparse.Namespace) -> list[Settings]:
    """One a model, data set and seed; their names are checked before anything is computed."""
    from agn_hw.zoo import data, models

    base = Settings(
        "",
        "",
        options.catalog,
        options.output,
        retrain=not options.no_retrain,
        energy_model=options.energy_model,
        liberty=options.liberty,
    )
    names = dict.fromkeys(options.data)
    rooted = [name for name in names if name not in data.BUILT_IN] or names  # none: it is said that none wants them
    sized = [name for name in names if name in data.FOLDERS] or names
    cases = []
    for model in dict.fromkeys(options.models):
        models.check(model)
        for name in names:
            root = options.data_root if name in rooted else None
            size = options.image_size if name in sized else None
            data.check(name, root, size)
            own = replace(base, model=model, data=name, data_root=root, image_size=size)
            cases += [replace(own, seed=seed) for seed in dict.fromkeys(options.seeds)]
    return cases


def _shown(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """The outcomes as they come: a line each, above a bar."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from agn_hw.sweep_jobs import told

    with Progress(console=Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task("jobs", total=total)
        for outcome in outcomes:
            how = f"{outcome.seconds:.0f} s, {len(outcome.rows)} rows"
            if outcome.error is not None:
                how = f"failed: {outcome.error}"
            elif outcome.reused:
                how = "there already"
            progress.console.print(escape(f"{told(outcome.settings)}: {how}"))
            progress.advance(task)
            yield outcome


def _table(rows: Sequence[dict[str, str]]) -> Table:
    """Means over seeds, with the least and the largest."""
    from rich.table import Table

    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        keys = ("model", "data", "strategy", "types", "max_drop", "retrained")
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    seeds = sorted({int(row["seed"]) for row in rows})
    table = Table(title=f"means over seeds {', '.join(map(str, seeds))} (min .. max), test split", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:3] else "right")
    for (model, data, strategy, types, max_drop, retrained), members in groups.items():
        cells = (model, data, strategy, types or "any", max_drop, "yes" if retrained == "True" else "no")
        energy = _spread([100 * float(row["energy_relative"]) for row in members], ".1f", " %")
        drop = _spread([float(row["drop_points"]) for row in members], ".2f")
        held = sum(row["within"] == "True" for row in members)
        table.add_row(*cells, energy, drop, f"{held} of {len(members)}")
    return table


def _spread(values: list[float], form: str, unit: str = "") -> str:
    mean = f"{sum(values) / len(values):{form}}{unit}"
    return mean if len(values) == 1 else f"{mean} ({min(values):{form}} .. {max(values):{form}})"
