"""What error_model.py compares: ways to predict a multiplier's error in a layer, and the measurement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from agn_hw.kernels import op
from agn_hw.mapping import WEIGHTS
from agn_hw.nn.layers import TableLayer
from agn_hw.search.pairs.error_model import FoldedTable, OutputErrors, output_errors
from agn_hw.search.pairs.fields import receptive_fields
from agn_hw.search.pairs.operands import Operands
from agn_hw.search.pairs.population import population_errors

Figures = tuple[np.ndarray, np.ndarray]
"""error and noise (see error_model.py) of each table, float64 [M]."""


@dataclass(frozen=True)
class Case:
    """A layer, operands (with histograms a channel), inputs, and the variance of its exact sums, float64 [N]."""

    layer: TableLayer
    operands: Operands
    codes: torch.Tensor
    variance: np.ndarray


def figures(errors: OutputErrors, variance: np.ndarray) -> Figures:
    total = errors.variance.mean(1) + errors.mean.var(1)
    alive = variance > 0
    left = (errors.residual()[:, alive] / variance[alive]).mean(1)
    return np.sqrt(total / variance.mean()), np.sqrt(left)


def product(case: Case, tables: Sequence[FoldedTable]) -> Figures:
    """Knows no layer: the expected squared error of one product over the mean square of an exact one."""
    operands = case.operands
    share = np.outer(operands.activations, operands.weights)
    exact = np.outer(operands.codes.of_bytes(), WEIGHTS)
    squares = np.array([float((share * (table / gain - exact) ** 2).sum()) for table, gain in tables])
    relative = np.sqrt(squares / operands.mean_square())
    return relative, relative


def layer_histogram(case: Case, tables: Sequence[FoldedTable]) -> Figures:
    flat = replace(case.operands, channels=None)
    return figures(output_errors(case.layer, flat, tables), case.variance)


def channel_histograms(case: Case, tables: Sequence[FoldedTable]) -> Figures:
    return figures(output_errors(case.layer, case.operands, tables), case.variance)


def with_fields(case: Case, tables: Sequence[FoldedTable]) -> Figures:
    fields = receptive_fields(case.layer, case.codes)
    return figures(output_errors(case.layer, case.operands, tables, fields), case.variance)


def population(case: Case, tables: Sequence[FoldedTable]) -> Figures:
    """Knows no compensation: its noise is its error."""
    relative = population_errors(case.layer, case.codes, tables).std / np.sqrt(case.variance.mean())
    return relative, relative


def fields_run(case: Case, tables: Sequence[FoldedTable]) -> Figures:
    """No model: the products of 512 receptive fields, looked up."""
    fields = receptive_fields(case.layer, case.codes)
    weights = case.layer.weight_codes().detach().long().numpy().reshape(fields.shape[1], -1, fields.shape[2])
    x = torch.from_numpy((fields & 255).swapaxes(0, 1).astype(np.uint8))
    w = torch.from_numpy((weights & 255).astype(np.uint8))

    def sums(table: np.ndarray) -> np.ndarray:
        lut = torch.from_numpy(table)
        return torch.cat([op.lut_matmul(x[g].contiguous(), w[g], lut) for g in range(len(w))], 1).numpy().T

    exact = np.einsum("fgk,gnk->gnf", fields.astype(np.float64), weights, optimize=True).reshape(-1, len(fields))
    return figures(errors_of_sums(exact, (sums(table) / gain for table, gain in tables)), case.variance)


def errors_of_sums(exact: np.ndarray, sums: Iterable[np.ndarray]) -> OutputErrors:
    """Moments of each table's sums of products against the exact ones, float64 [N, positions]."""
    centred = exact - exact.mean(1, keepdims=True)
    moments = []
    for own in sums:
        error = own - exact
        moments.append((error.mean(1), error.var(1), (error * centred).mean(1)))
    mean, variance, covariance = map(np.array, zip(*moments, strict=True))
    return OutputErrors(mean, variance, covariance, exact.var(1))


@torch.no_grad()
def measured(layer: TableLayer, codes: torch.Tensor, tables: Sequence[FoldedTable]) -> Figures:
    """The layer's own accumulators for these inputs, against its exact ones; the layer is exact afterwards."""

    def sums(table: np.ndarray | None, gain: float) -> np.ndarray:
        layer.set_table(table, gain)
        return (layer.accumulate(codes).double() / gain).movedim(layer.channel_axis, 0).flatten(1).numpy()

    try:
        exact = sums(None, 1.0)
        return figures(errors_of_sums(exact, (sums(*table) for table in tables)), exact.var(1))
    finally:
        layer.set_table(None)


MODELS = {
    "product": product,
    "layer histogram": layer_histogram,
    "channel histograms": channel_histograms,
    "channel histograms, fields": with_fields,
    "population": population,
    "fields run": fields_run,
}
