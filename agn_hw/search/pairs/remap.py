"""The best mapping of a multiplier for one layer: operand order, pre-scale and weight patterns.

Weights are known offline, so any pattern may stand for any weight. For each weight code w the pattern p is chosen
whose table row best fits s * x with s = alpha * w over the layer's activation histogram; alpha, one for the layer, is
searched and its inverse folded into requantisation. The squared error counts, less half the squared mean error
(compensation takes the mean out later), over alpha^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agn_hw.mapping import SIGN_MAGNITUDE, WEIGHTS, Mapping, default
from agn_hw.search.operands import Operands
from lut_gen.catalog import Multiplier

PRESCALES = tuple(float(p) for p in np.geomspace(1.0, 4.0, 7))
GAINS = np.sort([1.0, *np.geomspace(0.35, 1.3, 10)])


@dataclass(frozen=True)
class Fit:
    """A mapping and its expected squared error a product, in units of (activation code * weight code)^2."""

    mapping: Mapping
    cost: float


def best_mapping(multiplier: Multiplier, operands: Operands) -> Fit:
    """The cheapest fit over both operand orders and all pre-scales."""
    orders = ("a",) if _symmetric(multiplier) else ("a", "b")
    codes, largest_weight = operands.codes, operands.largest_weight
    mappings = [default(multiplier, port, scale, codes, largest_weight) for port in orders for scale in PRESCALES]
    fits = [fit(mapping, multiplier, operands) for mapping in mappings]
    return min(fits, key=lambda candidate: candidate.cost)


def _symmetric(multiplier: Multiplier) -> bool:
    lut = multiplier.lut
    return lut.shape[0] == lut.shape[1] and np.array_equal(lut, lut.T)


def fit(mapping: Mapping, multiplier: Multiplier, operands: Operands) -> Fit:
    """Gain-aware weight remap of one mapping, of any encoding."""
    share, x = operands.activations, operands.codes.of_bytes().astype(np.float64)
    table = mapping.products(multiplier.lut).astype(np.float64)  # [x, pattern], the sign of x with it
    mean_x, mean_xx = share @ x, share @ (x * x)
    mean_t, mean_tt, mean_tx = share @ table, share @ (table * table), (share * x) @ table
    codes, shares = _weight_classes(mapping, operands)
    slopes = (GAINS * mapping.gain)[:, None] * codes[None, :]  # [gain, weight]
    # E(T - s x)^2 - (E(T - s x))^2 / 2, split into the part that depends on the pattern and the rest
    constant = mean_tt - mean_t**2 / 2
    linear = mean_t * mean_x - 2 * mean_tx
    rest = slopes**2 * (mean_xx - mean_x**2 / 2)
    scores = slopes.reshape(-1, 1) * linear[None, :] + constant[None, :]
    best = scores.argmin(1)
    errors = scores[np.arange(len(best)), best].reshape(slopes.shape) + rest
    costs = (errors @ shares) / (GAINS * mapping.gain) ** 2
    g = int(costs.argmin())
    patterns = _all_weights(mapping, best.reshape(slopes.shape)[g])
    return Fit(mapping.with_weights(patterns, float(GAINS[g] * mapping.gain)), float(max(costs[g], 0.0)))


def _weight_classes(mapping: Mapping, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
    """Weight values that need a pattern of their own, and the share of each.

    Sign logic turns errors of w into those of -w with the other sign, squares and squared means alike.
    """
    if mapping.encoding == SIGN_MAGNITUDE:
        codes = np.arange(129.0)
        return codes, np.bincount(np.abs(WEIGHTS), weights=operands.weights, minlength=129)
    return WEIGHTS.astype(np.float64), operands.weights


def _all_weights(mapping: Mapping, patterns: np.ndarray) -> np.ndarray:
    """Pattern of each of the 256 weight bytes."""
    if mapping.encoding == SIGN_MAGNITUDE:
        return patterns[np.abs(WEIGHTS)]
    return patterns
