"""Which kernel computes a product: expected times from measured rates, in one table.

The rates come from `benchmarks/tuning.py` (reports/kernels/tuning.csv); only their ratios matter.
"""

from __future__ import annotations

from typing import NamedTuple

from agn_hw.kernels import native


class Rates(NamedTuple):
    """Picoseconds on one core. Of a row of the output by 64, 32 or 16 columns (k fixed): an int8 term, and a residual
    byte by row-add; of one k's row tables of those widths; of one residual byte of one product, column by column."""

    term: tuple[float, float, float]
    row: tuple[float, float, float]
    build: tuple[float, float, float]
    column: float


RATES = {
    "avx512": Rates((150, 83, 53), (500, 430, 410), (150_000, 80_000, 50_000), 14.5),
    "avx2": Rates((900, 450, 230), (1100, 600, 500), (700_000, 350_000, 180_000), 300),
    "baseline": Rates((2000, 1000, 500), (2200, 1200, 700), (800_000, 400_000, 200_000), 300),
}
WIDTHS = (64, 32, 16)
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
        return time + planes * rates.column * shape.rows * shape.depth * shape.columns
    return time + planes * shape.depth * sum(shape.rows * rates.row[i] + rates.build[i] for i in cut)


def kernel(shape: Shape, terms: int, planes: int, isa: str) -> int:
    """The faster way to add the residual."""
    return min((native.ROW_ADD, native.COLUMNS), key=lambda k: time_of(shape, k, terms, planes, isa))


def form(shape: Shape, forms: list[tuple[int, int]], isa: str) -> int:
    """Index of the fastest of several forms (int8 terms, residual bytes) of one table."""
    times = [time_of(shape, kernel(shape, *form, isa), *form, isa) for form in forms]
    return times.index(min(times))
