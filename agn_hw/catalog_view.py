"""The catalog in the terminal: building it under a progress bar, and its table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lut_gen.catalog import Catalog
from lut_gen.characterize import Outcome, build
from lut_gen.design import Design
from lut_gen.errors import CatalogError
from lut_gen.pareto import FRONT_METRICS, fronts

SHOWN = {
    "name": ("name", ""),
    "energy_fj": ("fJ", ".0f"),
    "sign_energy_fj": ("+sign", ".0f"),
    "area_um2": ("um2", ".0f"),
    "delay_ns": ("ns", ".1f"),
    "mae_percent": ("MAE %", ".3f"),
    "mre_percent": ("MRE %", ".2f"),
    "wce": ("WCE", ".0f"),
    "ep_percent": ("EP %", ".1f"),
    "front": ("best in", ""),
}
"""Column -> heading and number format."""


def build_with_progress(
    designs: list[Design], catalog: Path, library: Path, jobs: int, cluster: str | None = None
) -> int:
    """Builds a catalog and reports; exit status 0, 1 if some design failed, 2 if all did."""
    outcomes = list(_shown(build(designs, catalog, library, jobs, cluster), len(designs)))
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        print(f"{outcome.design.name}: {outcome.error}", file=sys.stderr)
    built = sum(not o.reused and o.error is None for o in outcomes)
    reused = sum(o.reused for o in outcomes)
    print(f"{catalog}: {built} built, {reused} unchanged, {len(failed)} failed")
    others = len(Catalog.load(catalog)) - built - reused
    if others:
        print(f"{others} designs of other lists stay in it, and can be chosen; delete the folder to be rid of them")
    if not failed:
        return 0
    return 2 if len(failed) == len(outcomes) else 1


def _shown(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """The outcomes as they come, under a bar with the time left, the rate and the failures so far."""
    bar = (TextColumn("multipliers"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*bar, TextColumn("{task.description}"), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        started, built, failures = monotonic(), 0, 0
        for outcome in outcomes:
            built += not outcome.reused
            failures += outcome.error is not None
            rate = f"{built / (monotonic() - started):.1f} a second" if built else "unchanged so far"
            progress.update(task, advance=1, description=f"{rate}, {failures} failed" if failures else rate)
            yield outcome


def show(folder: Path, family: str | None, csv: bool) -> None:
    """Prints a catalog's rows by energy. Raises CatalogError for a family that it has not."""
    table = Catalog.load(folder).table
    best_in = fronts(table).replace(" ".join(FRONT_METRICS.values()), "all")
    table = table.assign(front=best_in).sort_values("energy_fj", kind="stable")
    if family is not None:
        families = sorted(set(table["family"]))
        if family not in families:
            came = f"'{family}' came; it has {', '.join(families)}"
            raise CatalogError(f"a family of {folder}", came, "choose one of these")
        table = table[table["family"] == family]
    if csv:
        print(table.to_csv(index=False, lineterminator="\n"), end="")
    else:
        Console(width=None if sys.stdout.isatty() else 150).print(_rich_table(table, folder))


def _rich_table(table: pd.DataFrame, folder: Path) -> Table:
    result = Table(title=f"{len(table)} multipliers of {folder}, by energy", title_justify="left")
    for heading, form in SHOWN.values():
        result.add_column(heading, justify="right" if form else "left", no_wrap=True)
    for row in table.to_dict("records"):
        result.add_row(*(format(row[column], form) for column, (_, form) in SHOWN.items()))
    return result
