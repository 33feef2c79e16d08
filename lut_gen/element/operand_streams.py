"""Operand streams: what drawn elements of an array see of a matrix product, cycle by cycle.

A place is an element in a tile. Its weight, its activations in their order and the sums of the rows above are exact;
tiles come in ascending k, then n (sim/harness.cpp). Ports are those of pe.v.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS = 64
"""Cycles of a stream: the bits of a word."""


@dataclass(frozen=True)
class Operands:
    """The patterns of y[m, n] = sum over k of product(x[m, k], w[n, k]): x integers [M, K] on the activation's port, w
    [N, K] on the weight's; negatives bool of the same shapes, None where none is (two's complement has none)."""

    x: np.ndarray
    w: np.ndarray
    x_negative: np.ndarray | None = None
    w_negative: np.ndarray | None = None

    @property
    def macs(self) -> int:
        return self.x.shape[0] * self.w.shape[0] * self.w.shape[1]


@dataclass(frozen=True)
class Places:
    """Drawn elements, int [streams] each: first row of the tile (k0), row, column (n) and first vector (m)."""

    k0: np.ndarray
    row: np.ndarray
    n: np.ndarray
    m: np.ndarray


Stream = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
"""What output ports show in the first cycle, integers [streams]; and integers [streams, T] of each input port. A port
that is left out is 0."""


def draw_places(operands: Operands, rows: int, cols: int, streams: int, rng: np.random.Generator) -> Places:
    """One place out of each of as many equal shares, which follow each other along k, then along n."""
    deep, wide = -(-operands.w.shape[1] // rows) * rows, -(-operands.w.shape[0] // cols) * cols
    place = ((np.arange(streams) + rng.random(streams)) / streams * (deep * wide)).astype(np.int64)
    n, k = np.divmod(np.minimum(place, deep * wide - 1), deep)
    first = rng.integers(0, max(len(operands.x) - STEPS, 0) + 1, streams)
    return Places(k // rows * rows, k % rows, n, first)


def tile_before(operands: Operands, rows: int, cols: int, drawn: Places) -> Places:
    """The same elements in the tile before: tiles come in ascending k, then n; the last one before the first."""
    deep, wide = -(-operands.w.shape[1] // rows) * rows, -(-operands.w.shape[0] // cols) * cols
    n = np.where(drawn.k0 == 0, (drawn.n - cols) % wide, drawn.n)
    return Places((drawn.k0 - rows) % deep, drawn.row, n, drawn.m)


def valid_streams(operands: Operands, drawn: Places, table: np.ndarray) -> Stream:
    """Vectors in their order, weights held."""
    vectors = len(operands.x)
    m = np.minimum(drawn.m[:, None] + np.arange(min(vectors, STEPS)), vectors - 1)
    inputs = _activations(operands, drawn, table, m)
    return _weights(operands, drawn.n, drawn.k0 + drawn.row), {**inputs, "valid_in": np.ones_like(m)}


def first_step(operands: Operands, drawn: Places, before: Places, table: np.ndarray) -> Stream:
    """The first vector of a tile, after the last one of the tile before (with these weights already)."""
    last = np.full((len(drawn.n), 1), len(operands.x) - 1)
    old = _activations(operands, before, table, last)
    new = _activations(operands, drawn, table, np.zeros_like(last))
    inputs = {name: np.concatenate([old[name], new[name]], axis=1) for name in old}
    inputs["valid_in"] = np.ones_like(inputs["x_in"])
    return _weights(operands, drawn.n, drawn.k0 + drawn.row), inputs


def _activations(operands: Operands, places: Places, table: np.ndarray, m: np.ndarray) -> dict[str, np.ndarray]:
    """What comes with vectors m [streams, T], sums included."""
    k = (places.k0 + places.row)[:, None]
    return {
        "x_in": _at(operands.x, m, k),
        "x_sign_in": _at(operands.x_negative, m, k),
        "sum_in": _sums_above(operands, places, table, m),
    }


def _weights(operands: Operands, n: np.ndarray, k: np.ndarray) -> dict[str, np.ndarray]:
    """What elements hold of weight w[n, k], and that they have taken vectors before."""
    inside = (k < operands.w.shape[1]) & (n < operands.w.shape[0])
    signs = _at(operands.w_negative, n, k)
    return {"valid_out": np.ones_like(k), "w_out": _at(operands.w, n, k), "w_sign_out": signs, "enable_out": inside * 1}


def _sums_above(operands: Operands, places: Places, table: np.ndarray, m: np.ndarray) -> np.ndarray:
    """What the rows above have added up for each vector, int64 [streams, T]."""
    total = np.zeros(m.shape, dtype=np.int64)
    for row in range(int(places.row.max())):
        k = places.k0 + row
        adds = (row < places.row) & (k < operands.x.shape[1]) & (places.n < operands.w.shape[0])
        product = table[_at(operands.x, m, k[:, None]), _at(operands.w, places.n, k)[:, None]].astype(np.int64)
        negative = _at(operands.x_negative, m, k[:, None]) != _at(operands.w_negative, places.n, k)[:, None]
        total += np.where(negative, -product, product) * adds[:, None]
    return total


def load_streams(
    operands: Operands, drawn: Places, before: Places, table: np.ndarray, rows: int, rng: np.random.Generator
) -> Stream:
    """Weights on their way down, first those of the tile before, then the new ones, last row first; all else rests as
    the last vector left it. Of a tall array a stretch of the way."""
    length = min(rows + 1, STEPS)
    first = rng.integers(0, rows + 2 - length, len(drawn.n))
    step = first[:, None] + np.arange(length) - drawn.row[:, None]

    def weights(arrived: np.ndarray, old: Places, new: Places) -> dict[str, np.ndarray]:
        """What arrives: at 0 the new tile's last row, at -1 the row above of the tile before."""
        k = np.where(arrived < 0, old.k0 - arrived - 1, new.k0 + rows - 1 - np.minimum(arrived, rows - 1))
        return _weights(operands, np.where(arrived < 0, old.n, new.n), k)

    state = weights(step[:, 0] - 1, before, drawn)
    coming = weights(step, _columns(before), _columns(drawn))
    rest = _activations(operands, before, table, np.full((len(drawn.n), 1), len(operands.x) - 1))
    inputs = {name: np.repeat(values, length, axis=1) for name, values in rest.items()}
    names = {"w_in": "w_out", "w_sign_in": "w_sign_out", "enable_in": "enable_out"}
    inputs |= {port: coming[output] for port, output in names.items()} | {"load": np.ones_like(step)}
    return {**state, "valid_out": np.zeros_like(first)}, inputs


def _columns(places: Places) -> Places:
    """The same as columns [streams, 1]."""
    return Places(*(values[:, None] for values in (places.k0, places.row, places.n, places.m)))


def column_sums(
    operands: Operands, table: np.ndarray, rows: int, rng: np.random.Generator, streams: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """What accumulators of used columns add: totals before a tile and the tile's sums, int64 [streams, 64] each, for
    successive vectors of drawn outputs and tiles (the last vector is repeated where there are fewer)."""
    (vectors, depth), outputs = operands.x.shape, operands.w.shape[0]
    n = rng.integers(0, outputs, streams)[:, None, None]
    first = rng.integers(0, max(vectors - STEPS, 0) + 1, streams)
    m = np.minimum(first[:, None] + np.arange(STEPS), vectors - 1)[:, :, None]
    k = np.arange(depth)
    products = table[operands.x[m, k], operands.w[n, k]].astype(np.int64)
    negative = _at(operands.x_negative, m, k) != _at(operands.w_negative, n, k)
    sums = np.where(negative, -products, products)
    k0 = rows * rng.integers(0, -(-depth // rows), streams)[:, None, None]
    before, own = k < k0, (k >= k0) & (k < k0 + rows)
    return (sums * before).sum(axis=2), (sums * own).sum(axis=2)


def _at(matrix: np.ndarray | None, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Entries as int64; 0 outside the matrix, and where there is none."""
    rows, columns = np.broadcast_arrays(rows, columns)
    if matrix is None:
        return np.zeros(rows.shape, dtype=np.int64)
    inside = (rows >= 0) & (rows < matrix.shape[0]) & (columns >= 0) & (columns < matrix.shape[1])
    return np.where(inside, matrix[np.where(inside, rows, 0), np.where(inside, columns, 0)], 0).astype(np.int64)
