"""The tables and the picture of reports/hardware_loop, from plans and what `agn-hw verify` measured.

    python -m benchmarks.hardware_loop reports/hardware_loop/resnet8-digits reports/hardware_loop/resnet8-shapes

Each folder holds a plan.json and the verify.csv of its run. Prints the tables as Markdown, writes savings.png beside
the folders.
"""

from __future__ import annotations

import argparse
import io
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agn_hw.accelerator.config import Plan
from agn_hw.accelerator.system import LEVELS
from lut_gen.files import write_atomically

PARTS = ("multiplier", "accumulator", "registers", "clock", "idle")
"""Of an element's energy, as verify.csv has them."""
COLORS = {"multiplier": "#d1495b", "element": "#2f6db3", "array": "#9a9a9a"}
OTHERS = {
    "uniform": "one multiplier everywhere",
    "exact_narrow": "exact narrow",
    "exact_narrow_retrained": "exact narrow, retrained",
    "plan": "plan before retraining",
}


def layers(plan: Plan, measured: pd.DataFrame) -> str:
    """A row a layer: predicted and measured energies of a multiplication, fJ."""
    lines = [
        "| layer | multiplier | bits: sum / total | cycles an image | utilised | sums equal | multiplier fJ: weights "
        "held, predicted, **measured** | element fJ: predicted, **measured** | accumulator, registers, clock, idle |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in measured.to_dict("records"):
        predicted = plan.array["layers"][row["layer"]]["energy_fj"]
        own = {part: row[f"{part}_fj"] for part in PARTS}
        element = sum(predicted[part] for part in PARTS)
        equal = row["sums"] - row["sums_differ"]
        lines.append(
            f"| {row['layer']} | {row['multiplier']} | {row['sum_bits']} / {row['acc_bits']} "
            f"| {row['cycles'] / row['images']:,.0f} | {row['utilization']:.0%} | {equal:,} of {row['sums']:,} "
            f"| {row['plan_multiplier_fj']:.0f}, {predicted['multiplier']:.0f}, **{own['multiplier']:.0f}** "
            f"| {element:.0f}, **{sum(own.values()):.0f}** | "
            + ", ".join(f"{own[part]:.0f}" for part in PARTS[1:])
            + " |"
        )
    return "\n".join(lines)


def networks(plan: Plan) -> dict[str, dict[str, float]]:
    """Relative energy by level of everything that the plan knows, percent."""
    others = plan.array["others"]
    found: dict[str, Any] = {told: others[name] for name, told in OTHERS.items() if name in others}
    found["plan"] = {level: own["energy_relative"] for level, own in plan.array["levels"].items()}
    return {name: {level: 100 * own[level] for level in LEVELS} for name, own in found.items()}


def savings(plans: dict[str, Plan]) -> str:
    """A row a network: energies at the three levels."""
    lines = ["| run | network | multipliers | elements | arrays |", "|---|---|---|---|---|"]
    for name, plan in plans.items():
        for network, own in networks(plan).items():
            lines.append(f"| {name} | {network} | " + " | ".join(f"{own[level]:.1f} %" for level in LEVELS) + " |")
    return "\n".join(lines)


def draw(plans: dict[str, Plan]) -> bytes:
    """Energies at the three levels, a panel a run, as PNG."""
    figure = Figure(figsize=(8.4, 4.0), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(plans), squeeze=False, sharey=True)[0]
    for axes, (name, plan) in zip(panels, plans.items(), strict=True):
        _panel(axes, name, networks(plan))
    panels[0].set_ylabel("energy, exact 8-bit = 100 %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(LEVELS), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, title: str, found: dict[str, dict[str, float]]) -> None:
    for i, level in enumerate(LEVELS):
        places = [place + 0.27 * (i - 1) for place in range(len(found))]
        bars = axes.bar(places, [own[level] for own in found.values()], 0.25, label=f"{level}s", color=COLORS[level])
        axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    axes.set_xticks(range(len(found)), [textwrap.fill(name, 12) for name in found])
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    folders = parser.parse_args().folders
    plans = {folder.name: Plan.load(folder) for folder in folders}
    for folder in folders:
        print(f"### {folder.name}\n\n{layers(plans[folder.name], pd.read_csv(folder / 'verify.csv'))}\n")
    print(savings(plans))
    write_atomically(folders[0].parent / "savings.png", draw(plans))


if __name__ == "__main__":
    main()
