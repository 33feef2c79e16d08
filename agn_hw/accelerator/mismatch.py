"""Where the array went wrong: layer, tile, element, operands, both values, and a waveform to look at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agn_hw.accelerator.hardware_loop import Difference
from agn_hw.accelerator.patterns import GroupPatterns
from lut_gen.errors import AgnError
from sim.cosim import ArrayShape, SystolicArray

RTL = "rtl"
_BEFORE = 8
"""Vectors that run ahead of the wrong one in a waveform."""


@dataclass(frozen=True)
class Mismatch:
    """The first wrong sum of a layer, down to its tile.

    k_tile, n_tile: the first tile after which the running total is not the table's. x, w: its operands as numbers
    (magnitudes with their signs, or two's complement patterns as they are), with the product that the table gives each
    pair. expected, got: the total after it.
    """

    difference: Difference
    k_tile: int
    n_tile: int
    x: list[int]
    w: list[int]
    products: list[int]
    expected: int
    got: int

    def lines(self) -> list[str]:
        """For people."""
        at = self.difference
        return [
            f"image {at.image}, group {at.group}, receptive field {at.row}, output channel {at.column}: "
            f"the table's sum is {at.expected}, the array's {at.got}",
            f"first wrong in K tile {self.k_tile}, N tile {self.n_tile}: "
            f"after it {self.expected} was due, {self.got} came",
            f"activations {self.x}",
            f"weights     {self.w}",
            f"products    {self.products}",
        ]


def locate(array: SystolicArray, lut: np.ndarray, difference: Difference) -> Mismatch:
    """The tile in which a sum goes wrong; the product is run again, with the vectors just before it.

    lut: the multiplier's table with the activation's port first, int32. Where it comes out right this time, the last
    tile is named, with the totals of the first run.
    """
    rows, cols = array.shape.rows, array.shape.cols
    own, row, column = difference.operands, difference.row, difference.column
    around = _around(difference)
    again = array.tile_totals(*around.operands, n_tile=column // cols)
    totals = again[:, -1, column % cols]
    products = own.products(lut, row, column)
    due = _totals(np.add.reduceat(products, np.arange(0, len(products), rows)), array.shape)
    wrong = np.flatnonzero(totals != due)
    k_tile = int(wrong[0]) if len(wrong) else len(due) - 1
    expected, got = (int(due[k_tile]), int(totals[k_tile])) if len(wrong) else (difference.expected, difference.got)
    tile = slice(k_tile * rows, (k_tile + 1) * rows)
    x, w = _numbers(own.x, own.x_negative, row), _numbers(own.w, own.w_negative, column)
    return Mismatch(difference, k_tile, column // cols, x[tile], w[tile], products[tile].tolist(), expected, got)


def _totals(sums: np.ndarray, shape: ArrayShape) -> np.ndarray:
    """What the accumulator holds after each tile, int64: exact, or as narrow as the array's."""
    half, total, found = 1 << (shape.acc_bits - 1), 0, []
    for tile in sums.tolist():
        total += tile
        wrapped = (total + half) % (2 * half) - half
        total = min(max(total, -half), half - 1) if shape.saturate else wrapped
        found.append(total)
    return np.array(found, dtype=np.int64)


def on_plain_rtl(array: SystolicArray, mismatch: Mismatch) -> str:
    """What the plain RTL makes of the same tile: whether the fault is in it, or in what the fast view is made of."""
    if array.view == RTL:
        return "this is the plain RTL"
    plain = SystolicArray.build(array.circuit, array.shape, RTL, array.folder)
    around, column = _around(mismatch.difference), mismatch.difference.column % array.shape.cols
    got = int(plain.tile_totals(*around.operands, n_tile=mismatch.n_tile)[mismatch.k_tile, -1, column])
    if got == mismatch.got:
        return f"the plain RTL gives {got} too"
    return f"the plain RTL gives {got}: the fault is in the mapped element or its bit-sliced view"


def waveform(array: SystolicArray, mismatch: Mismatch, path: Path) -> Path:
    """Keeps a VCD of the tile on the plain RTL. Raises ToolError where it cannot be built or written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    operands = _around(mismatch.difference).operands
    array.waveform(*operands, k_tile=mismatch.k_tile, n_tile=mismatch.n_tile, path=path)
    return path


def kept(array: SystolicArray, mismatch: Mismatch, path: Path) -> str:
    """What the plain RTL says, and the waveform's path, or why there is none."""
    try:
        said = on_plain_rtl(array, mismatch)
        return f"{said}; waveform of the tile on it, this vector the last: {waveform(array, mismatch, path)}"
    except AgnError as error:
        return f"no waveform of the tile: {error.came}"


def _around(difference: Difference) -> GroupPatterns:
    """The wrong vector and those before it, and all weights."""
    own, rows = difference.operands, slice(max(difference.row - _BEFORE, 0), difference.row + 1)
    return replace(own, x=own.x[rows], x_negative=None if own.x_negative is None else own.x_negative[rows])


def _numbers(patterns: np.ndarray, negative: np.ndarray | None, row: int) -> list[int]:
    values = patterns[row].astype(np.int64)
    return (values if negative is None else np.where(negative[row], -values, values)).tolist()
