"""How a table's gradient is estimated: the factors that the table operators take (kernels/table_gradients.py).

    ste        as if the table were gain * x * w: nothing to give
    slopes     for each weight one slope along the activations, for each activation one along the weights (the least
               squares of ApproxTorch's LRE gradients): two plain products, as straight-through
    smoothed   differences of the smoothed table (Meng, Burleson and De Micheli, "Gradient approximation of approximate
               multipliers for high-accuracy deep neural network retraining", DATE 2025), in the order of the codes
    tables     the user's own dT/dx and dT/dw

Tables of derivatives are cut to the lowest rank that keeps a bound, so that the backward pass stays plain products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from agn_hw.codes import Codes

Tables = tuple[np.ndarray, np.ndarray]
"""dT/dx and dT/dw by activation byte and weight byte, [256, 256] each."""

KINDS = ("ste", "slopes", "smoothed")
BOUND = 0.05
"""Of the error that smoothed gradients make by their low rank. Over a catalog's 8-bit multipliers they foretell how a
table changes as well with it as without, at a mean rank of 3 in place of 16."""
_ROUNDING = float(np.finfo(np.float32).eps)


class TableGradient(NamedTuple):
    """factors: [ux, vx, uw, vw] or []; error: the largest deviation of dT/dx and dT/dw from what was asked for, each
    relative to the table's largest entry."""

    factors: list[torch.Tensor]
    error: tuple[float, float]

    @property
    def ranks(self) -> tuple[int, int]:
        """Matrix products of the activations' and of the weights' gradient."""
        return (self.factors[0].shape[1], self.factors[2].shape[1]) if self.factors else (1, 1)


def gradient_factors(
    kind: str | Tables, table8: np.ndarray, codes: Codes, largest_weight: int
) -> list[torch.Tensor]:
    """What `TableLayer.set_table` takes as gradient: a kind of `KINDS`, or tables (dT/dx, dT/dw) of one's own.

    table8: int32 [256, 256] by activation byte and weight byte; codes: those of the activations. Raises ValueError for
    other kinds, and for tables of another shape. `table_gradient` tells what the factors cost and miss.
    """
    return table_gradient(kind, table8, codes, largest_weight).factors


def table_gradient(kind: str | Tables, table8: np.ndarray, codes: Codes, largest_weight: int) -> TableGradient:
    """`gradient_factors` with their ranks and their error: each kind as its function makes it by itself."""
    if isinstance(kind, tuple):
        return from_tables(*kind)
    if kind not in KINDS:
        raise ValueError(f"wanted a gradient of {', '.join(KINDS)}, or two tables (dT/dx, dT/dw), got {kind!r}")
    if kind == "ste":
        return straight_through()
    if kind == "slopes":
        return slopes(table8, codes, largest_weight)
    return smoothed(table8, codes, largest_weight)


def straight_through() -> TableGradient:
    """As if the table were gain * x * w."""
    return TableGradient([], (0.0, 0.0))


def slopes(table8: np.ndarray, codes: Codes, largest_weight: int) -> TableGradient:
    """Least-squares slopes: dT/dx by weight alone, over all activation codes alike; dT/dw by activation alone."""
    ordered, rows, columns = _in_order(table8, codes, largest_weight)
    by_weight, by_activation = _slope(ordered), _slope(ordered.T)
    ones = torch.ones(0, 1)
    return TableGradient([ones, _factor(by_weight[columns]), _factor(by_activation[rows]), ones], (0.0, 0.0))


def smoothed(
    table8: np.ndarray, codes: Codes, largest_weight: int, half_window: int | None = None, bound: float = BOUND
) -> TableGradient:
    """Central differences of the table's means over windows of 2 * half_window + 1 codes, along either operand.

    half_window: a sixteenth of the operand's range, if none is given.

    Where the neighbours' windows would leave the range, the gradient is the mean one between the first whole window
    and the last. (The paper's, range over 2^B, is never negative; both agree for rising tables.) In a range too short
    for two whole windows, these are the longest that it has room for. bound: of the error that the cut to a low rank
    may make, relative to the largest derivative.
    """
    ordered, rows, columns = _in_order(table8, codes, largest_weight)
    by_x, by_w = _differences(ordered, half_window), _differences(ordered.T, half_window).T
    return _factored(by_x[np.ix_(rows, columns)], by_w[np.ix_(rows, columns)], bound)


def from_tables(dx: np.ndarray, dw: np.ndarray, bound: float = 0.0) -> TableGradient:
    """A gradient of one's own: dT/dx and dT/dw by activation byte and weight byte, real [256, 256].

    Exact but for float32, whatever rank it takes, unless a larger bound is given (see `smoothed`).
    """
    for given in (dx, dw):
        if np.shape(given) != (256, 256) or not np.isfinite(given).all():
            raise ValueError(f"wanted two tables of finite numbers [256, 256], got one of shape {np.shape(given)}")
    return _factored(np.asarray(dx, np.float64), np.asarray(dw, np.float64), bound)


def _in_order(table8: np.ndarray, codes: Codes, largest_weight: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The table in the order of the codes, float64 [codes, weights], and the row and column of every byte in it."""
    if np.shape(table8) != (256, 256):
        raise ValueError(f"wanted a folded table [256, 256], got one of shape {np.shape(table8)}")
    weights = Codes(-largest_weight, largest_weight)
    taken = [np.arange(span.low, span.high + 1) & 255 for span in (codes, weights)]
    places = [span.of_bytes() - span.low for span in (codes, weights)]
    return np.asarray(table8, np.float64)[np.ix_(*taken)], places[0], places[1]


def _slope(values: np.ndarray) -> np.ndarray:
    """Of the line of least squares through each column, at steps of one."""
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    return steps @ values / (float(steps @ steps) or 1.0)


def _differences(values: np.ndarray, half_window: int | None) -> np.ndarray:
    """The derivative along axis 0, at steps of one; see `smoothed`."""
    count = len(values)
    wanted = round(count / 16) if half_window is None else half_window
    half = max(0, min(wanted, (count - 2) // 2))
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0)])
    means = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)  # around codes half .. count - 1 - half
    found = np.tile((means[-1] - means[0]) / max(len(means) - 1, 1), (count, 1))
    found[half + 1 : count - half - 1] = (means[2:] - means[:-2]) / 2
    return found


def _factored(dx: np.ndarray, dw: np.ndarray, bound: float) -> TableGradient:
    (ux, vx, error_x), (uw, vw, error_w) = _low_rank(dx, bound), _low_rank(dw, bound)
    return TableGradient([ux, vx, uw, vw], (error_x, error_w))


def _low_rank(table: np.ndarray, bound: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """u [256, r] and v [256, r] with u @ v.T within `bound` of the table, of the fewest columns; the error made."""
    largest = max(float(np.abs(table).max()), float(np.finfo(np.float32).tiny))
    u, s, v = np.linalg.svd(table, full_matrices=False)
    rest = table.copy()
    for rank in range(1, len(s) + 1):
        rest -= s[rank - 1] * np.outer(u[:, rank - 1], v[rank - 1])
        if np.abs(rest).max() <= max(bound, _ROUNDING) * largest:
            break
    pair = _without_ones(u[:, :rank] * s[:rank], v[:rank].T)
    full = [factor.double().numpy() if len(factor) else np.ones((256, 1)) for factor in pair]
    return *pair, float(np.abs(full[0] @ full[1].T - table).max()) / largest


def _without_ones(u: np.ndarray, v: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """As float32; a single column that is one number throughout goes into the other, and costs nothing."""
    ones = torch.ones(0, 1)
    if u.shape[1] == 1 and _constant(u):
        return ones, _factor(v * u[0])
    if v.shape[1] == 1 and _constant(v):
        return _factor(u * v[0]), ones
    return _factor(u), _factor(v)


def _constant(column: np.ndarray) -> bool:
    return bool(np.ptp(column) <= _ROUNDING * np.abs(column).max())


def _factor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.reshape(256, -1).astype(np.float32))
