"""Which kernels compute a product on a device.

The rates are bounds on paper (heads of the .cu files), not measured yet; only their ratios matter.
"""

from __future__ import annotations

from typing import NamedTuple

TERM = 1.0
PLANE = 30.0
"""Of the same product: time of a residual byte by row-add, in that of a term on tensor cores."""
MOST_ROWS_TO_GATHER = 64
MOST_COLUMNS_TO_GO_DIRECT = 2


class Shape(NamedTuple):
    """One group's product: rows M, columns N, depth K."""

    rows: int
    columns: int
    depth: int


def cost_of_form(terms: int, planes: int) -> float:
    """Of a large product with this many terms and residual bytes, in terms."""
    return TERM * terms + PLANE * planes


def goes_direct(columns: int) -> bool:
    """Whether groups of this many columns go without tiles, each output by itself (depthwise convolutions)."""
    return columns <= MOST_COLUMNS_TO_GO_DIRECT


def gathers(shape: Shape) -> bool:
    """Whether residual bytes are gathered one by one: row tables are for many rows."""
    return shape.rows <= MOST_ROWS_TO_GATHER
