"""The tables and the picture of reports/codesign, from the rows of `agn-hw sweep`.

    python -m benchmarks.codesign [SWEEP.csv] [--output reports/codesign]

prints the tables as Markdown and writes energy.png. Means over seeds, with the least and the largest; what held on
validation images in some seeds only is said.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from agn_hw.pareto import STYLES
from lut_gen.files import write_atomically

REPORT = Path("reports/codesign")
STRATEGIES = tuple(STYLES)


def load(path: Path) -> pd.DataFrame:
    """Rows with `case` (model, data) and `energy` in percent; `types` 0 where any number is allowed."""
    rows = pd.read_csv(path)
    rows["case"] = rows["model"] + ", " + rows["data"]
    rows["energy"] = 100 * rows["energy_relative"]
    rows["types"] = rows["types"].fillna(0).astype(int)
    return rows


def cell(rows: pd.DataFrame, column: str, digits: int) -> str:
    """Mean (least .. largest) over seeds; in how many it held, if not in all."""
    if rows.empty:
        return ""
    values = rows[column]
    text = f"{values.mean():.{digits}f}"
    if len(values) > 1:
        text += f" ({values.min():.{digits}f} .. {values.max():.{digits}f})"
    held = int(rows["within"].sum())
    return text if held == len(rows) else f"{text} [{held}/{len(rows)} held]"


def strategies(rows: pd.DataFrame) -> str:
    """Energy and test loss of each strategy, for each case and loss allowed."""
    lines = ["| network, data | allowed | strategy | energy % | test loss, points | retrained: energy % | test loss |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for (case, drop), part in rows[rows["types"] == 0].groupby(["case", "max_drop"], sort=False):
        for name in STRATEGIES:
            own = part[part["strategy"] == name]
            before, after = own[~own["retrained"]], own[own["retrained"]]
            cells = [
                cell(one, column, digits)
                for one in (before, after)
                for column, digits in (("energy", 1), ("drop_points", 2))
            ]
            lines.append(f"| {case} | {drop:g} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def types(rows: pd.DataFrame) -> str:
    """Energy with few distinct multipliers, before retraining."""
    rows = rows[~rows["retrained"] & rows["strategy"].isin(["kl", "exact-narrow"])]
    limits = sorted(set(rows["types"]) - {0})
    lines = ["| network, data | allowed | strategy | " + " | ".join(map(str, limits)) + " | any |",
             "|---|---|---|" + "---|" * (len(limits) + 1)]  # fmt: skip
    for (case, drop, name), part in rows.groupby(["case", "max_drop", "strategy"], sort=False):
        cells = [cell(part[part["types"] == limit], "energy", 1) for limit in (*limits, 0)]
        lines.append(f"| {case} | {drop:g} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def seconds(rows: pd.DataFrame) -> str:
    """Mean seconds of proposals, of trials (without a limit of types) and of retraining."""
    rows = rows[rows["types"] == 0]
    lines = ["| network, data | " + " | ".join(STRATEGIES) + " |", "|---|" + "---|" * len(STRATEGIES)]
    for case, part in rows.groupby("case", sort=False):
        cells = []
        for name in STRATEGIES:
            own = part[part["strategy"] == name]
            each = own.groupby(["seed", "retrained"])[["proposing", "trying"]].sum().groupby("retrained").mean()
            spent = [each.loc[kind, what] for kind in each.index for what in ("proposing", "trying")]
            cells.append(" + ".join(f"{value:.0f}" for value in spent if value >= 0.5))
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(rows: pd.DataFrame, drop: float) -> bytes:
    """Energy of each strategy at one loss allowed, a group of bars a case; hatched after retraining. PNG."""
    rows = rows[(rows["types"] == 0) & (rows["max_drop"] == drop)]
    cases = list(dict.fromkeys(rows["case"]))
    figure = Figure(figsize=(2.4 + 2.4 * len(cases), 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(STRATEGIES)
    for number, name in enumerate(STRATEGIES):
        for retrained in (False, True):
            own = rows[(rows["strategy"] == name) & (rows["retrained"] == retrained)].groupby("case")["energy"]
            places = [place - 0.4 + (number + 0.5) * width for place, case in enumerate(cases) if case in own.groups]
            mean, low, high = (
                getattr(own, what)().reindex([c for c in cases if c in own.groups]) for what in ("mean", "min", "max")
            )
            axes.bar(
                places,
                mean,
                width * (0.5 if retrained else 0.9),
                color="none" if retrained else STYLES[name][0],
                edgecolor="black" if retrained else "none",
                hatch="////" if retrained else None,
                linewidth=0.6,
                yerr=None if retrained else [mean - low, high - mean],
                error_kw={"elinewidth": 0.8},
                label=None if retrained else name,
            )
    axes.set_xticks(range(len(cases)), cases)
    axes.set_ylabel("multiplication energy, exact 8-bit = 100 %")
    axes.set_title(
        f"at most {drop:g} point{'s' * (drop != 1)} lost: mean of seeds, least and largest; hatched: retrained"
    )
    axes.legend(fontsize=8, ncols=3)
    axes.grid(axis="y", alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, metadata={"Software": None})
    return picture.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", nargs="?", type=Path, default=REPORT / "sweep.csv")
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args()
    rows = load(options.sweep)
    for title, table in (("Strategies", strategies), ("Few types", types), ("Seconds", seconds)):
        print(f"## {title}\n\n{table(rows)}\n")
    write_atomically(options.output / "energy.png", draw(rows, 1.0))


if __name__ == "__main__":
    main()
