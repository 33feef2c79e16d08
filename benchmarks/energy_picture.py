"""The picture of `operand_energy`: what each circuit costs beside the exact one, as operands and data order change."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt

REFERENCE = "exact_8x8"
CONDITIONS = {
    "uniform,\nindependent": ("uniform", "output_stationary", "zero"),
    "network,\noutput-stationary": ("network recorded", "output_stationary", "zero"),
    "network,\nactivation-stationary": ("network recorded", "activation_stationary", "zero"),
    "network,\nweight-stationary": ("network recorded", "weight_stationary", "zero"),
    "the same\nwith glitches": ("network recorded", "weight_stationary", "library"),
}
"""What a column shows: operands, data order, delays."""


def draw(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> None:
    """One line a circuit: its energy over that of REFERENCE under the same operands, order and delays (log scale)."""
    energies = pd.DataFrame(
        {
            label: table[(table[["operands", "order", "delays"]] == list(key)).all(axis=1)].set_index("multiplier")[
                "energy_fj"
            ]
            for label, key in CONDITIONS.items()
        }
    )
    relative = energies / energies.loc[REFERENCE]
    figure, axes = plt.subplots(figsize=(11, 6), layout="constrained")
    colours = plt.get_cmap("tab10")
    places = range(len(CONDITIONS))
    for number, name in enumerate(names):
        values = relative.loc[name].to_numpy()
        axes.plot(places, values, marker="o", color=colours(number), linewidth=3 if name == REFERENCE else 1.5)
    for name, height in _apart(relative.loc[list(names)].iloc[:, -1]).items():
        axes.annotate(
            str(name), (len(CONDITIONS) - 1, height), (8, 0), textcoords="offset points", va="center", fontsize=9,
            color=colours(names.index(str(name))),
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_xticks(list(places), list(CONDITIONS))
    axes.set_xlim(-0.2, len(CONDITIONS) - 0.1)
    ticks = [0.1, 0.2, 0.5, 1, 2]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color="0.9")
    axes.set_ylabel(f"energy / energy of {REFERENCE}, both under these operands")
    axes.set_title("What uniform operands hide: energy beside the exact multiplier (sign logic included)", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _apart(heights: pd.Series, factor: float = 1.075) -> pd.Series:
    """The same heights, moved so that neighbours differ by `factor` at least: labels do not overlap."""
    ordered = heights.sort_values()
    for i in range(1, len(ordered)):
        ordered.iloc[i] = max(ordered.iloc[i], ordered.iloc[i - 1] * factor)
    return ordered
