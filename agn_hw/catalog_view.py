"""The catalog in the terminal: building it under a progress bar, and its table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lut_gen import files
from lut_gen.catalog import Catalog
from lut_gen.characterize import Outcome, build
from lut_gen.design import Design
from lut_gen.errors import CatalogError
from lut_gen.pareto import FRONT_METRICS, SHOWN_METRICS, compared, fronts, with_variance

SHOWN = {
    "name": ("name", ""),
    "energy_fj": ("fJ", ".0f"),
    "sign_energy_fj": ("+sign", ".0f"),
    "area_um2": ("um2", ".0f"),
    "delay_ns": ("ns", ".1f"),
    "mae_percent": ("MAE %", ".3f"),
    "mre_percent": ("MRE %", ".2f"),
    "variance": ("variance", ".3g"),
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


def show(folder: Path, family: str | None = None, all_rows: bool = False) -> None:
    """Prints a catalog by energy: the multipliers on a front, or all rows. Raises CatalogError for a foreign family.

    The fronts are those of the widest operands of each signedness, with the exact narrower multipliers among them.
    """
    catalog = Catalog.load(folder)
    console = Console(width=None if sys.stdout.isatty() else 150)
    if all_rows:
        table = _of_family(_with_fronts(catalog.table), family, folder)
        console.print(_rich_table(table, f"{len(table)} multipliers of {folder}, by energy"))
        return
    _of_family(catalog.table, family, folder)
    shown = 0
    for signed in (False, True):
        table = compared(catalog, signed)
        table = table.assign(front=fronts(table, SHOWN_METRICS) if len(table) else "")
        best = table[(table["front"] != "") & ((table["family"] == family) | (family is None))]
        if len(best):
            console.print(_rich_table(best, f"{_kind(table, signed)} of {folder}: on a front, by energy"))
            shown += len(best)
    if not shown:
        console.print("none is on a front (or their energies are not known)")
    console.print(
        "best in: none has less of that error (mean absolute, mean relative, variance) for its energy or less\n"
        "* an exact narrower multiplier in use for these operands: their low bits dropped, the product shifted back\n"
        f"{len(catalog)} multipliers in all: --all",
        highlight=False,
    )


def print_csv(folder: Path, family: str | None = None) -> None:
    """Prints all columns of all rows by energy, comma-separated, with `variance` and `front` (among equal widths)."""
    table = _of_family(_with_fronts(Catalog.load(folder).table), family, folder)
    print(table.to_csv(index=False, lineterminator="\n"), end="")


def plot(folder: Path, picture: Path, signed: bool = False) -> None:
    """Writes the picture (.png or .svg) of the widest multipliers of one signedness. Raises CatalogError."""
    from agn_hw import catalog_plot  # brings matplotlib: only those who draw wait for it

    form = picture.suffix.lower().removeprefix(".")
    if form not in ("png", "svg"):
        raise CatalogError("a picture's name that ends in .png or .svg", f"'{picture}' came", "name it so")
    catalog = Catalog.load(folder)
    table = compared(catalog, signed)
    if not (table["energy_fj"] > 0).any():
        came = f"it has no {'signed' if signed else 'unsigned'} ones of known energy"
        mend = "leave out --signed" if signed else "ask for the others with --signed"
        raise CatalogError(f"multipliers of {folder} to draw", came, mend)
    title = f"{_kind(table, signed)} of {folder} ({catalog.header['technology']['file']})"
    files.write_atomically(picture, catalog_plot.draw(table, title, form))


def _kind(table: pd.DataFrame, signed: bool) -> str:
    a_bits, b_bits = table[["a_bits", "b_bits"]].iloc[0]
    return f"{'signed' if signed else 'unsigned'} {a_bits}x{b_bits} multipliers"


def _with_fronts(table: pd.DataFrame) -> pd.DataFrame:
    table = with_variance(table)
    best_in = fronts(table).replace(" ".join(FRONT_METRICS.values()), "all")
    return table.assign(front=best_in).sort_values("energy_fj", kind="stable")


def _of_family(table: pd.DataFrame, family: str | None, folder: Path) -> pd.DataFrame:
    families = sorted(set(table["family"]))
    if family is None or family in families:
        return table if family is None else table[table["family"] == family]
    came = f"'{family}' came; it has {', '.join(families)}"
    raise CatalogError(f"a family of {folder}", came, "choose one of these")


def _rich_table(table: pd.DataFrame, title: str) -> Table:
    result = Table(title=escape(title), title_justify="left")
    for heading, form in SHOWN.values():
        result.add_column(heading, justify="right" if form else "left", no_wrap=True)
    for row in table.to_dict("records"):
        if row.get("narrow"):
            row["name"] += " *"
        known = {column: row[column] == row[column] for column in SHOWN}  # nan is not itself
        cells = [format(row[column], form) if known[column] else "?" for column, (_, form) in SHOWN.items()]
        result.add_row(*map(escape, cells))
    return result
