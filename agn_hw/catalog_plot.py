"""The catalog as a picture: energy against three errors, the fronts drawn and their multipliers named."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from lut_gen.pareto import FRONT_METRICS, SHOWN_METRICS, fronts

TITLES = {
    "mae": "mean absolute error, LSB",
    "mre_percent": "mean relative error, %",
    "variance": "variance of the error, LSB²",
}
COLOURS = ("#0072B2", "#D55E00", "#00875F", "#C2619A", "#8A6D00", "#7A3E9D", "#3F9CD8", "#5A5A5A")
"""Told apart by the colour-blind, too (after M. Okabe and K. Ito, "Color Universal Design", 2002; darker)."""
MARKERS = "sovD^PX*"
NARROW = "exact, narrower"
OTHER = "#cfcfcf", "o"
DPI = 150
POINT = DPI / 72  # in pixels
BELOW = ((-1, -1), (-1, 0), (0, -1), (-1, -0.5), (-0.5, -1))
ABOVE = ((1, 1), (1, 0), (0, 1), (-1, 1), (1, -1))
NEAR, FAR = (4, 8, 13), (19, 26, 35, 46, 58, 72, 90, 110)
PLACES = (*product(NEAR, BELOW + ABOVE), *product(FAR, BELOW), *product(FAR, ABOVE))
"""Where a name may stand: points between it and its marker, and the side (right, up); the best first."""


def draw(compared: pd.DataFrame, title: str, form: str) -> bytes:
    """A picture ("png" or "svg") of lut_gen.pareto.compared's rows; the same rows give the same bytes.

    Rows of unknown energy are left out. Exact ones of full width have no place on the axis of errors: the cheapest is
    the dotted line.
    """
    rows = compared[compared["energy_fj"] > 0]
    rows = rows.assign(shown_family=rows["family"].where(~rows["narrow"], NARROW))
    styles = _styles(rows)
    with matplotlib.rc_context({"svg.hashsalt": "agn-hw", "font.size": 9}):
        figure = Figure(figsize=(15, 6.2), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)  # keeps one renderer for all measuring of text
        all_axes = figure.subplots(1, len(SHOWN_METRICS))
        for axes, metric in zip(all_axes, SHOWN_METRICS, strict=True):
            _panel(axes, rows, metric, styles)
        figure.suptitle(title.replace("$", r"\$"), x=0.012, ha="left", fontsize=13, fontweight="bold")
        figure.legend(handles=_legend(styles), loc="outside lower center", ncols=9, frameon=False)
        figure.draw_without_rendering()  # constrained layout moves the axes: labels go in when they stand still
        figure.set_layout_engine("none")
        for axes, metric in zip(all_axes, SHOWN_METRICS, strict=True):
            _label(axes, rows, metric, styles)
        picture = io.BytesIO()
        figure.savefig(picture, format=form, metadata={"Software": None} if form == "png" else {"Date": None})
    return picture.getvalue()


def _styles(rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Colour and marker of the families that are on a front; the first is that of exact narrower multipliers."""
    found = {name for metric in SHOWN_METRICS for name in _on_front(rows, metric)["shown_family"]}
    order = [NARROW, *sorted(found - {NARROW})]
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, name in enumerate(order)
    }


def _legend(styles: dict[str, tuple[str, str]]) -> list[Line2D]:
    # matplotlib hides labels with a leading underscore, and reads formulas between $
    labels = {name: f" {name}" if name.startswith("_") else name.replace("$", r"\$") for name in styles}
    handles = [Line2D([], [], ls="none", marker=m, color=c, ms=6, label=labels[f]) for f, (c, m) in styles.items()]
    others = Line2D([], [], ls="none", marker=OTHER[1], color=OTHER[0], ms=4, label="families on no front")
    return [*handles, others, Line2D([], [], color="black", lw=0.9, label="front")]


def _on_front(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows on the front of a metric with an error that a logarithmic axis can show, by energy."""
    front = rows[fronts(rows, [metric]) == FRONT_METRICS[metric]]
    return front[front[metric] > 0].sort_values("energy_fj")


def _panel(axes: Axes, rows: pd.DataFrame, metric: str, styles: dict[str, tuple[str, str]]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes, rows["energy_fj"])
    exact = rows[(rows[metric] == 0) & ~rows["narrow"]]
    front, wrong = _on_front(rows, metric), rows[rows[metric] > 0]
    if len(exact):
        axes.axvline(exact["energy_fj"].min(), color="#5a5a5a", lw=0.9, ls=":", zorder=1)
    for row in wrong.itertuples():
        known = row.shown_family in styles
        colour, marker = styles.get(row.shown_family, OTHER)
        style: dict[str, Any] = {
            "color": colour,
            "alpha": 0.35 if known else 1,
            "ms": 4.5 if known else 3,
            "mew": 0,
            "zorder": 2,
        }
        axes.plot(row.energy_fj, getattr(row, metric), marker, **style)
    dearest = exact["energy_fj"].min() if len(exact) else front["energy_fj"].max()
    energies, errors = [*front["energy_fj"], dearest], [*front[metric], *front[metric][-1:]]
    axes.step(energies[: len(errors)], errors, where="post", color="black", lw=0.9, zorder=3)
    for row in front.itertuples():
        colour, marker = styles[row.shown_family]
        style = {"color": colour, "ms": 6.5, "mec": "white", "mew": 0.6, "zorder": 4}
        axes.plot(row.energy_fj, getattr(row, metric), marker, **style)
    if len(exact):
        style = {"rotation": 90, "ha": "right", "va": "top", "fontsize": 8, "color": "#5a5a5a"}
        axes.text(
            exact["energy_fj"].min(), 0.985, f"{exact['name'].iloc[0]} ", transform=axes.get_xaxis_transform(), **style
        )
    axes.set_title(TITLES[metric], loc="left", fontsize=10.5)
    axes.set_xlabel("energy of a multiplication, fJ")
    axes.grid(color="#ececec", lw=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _plain_ticks(axes: Axes, energies: pd.Series) -> None:
    """20, 50, 100, 200 ...: energies span too few decades for powers of ten."""
    if energies.empty:
        return
    ticks = [m * 10**e for e, m in product(range(-3, 7), (1, 2, 5))]
    low, high = energies.min() / 1.25, energies.max() * 1.15
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_xticks([], minor=True)


def short(name: str, family: str) -> str:
    """What a multiplier's name adds to its family's, which the colour tells: truncated_8x8_d5 -> d5."""
    words = name.split("_")
    known = {*family.split("_"), *family.replace(", ", "_").split("_")}
    rest = [word for word in words if word not in known]
    without_width = [word for word in rest if not re.fullmatch(r"8x8|8", word)]
    return "_".join(without_width or rest) or name


@dataclass
class _Names:
    """The names placed in a panel so far, all in pixels; `markers` are what they must not cover."""

    frame: Bbox
    markers: list[Bbox]
    boxes: list[Bbox] = field(default_factory=list)
    lines: list[Path] = field(default_factory=list)

    def place(self, point: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, bool] | None:
        """Centre of a name of this size beside a marker, and whether it needs a line; None where all is full.

        The nearest place that covers nothing and whose line crosses no name; failing that, one that covers nothing.
        """
        for crossing, (distance, side) in product((False, True), PLACES):
            centre = point + np.array(side) * (distance * POINT + size / 2)
            box = Bbox([centre - size / 2 - 1, centre + size / 2 + 1])
            line = Path([point, centre])
            if not (self.frame.contains(*box.min) and self.frame.contains(*box.max)):
                continue
            if box.count_overlaps([*self.markers, *self.boxes]):
                continue
            crossed = any(other.intersects_bbox(box, filled=False) for other in self.lines)
            if crossing or not (crossed or any(line.intersects_bbox(other, filled=False) for other in self.boxes)):
                self.boxes.append(box)
                self.lines.append(line)
                return centre, distance > NEAR[0]
        return None


def _label(axes: Axes, rows: pd.DataFrame, metric: str, styles: dict[str, tuple[str, str]]) -> None:
    """Names the front's points: below the front first, where nothing lies but other names."""
    names = _Names(axes.get_window_extent().padded(-2 * POINT), _markers(axes, rows, metric))
    for row in _on_front(rows, metric).itertuples():
        place = (row.energy_fj, getattr(row, metric))
        colour = styles[row.shown_family][0]
        style: dict[str, Any] = {"fontsize": 7.5, "color": colour, "ha": "center", "va": "center", "zorder": 5}
        line: dict[str, Any] = {"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 3}
        name = short(str(row.name), str(row.family))
        text = axes.annotate(name, place, xytext=(0, 0), textcoords="offset points", arrowprops=line, **style)
        point = axes.transData.transform(place)
        found = names.place(point, np.array(Text.get_window_extent(text).size))
        if found is None:
            text.remove()
            continue
        text.set_position(tuple((found[0] - point) / POINT))
        if text.arrow_patch is not None:
            text.arrow_patch.set_visible(found[1])


def _markers(axes: Axes, rows: pd.DataFrame, metric: str) -> list[Bbox]:
    """Where a panel's markers and its dotted line are, in pixels."""
    wrong = rows[rows[metric] > 0]
    points = axes.transData.transform(list(zip(wrong["energy_fj"], wrong[metric], strict=True)) or [(1, 1)])
    boxes = [Bbox.from_extents(x, y, x, y).padded(3 * POINT) for x, y in points]
    exact = rows[(rows[metric] == 0) & ~rows["narrow"]]
    if len(exact):
        x = axes.transData.transform((exact["energy_fj"].min(), 1))[0]
        frame = axes.get_window_extent()
        boxes.append(Bbox.from_extents(x - 1, frame.y0, x + 1, frame.y1))
    return boxes
