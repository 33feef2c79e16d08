"""Error metrics of a table, each declared once with its unit and definition.

Conventions (they reproduce EvoApproxLib's published figures): percentages of MAE and WCE divide by
2**(a_bits + b_bits), for signed tables too; relative errors go over the pairs whose exact product is not
zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metric:
    """One column of the catalog: how it is computed from error and exact product (float64 [A, B])."""

    name: str
    unit: str
    meaning: str
    compute: Callable[[np.ndarray, np.ndarray], float]


def _relative(error: np.ndarray, exact: np.ndarray) -> np.ndarray:
    nonzero = exact != 0
    return np.abs(error[nonzero]) / np.abs(exact[nonzero])


METRICS = (
    Metric("mae", "LSB", "mean absolute error", lambda e, x: np.abs(e).mean()),
    Metric("mae_percent", "%", "mae / 2^(a_bits+b_bits)", lambda e, x: 100 * np.abs(e).mean() / e.size),
    Metric("wce", "LSB", "worst-case absolute error", lambda e, x: np.abs(e).max()),
    Metric("wce_percent", "%", "wce / 2^(a_bits+b_bits)", lambda e, x: 100 * np.abs(e).max() / e.size),
    Metric("mre_percent", "%", "mean relative error", lambda e, x: 100 * _relative(e, x).mean()),
    Metric("wcre_percent", "%", "worst-case relative error", lambda e, x: 100 * _relative(e, x).max()),
    Metric("ep_percent", "%", "error probability", lambda e, x: 100 * (e != 0).mean()),
    Metric("mse", "LSB^2", "mean squared error", lambda e, x: np.square(e).mean()),
    Metric("bias", "LSB", "mean error", lambda e, x: e.mean()),
)


def operand_values(bits: int, signed: bool) -> np.ndarray:
    """The integer that each raw pattern stands for, int64 [2**bits] (two's complement if signed)."""
    patterns = np.arange(2**bits)
    return patterns - (patterns >> (bits - 1)) * 2**bits if signed else patterns


def exact_table(a_bits: int, b_bits: int, signed: bool) -> np.ndarray:
    """The exact product by raw patterns, int32 [2**a_bits, 2**b_bits]."""
    a, b = operand_values(a_bits, signed), operand_values(b_bits, signed)
    return np.outer(a, b).astype(np.int32)


def error_metrics(table: np.ndarray, signed: bool) -> dict[str, float]:
    """All metrics of a table [2**a_bits, 2**b_bits] against the exact product."""
    a_bits, b_bits = (int(n).bit_length() - 1 for n in table.shape)
    exact = exact_table(a_bits, b_bits, signed).astype(np.float64)
    error = table - exact
    return {metric.name: float(metric.compute(error, exact)) for metric in METRICS}
