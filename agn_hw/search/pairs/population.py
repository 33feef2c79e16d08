"""The probabilistic error model of agn-approx: one error figure a layer, from receptive fields and the weights' spread.

Trommer, Waschneck, Kumar, "Combining gradients and probabilities for heterogeneous approximation of neural networks",
ICCAD 2022. Activations near each other are alike, so one histogram for the layer makes errors look more independent
than they are. A population of receptive fields is sampled instead. Within a field, K products of activations drawn from
the field's own values and weights drawn from all the layer's weights are independent; between fields their mean moves.
The law of total variance adds both. Channels are not told apart, as one figure a layer is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from agn_hw.mapping import WEIGHTS
from agn_hw.nn.layers import TableLayer
from agn_hw.search.pairs.error_model import FoldedTable
from agn_hw.search.pairs.fields import FIELDS, receptive_fields


@dataclass(frozen=True)
class PopulationErrors:
    """Error of an output (table sum / gain - exact sum) for M tables, in products: mean, std, float64 [M]."""

    mean: np.ndarray
    std: np.ndarray


def population_errors(
    layer: TableLayer, codes: torch.Tensor, tables: Sequence[FoldedTable], fields: int = FIELDS, seed: int = 0
) -> PopulationErrors:
    """Mean and standard deviation of an output's error over a population of `fields` receptive fields.

    codes: the layer's inputs, as `fields.receptive_fields` takes them. In a layer with groups each field is that
    of one group, drawn at random.
    """
    return errors_of_fields(layer, receptive_fields(layer, codes, fields, seed), tables, seed)


def population_std(
    layer: TableLayer, codes: torch.Tensor, tables: Sequence[FoldedTable], fields: int = FIELDS, seed: int = 0
) -> np.ndarray:
    """The standard deviation of `population_errors`, float64 [M]."""
    return population_errors(layer, codes, tables, fields, seed).std


def errors_of_fields(
    layer: TableLayer, fields: np.ndarray, tables: Sequence[FoldedTable], seed: int = 0
) -> PopulationErrors:
    """The same for given receptive fields: codes [F, groups, K], or [F, K] where the groups are chosen already."""
    if fields.ndim == 3:
        groups = np.random.default_rng((seed, 1)).integers(fields.shape[1], size=len(fields))
        fields = fields[np.arange(len(fields)), groups]
    count, fan_in = fields.shape
    present, index = np.unique(fields, return_inverse=True)
    numbers = index.reshape(fields.shape) + len(present) * np.arange(count)[:, None]
    shares = np.bincount(numbers.ravel(), minlength=len(present) * count).reshape(count, -1) / fan_in  # [F, codes]
    weights = layer.weight_codes().detach().numpy().astype(np.int64).ravel() & 255
    used, times = np.unique(weights, return_counts=True)
    spread = times / times.sum()
    products = np.outer(present, WEIGHTS[used])
    mean, std = np.empty((2, len(tables)))
    for m, (table, gain) in enumerate(tables):
        error = table[np.ix_(present & 255, used)] / gain - products
        within = shares @ (error @ spread)  # of one product in each field
        variance = np.maximum(shares @ (error**2 @ spread) - within**2, 0.0)
        mean[m] = fan_in * within.mean()
        std[m] = np.sqrt(fan_in * variance.mean() + fan_in**2 * within.var())
    return PopulationErrors(mean, std)
