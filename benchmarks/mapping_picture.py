"""Draws mapping.csv: what each step from the field's usual mapping to ours brings, circuit by circuit."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

STEPS = (
    ("affine", "gain and bias", "affine, compensated", "#999999", "s"),
    ("default", "none", "whole port", "#9ecae1", "o"),
    ("default", "gain and bias", "whole port, compensated", "#3182bd", "o"),
    ("remap, order, pre-scale", "gain and bias", "remap, order, pre-scale, compensated", "#e6550d", "D"),
)
"""Mapping, compensation, label, colour and marker, from worst to best."""


def draw(table: pd.DataFrame, path: Path) -> None:
    """One line a circuit, dearest on top; accuracies in per cent, means of the seeds."""
    means = table.groupby(["multiplier", "mapping", "compensation"])["accuracy"].mean() * 100
    energies = table.groupby("multiplier")["energy_relative"].first().sort_values()
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(energies) + 1.6), layout="constrained")
    for row, name in enumerate(energies.index):
        shown = [means.get((name, mapping, compensation)) for mapping, compensation, *_ in STEPS]
        known = [value for value in shown if value is not None]
        axes.plot([min(known), max(known)], [row, row], color="#dddddd", zorder=1)
        for value, (_, _, label, colour, marker) in zip(shown, STEPS, strict=True):
            if value is not None:
                axes.scatter(value, row, color=colour, marker=marker, s=30, zorder=2, label=label if row == 0 else None)
    for _, _, label, colour, marker in STEPS[:1]:  # the lowest circuit may have no affine form
        axes.scatter([], [], color=colour, marker=marker, s=30, label=label)
    exact = 100 * table["exact_accuracy"].mean()
    axes.axvline(exact, color="black", linewidth=0.8, linestyle=":")
    axes.text(exact, len(energies) - 0.4, "exact ", ha="right", va="bottom", fontsize=8)
    axes.set_yticks(range(len(energies)), [f"{name}  {energy:.0%}" for name, energy in energies.items()], fontsize=8)
    axes.set_xlabel("test accuracy %, one multiplier in all layers, no retraining (right of its name: energy)")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    order = [label for _, _, label, _, _ in STEPS if label in unique]
    axes.legend([unique[label] for label in order], order, loc="upper left", fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
