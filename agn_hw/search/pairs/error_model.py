"""The error that a multiplier makes in each output of a layer, computed from the layer's operands; nothing is run.

The accumulator of output channel n is off by sum_k e(x_k, w[n, k]) with e(x, w) = T[x, w] / gain - x * w. For each
weight byte the moments of e over a histogram of activations are exact; a channel's weights add them up, as if the
activations of its products were independent. Real ones are not: neighbours are alike, so the part of the error that
follows x adds up faster. Where receptive fields are given, that part (the regression of e on x, for each weight byte)
has the fields' covariance, and only what is left of each product's error counts as independent.

All figures are in products: activation code times weight code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agn_hw.mapping import WEIGHTS
from agn_hw.nn import compensation
from agn_hw.nn.layers import TableLayer
from agn_hw.search.pairs.operands import Operands

FoldedTable = tuple[np.ndarray, float]
"""A folded table, int [256, 256] by activation and weight byte, and what it makes of the product 1."""

_W = WEIGHTS.astype(np.float64)


@dataclass(frozen=True)
class OutputErrors:
    """Error (table sum / gain - exact sum) of each output channel for M tables, in products.

    mean, variance, covariance (of the error with the exact sum): float64 [M, N]. exact_variance: variance of the exact
    sum by the same model, float64 [N].
    """

    mean: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray
    exact_variance: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of the error, float64 [M, N]: what stays when its mean is taken out."""
        return np.sqrt(self.variance)

    def gain(self) -> np.ndarray:
        """The channel gain that `compensation.match` would set: exact over approximate deviation, float64 [M, N]."""
        own = np.maximum(self.variance + 2 * self.covariance + self.exact_variance, 0.0)
        ratio = np.divide(self.exact_variance, own, out=np.ones_like(own), where=own > 0)
        return np.clip(np.sqrt(ratio), *compensation.GAIN_RANGE)

    def residual(self, *, gain: bool = True) -> np.ndarray:
        """Mean square of gain * (exact + error) - exact with its mean taken out, float64 [M, N].

        gain: after compensation of mean and gain; else of the mean alone.
        """
        factor = self.gain() if gain else np.ones_like(self.variance)
        loss = factor - 1
        parts = factor**2 * self.variance + 2 * factor * loss * self.covariance + loss**2 * self.exact_variance
        return np.maximum(parts, 0.0)


def output_errors(
    layer: TableLayer, operands: Operands, tables: Sequence[FoldedTable], fields: np.ndarray | None = None
) -> OutputErrors:
    """Moments of the output error of each table.

    operands: with `channels` each input channel has its own histogram, else the layer's is everyone's. fields:
    receptive fields of the layer (fields.py), int [F, groups, K]; without them all products are independent.
    """
    shares = operands.activations[None] if operands.channels is None else operands.channels
    x = operands.codes.of_bytes().astype(np.float64)
    spread = np.maximum(shares @ x**2 - (shares @ x) ** 2, 0.0)[:, None]  # Var x, [C, 1]
    mean, variance, with_x = _product_moments(shares, x, tables)
    bytes_ = _weight_bytes(layer)
    if fields is None:
        exact = _summed(bytes_, (spread * _W**2)[None], layer.groups)[0]
        return OutputErrors(
            _summed(bytes_, mean, layer.groups),
            _summed(bytes_, variance, layer.groups),
            _summed(bytes_, with_x * _W, layer.groups),
            exact,
        )
    slopes = np.divide(with_x, spread, out=np.zeros_like(with_x), where=spread > 0)
    rest = np.maximum(variance - slopes * with_x, 0.0)
    linear, covariance, exact = _correlated(bytes_, slopes, fields)
    return OutputErrors(
        _summed(bytes_, mean, layer.groups), linear + _summed(bytes_, rest, layer.groups), covariance, exact
    )


def noise(
    layer: TableLayer,
    operands: Operands,
    tables: Sequence[FoldedTable],
    exact: compensation.Moments,
    fields: np.ndarray | None = None,
) -> np.ndarray:
    """Error variance left after compensation over the measured variance of the exact sums, mean over channels: [M].

    float64, without unit. Channels whose exact sums never vary do not count.
    """
    measured = exact.std.numpy() ** 2
    alive = measured > 0
    if not alive.any():
        return np.zeros(len(tables))
    left = output_errors(layer, operands, tables, fields).residual()
    return (left[:, alive] / measured[alive]).mean(1)


def _product_moments(
    shares: np.ndarray, x: np.ndarray, tables: Sequence[FoldedTable]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of e(x, w) and its covariance with x, for each histogram [C, 256]: float64 [M, C, 256] by w."""
    present = np.flatnonzero(shares.any(0))
    shares, x = shares[:, present], x[present]
    products = np.outer(x, _W)
    centred = shares * (x - (shares @ x)[:, None])
    moments = np.empty((3, len(tables), len(shares), 256))
    for m, (table, gain) in enumerate(tables):
        error = table[present] / gain - products
        mean = shares @ error
        moments[0, m], moments[2, m] = mean, centred @ error
        moments[1, m] = np.maximum(shares @ error**2 - mean**2, 0.0)
    return moments[0], moments[1], moments[2]


def _weight_bytes(layer: TableLayer) -> np.ndarray:
    """Weight bytes by output channel, input channel and tap, int64 [N, C / groups, taps]."""
    codes = layer.weight_codes().detach().numpy().astype(np.int64) & 255
    return codes.reshape(*codes.shape[:2], -1)


def _summed(weights: np.ndarray, moments: np.ndarray, groups: int) -> np.ndarray:
    """Sum of a moment over the products of each output channel: moments [M, C or 1, 256] -> float64 [M, N]."""
    channels, depth = weights.shape[:2]
    if moments.shape[1] == 1:
        return moments[:, 0] @ _histograms(weights.reshape(channels, -1)).T
    summed = np.empty((len(moments), channels))
    for group, rows in enumerate(np.split(np.arange(channels), groups)):
        inputs = range(group * depth, (group + 1) * depth)
        summed[:, rows] = sum(moments[:, c] @ _histograms(weights[rows, i]).T for i, c in enumerate(inputs))
    return summed


def _histograms(bytes_: np.ndarray) -> np.ndarray:
    """How often each byte stands in each row [N, values], float64 [N, 256]."""
    rows = len(bytes_)
    numbers = bytes_ + 256 * np.arange(rows)[:, None]
    return np.bincount(numbers.ravel(), minlength=256 * rows).reshape(rows, 256).astype(np.float64)


def _correlated(
    weights: np.ndarray, slopes: np.ndarray, fields: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of sum_k slope(w_k) * x_k: its variance and covariance with the exact sum, [M, N]; the latter's variance, [N].

    slopes: [M, C or 1, 256] by weight byte; fields: [F, groups, K]. The fields' covariance is taken through its root
    R, R'R, which has at most F rows.
    """
    (channels, depth), groups = weights.shape[:2], fields.shape[1]
    centred = (fields - fields.mean(0)).swapaxes(0, 1) / np.sqrt(len(fields))  # [groups, F, K]
    roots = np.asarray(np.linalg.qr(centred, mode="r")).swapaxes(1, 2)  # [groups, K, rank]

    def through(values: np.ndarray) -> np.ndarray:
        """[N, K] -> [N, rank], each output channel by its group's root."""
        return (values.reshape(groups, channels // groups, -1) @ roots).reshape(channels, -1)

    exact = through(_W[weights].reshape(channels, -1))
    of_output = np.arange(channels)[:, None] // (channels // groups) * depth + np.arange(depth)
    inputs = of_output[:, :, None] if slopes.shape[1] > 1 else np.zeros((1, 1, 1), np.int64)  # [N, C / groups, 1]
    variance, covariance = np.empty((2, len(slopes), channels))
    for m, slope in enumerate(slopes):
        linear = through(slope[inputs, weights].reshape(channels, -1))
        variance[m], covariance[m] = (linear**2).sum(1), (linear * exact).sum(1)
    return variance, covariance, (exact**2).sum(1)
