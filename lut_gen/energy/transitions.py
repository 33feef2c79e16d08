"""Transitions: pairs of successive operand patterns, from a recorded sequence, a matrix product or a distribution.

They are what simulations take (`glitches.py`): each transition starts from settled nets and is simulated on its
own, 64 of them a machine word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lut_gen.energy.activity import normalised
from lut_gen.energy.data_order import DataOrder
from lut_gen.errors import AgnError


@dataclass(frozen=True)
class Transitions:
    """T steps from one multiplication to the next: int64 [T] each, operand patterns before and after."""

    a_before: np.ndarray
    b_before: np.ndarray
    a_after: np.ndarray
    b_after: np.ndarray

    def __len__(self) -> int:
        return len(self.a_before)

    def __getitem__(self, some: slice) -> Transitions:
        return Transitions(self.a_before[some], self.b_before[some], self.a_after[some], self.b_after[some])


def patterns(operands: np.ndarray) -> np.ndarray:
    """Operand patterns as int64. Raises AgnError for what are no integers from 0 on: bits on a port have no sign."""
    found = np.asarray(operands)
    if found.dtype.kind not in "iub" or (found.size and found.min() < 0):
        came = f"{found.dtype} came" if found.dtype.kind not in "iub" else f"{found.min()} came"
        mend = "give the bits on the port: two's complement, or magnitude + sign * 2**bits"
        raise AgnError("raw operand patterns, integers from 0 on", came, mend)
    return found.astype(np.int64)


def of_sequence(a: np.ndarray, b: np.ndarray) -> Transitions:
    """The T - 1 steps of a recorded sequence of operand patterns: integers [T] each, raw bits on the ports.

    Raises AgnError for sequences of different or no length.
    """
    a, b = patterns(a), patterns(b)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        came = f"shapes {a.shape} and {b.shape} came"
        raise AgnError("two operand sequences of one length, two multiplications or more", came, "record both ports")
    return Transitions(a[:-1], b[:-1], a[1:], b[1:])


def drawn(joint: np.ndarray, order: DataOrder, count: int, rng: np.random.Generator) -> Transitions:
    """`count` steps, each drawn on its own from a joint histogram [2**a_bits, 2**b_bits] in this data order."""
    joint = np.asarray(joint)
    by_held = normalised(joint, joint.shape)
    by_held = by_held if order.held == "a" else by_held.T  # [held, moving]
    cumulative = np.cumsum(by_held)
    ends = cumulative.reshape(by_held.shape)[:, -1]
    starts = np.concatenate([[0.0], ends[:-1]])

    def draw(low: np.ndarray | float, high: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        points = low + (high - low) * rng.random(count)
        cells = np.searchsorted(cumulative, np.minimum(points, np.nextafter(high, 0)), side="right")
        return np.divmod(cells, by_held.shape[1])

    held, moving = draw(0.0, cumulative[-1])
    kept = rng.random(count) < order.stay
    low, high = np.where(kept, starts[held], 0.0), np.where(kept, ends[held], cumulative[-1])
    held_after, moving_after = draw(low, high)
    if order.held == "a":
        return Transitions(held, moving, held_after, moving_after)
    return Transitions(moving, held, moving_after, held_after)


def of_product(a: np.ndarray, b: np.ndarray, order: DataOrder, count: int, rng: np.random.Generator) -> Transitions:
    """`count` steps drawn evenly from those that the multipliers of a matrix product make, in the order of its rows.

    a [M, K] and b [N, K] are the operand patterns of y[m, n] = sum over k of a[m, k] b[n, k]. With b held, b[n, k]
    meets a[m, k] and then a[m + 1, k]; with a held, a[m, k] meets b[n, k] and then b[n + 1, k]; with neither
    (output-stationary), k goes to k + 1. The step to the next held operand is left out: `order.run` does not count.
    Raises AgnError where the matrices are too small for one step.
    """
    a, b = patterns(a), patterns(b)
    if a.ndim != 2 or b.ndim != 2:
        raise AgnError("matrices [M, K] and [N, K]", f"shapes {a.shape} and {b.shape} came", "give two dimensions")
    (rows, depth), (columns, other) = a.shape, b.shape
    steps = {"b": (1, 0, 0), "a": (0, 1, 0), None: (0, 0, 1)}[order.held]
    sizes = [size - step for size, step in zip((rows, columns, depth), steps, strict=True)]
    if depth != other or min(sizes) < 1:
        came = f"shapes {a.shape} and {b.shape} came"
        raise AgnError("matrices [M, K] and [N, K], two or more long where the data streams", came, "give more rows")
    m, n, k = (rng.integers(0, size, count) for size in sizes)
    return Transitions(a[m, k], b[n, k], a[m + steps[0], k + steps[2]], b[n + steps[1], k + steps[2]])
