"""Which kernel computes a product: expected times from measured rates, in one table.

The rates come from `benchmarks/tuning.py` (reports/kernels/tuning.csv); only their ratios matter.
"""

from __future__ import annotations

from typing import NamedTuple

from agn_hw.kernels import native


class Rates(NamedTuple):
    """Picoseconds on one core. For one k and a row of 64, 32 or 16 columns: an int8 term, and a residual byte by
    row-add; for one k, that byte's row tables of those widths. Column by column: a residual byte of one product, and
    the transposed copy of one activation."""

    term: tuple[float, float, float]
    row: tuple[float, float, float]
    build: tuple[float, float, float]
    column: float
    panel: float


RATES = {
    "avx512": Rates((140, 78, 47), (520, 410, 360), (180e3, 89e3, 75e3), 15, 120),
    "avx2": Rates((1100, 570, 290), (840, 350, 320), (620e3, 300e3, 150e3), 360, 0),
    "baseline": Rates((2900, 1500, 740), (1800, 720, 340), (620e3, 300e3, 160e3), 340, 0),
}
WIDTHS = (64, 32, 16)
_LANES = 64  # outputs that a column's registers hold
FEWEST_COLUMNS_FOR_SLOPES = 4  # below (depthwise), an int8 product costs more than the bytes it saves


class Shape(NamedTuple):
    """One group's product: rows M (0 if not known yet), columns N, depth K."""

    rows: int
    columns: int
    depth: int


def blocks(columns: int) -> list[int]:
    """Index into WIDTHS of every block of columns that the kernels cut a product into."""
    whole, rest = divmod(columns, WIDTHS[0])
    return [0] * whole + ([next(i for i in (2, 1, 0) if rest <= WIDTHS[i])] if rest else [])


def time_of(shape: Shape, kernel: int, terms: int, planes: int, isa: str) -> float:
    """Expected picoseconds of one group's product with this many int8 terms and residual bytes."""
    rates, cut = RATES[isa], blocks(shape.columns)
    time = terms * shape.rows * shape.depth * sum(rates.term[i] for i in cut)
    if kernel == native.COLUMNS:
        rows = -(-shape.rows // _LANES) * _LANES
        return time + rows * shape.depth * (planes * rates.column * shape.columns + (rates.panel if planes else 0))
    return time + planes * shape.depth * sum(shape.rows * rates.row[i] + rates.build[i] for i in cut)


def kernel(shape: Shape, terms: int, planes: int, isa: str) -> int:
    """The faster way to add the residual."""
    return min((native.ROW_ADD, native.COLUMNS), key=lambda k: time_of(shape, k, terms, planes, isa))


def form(shape: Shape, forms: list[tuple[int, int]], isa: str) -> int:
    """Index of the fastest of several forms (int8 terms, residual bytes) of one table."""
    times = [time_of(shape, kernel(shape, *form, isa), *form, isa) for form in forms]
    return times.index(min(times))
