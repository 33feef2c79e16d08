"""The catalog's picture: all that it must name, nothing on top of anything, the same bytes again."""

import io
import itertools

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from agn_hw import catalog_plot
from agn_hw.catalog_plot import draw, short


def rows(*points, **columns):
    """Rows as lut_gen.pareto.compared gives them: (name, family, energy, error, narrow)."""
    return pd.DataFrame(
        [
            {"name": name, "family": family, "a_bits": 8, "b_bits": 8, "signed": False, "energy_fj": energy}
            | {"mae": error, "mre_percent": error / 7, "variance": 10 * error**2, "narrow": narrow, **columns}
            for name, family, energy, error, narrow in points
        ]
    )


STAIRS = [(f"cut_8x8_d{i}", "cut", 100.0 * 1.07**i, 1000.0 * 0.8**i, False) for i in range(20)]
BESIDE = [(f"other_{i}", "other", 130.0 * 1.1**i, 1500.0 * 0.8**i, False) for i in range(12)]
TABLE = rows(
    ("exact_8x8", "exact_array", 500.0, 0.0, False), ("exact_4x4", "exact_array", 60.0, 3000.0, True), *STAIRS, *BESIDE
)


@pytest.fixture
def figure(monkeypatch):
    """The figure of the last draw."""
    kept = []
    savefig = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kwargs: (kept.append(self), savefig(self, *args, **kwargs))
    )
    return lambda: kept[-1]


def test_a_picture_of_three_panels_with_the_front_named(figure):
    data = draw(TABLE, "the title", "png")
    image = matplotlib.image.imread(io.BytesIO(data))
    assert image.shape[0] > 800 and image.shape[1] > 2000 and image.std() > 0.05
    axes = figure().axes
    assert len(axes) == 3 and all(a.get_xscale() == a.get_yscale() == "log" for a in axes)
    for panel in axes:
        named = {text.get_text() for text in panel.texts if isinstance(text, Annotation)}
        assert named == {"4x4", *(f"d{i}" for i in range(20))}
        assert "exact_8x8 " in {text.get_text() for text in panel.texts}


def test_the_axes_numbers_are_read_as_numbers(figure):
    draw(TABLE, "the title", "svg")
    ticks = [text for axes in figure().axes for text in axes.get_yticklabels() if text.get_text()]
    assert ticks and all(text.get_parse_math() for text in ticks)


def test_labels_lie_on_nothing_and_inside(figure):
    draw(TABLE, "the title", "png")
    for panel in figure().axes:
        boxes = [Text.get_window_extent(text) for text in panel.texts if isinstance(text, Annotation)]
        assert len(boxes) == 21
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        frame = panel.get_window_extent()
        assert all(
            frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes
        )
        points = (
            panel.transData.transform(TABLE[TABLE.mae > 0][["energy_fj", "mae"]]) if panel is figure().axes[0] else []
        )
        assert not any(box.contains(*point) for box in boxes for point in points)


def test_the_front_is_drawn_as_stairs(figure):
    draw(TABLE, "the title", "png")
    stairs = [line for line in figure().axes[0].lines if line.get_drawstyle() == "steps-post"]
    assert len(stairs) == 1
    x, y = stairs[0].get_data()
    expected = sorted((energy, error) for _, _, energy, error, _ in [*STAIRS, ("", "", 60.0, 3000.0, True)])
    assert list(zip(x, y, strict=True))[:-1] == expected and (x[-1], y[-1]) == (500.0, expected[-1][1])


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_rows_the_same_bytes(form):
    first = draw(TABLE, "the title", form)
    assert first == draw(TABLE.copy(), "the title", form) and first != draw(TABLE[:-3], "the title", form)
    assert first[:4] == b"\x89PNG" if form == "png" else (b"<svg" in first and b"the title" in first)


@pytest.mark.parametrize(
    "table",
    [
        rows(("only_exact", "f", 100.0, 0.0, False)),
        rows(("one", "f", 100.0, 3.0, False)),
        rows(("unknown", "f", np.nan, 3.0, False), ("two", "f", 5.0, 3.0, False)),
        rows(*((f"a$b_{i}", f"family_{i}", 10.0 + i, 30.0 - i, False) for i in range(25))),
        rows(("constant", "f", 10.0, 3.0, False), variance=0.0),
        rows(("a", "_hidden", 10.0, 3.0, False), ("b", r"$\no$ {math", 11.0, 2.0, False), ("c", "", 12.0, 1.0, False)),
    ],
    ids=["exact only", "one", "unknown energy", "many families, odd names", "no variance", "odd families"],
)
def test_odd_catalogs_are_drawn(table):
    assert draw(table, r"$\title_{$", "png")[:4] == b"\x89PNG"


def test_families_differ_in_colour_and_marker(figure):
    table = rows(*((f"m{i}", f"family_{i}", 10.0 + i, 30.0 - i, False) for i in range(20)))
    draw(table, "", "png")
    handles = figure().legends[0].legend_handles[:-2]  # the last: families on no front, the front
    assert len({(line.get_color(), line.get_marker()) for line in handles}) == len(handles) == 21
    assert len(set(catalog_plot.COLOURS)) == len(set(catalog_plot.MARKERS)) == 8


@pytest.mark.parametrize(
    ("name", "family", "label"),
    [
        ("truncated_8x8_d6_or", "truncated", "d6_or"),
        ("exact_4x3", "exact_array", "4x3"),
        ("drum_8_k3_signed", "drum_signed", "k3"),
        ("baugh_wooley_8x8", "baugh_wooley", "8x8"),
        ("truncated", "truncated", "truncated"),
        ("mul8u_1CMB", "imported", "mul8u_1CMB"),
    ],
)
def test_labels_leave_out_what_the_colour_says(name, family, label):
    assert short(name, family) == label
