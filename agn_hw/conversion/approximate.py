"""A quantised model -> the same model with approximate multipliers in its layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping as Lookup
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from agn_hw.accelerator import tables
from agn_hw.accelerator.bounds import zero_terms
from agn_hw.accelerator.config import Plan
from agn_hw.accelerator.tables import LayerTable
from agn_hw.mapping import Mapping, default
from agn_hw.nn.errors import ModelError
from agn_hw.nn.gradients import Tables, gradient_factors
from agn_hw.nn.layers import TableLayer, table_layers
from lut_gen.catalog import Multiplier

Choice = Multiplier | tuple[Multiplier, Mapping] | LayerTable | None
"""A layer's multiplier, with its mapping if not the default one; None is the exact product."""
Model = TypeVar("Model", bound=nn.Module)
_KINDS = (Multiplier, tuple, LayerTable, type(None))


def approximate(
    model: Model, choice: Multiplier | Lookup[str, Choice] | Plan, gradient: str | Tables = "slopes"
) -> Model:
    """A new model whose convolutions and linear layers compute with tables; `model` stays as it is.

    model: what `agn_hw.quantize` returned. choice: one multiplier for all layers, a dict by layer name (layers not
    named stay as they are), or a plan, `Plan.load(run)`, whose mappings and compensation are taken too. gradient: how
    tables are differentiated in training, "ste", "slopes", "smoothed" or tables of one's own (see nn/gradients.py; why
    slopes: reports/networks).
    Raises ModelError for a model without quantised layers, an unknown layer name or gradient, a mapping made for other
    codes; PlanError for a plan without its tables.
    """
    result = copy.deepcopy(model)
    layers = table_layers(result)
    if not layers:
        raise ModelError("a quantised model", "it has no quantised layer", "call agn_hw.quantize(model, loader) first")
    known: dict[tuple, list[torch.Tensor]] = {}
    for name, pick in _chosen(choice, layers).items():
        layer = layers[name]
        if isinstance(pick, Multiplier):
            pick = pick, default(pick, codes=layer.in_codes[0], largest_weight=layer.largest_weight)
        if pick is None:
            layer.set_table(None)
        elif isinstance(pick, tuple):
            multiplier, mapping = pick
            _set(name, layer, mapping, mapping.table8(multiplier.lut), gradient, known)
        else:
            _set(name, layer, pick.mapping, pick.table8(), gradient, known)
            _compensate(name, layer, pick)
    return result


def _chosen(choice: Multiplier | Lookup[str, Choice] | Plan, layers: Lookup[str, TableLayer]) -> Lookup[str, Choice]:
    """What each layer is given, by its name; checked."""
    if isinstance(choice, Multiplier):
        return dict.fromkeys(layers, choice)
    if isinstance(choice, Plan):
        choice = tables.of_plan(choice)
    if not isinstance(choice, Lookup):
        came = f"{type(choice).__name__} came"
        raise ModelError("a multiplier, a dict of them by layer name, or a plan", came, 'write catalog["NAME"]')
    unknown = sorted(set(choice) - set(layers))
    if unknown:
        came = f"'{unknown[0]}' came; they are {', '.join(layers)}"
        raise ModelError("names of the model's layers", came, "correct the name")
    for name, pick in choice.items():
        if not isinstance(pick, _KINDS):
            raise ModelError(f"a multiplier for '{name}'", f"{pick!r} came", f'write catalog["{pick}"]')
    return choice


def _set(
    name: str, layer: TableLayer, mapping: Mapping, table: np.ndarray, gradient: str | Tables, known: dict
) -> None:
    """Gives a layer its table; `known` holds the gradients of tables that were met before."""
    codes, largest = layer.in_codes[0], layer.largest_weight
    if (mapping.codes, mapping.largest_weight) != (codes, largest):
        wanted = f"a mapping for '{name}', whose activations are {codes.low}..{codes.high}, weights up to {largest}"
        came = f"it is for {mapping.codes.low}..{mapping.codes.high} and {mapping.largest_weight}"
        raise ModelError(wanted, came, "make it with codes=layer.in_codes[0], largest_weight=layer.largest_weight")
    fan_in, reach = layer.weight[0].numel(), int(np.abs(table).max())
    if fan_in * reach >= 2**31:
        wanted = f"sums within int32 in '{name}'"
        came = f"{fan_in} products of up to {reach} could leave it"
        raise ModelError(wanted, came, "leave this layer exact (None), or give it a multiplier of fewer bits")
    key = (table.tobytes(), codes, largest)
    if key not in known:
        try:
            known[key] = gradient_factors(gradient, table, codes, largest)
        except ValueError as error:
            raise ModelError("a gradient", str(error), 'write gradient="ste"') from None
    layer.set_table(table, mapping.gain, known[key], zero_terms(mapping))


def _compensate(name: str, layer: TableLayer, pick: LayerTable) -> None:
    if pick.channel_gain.shape != layer.channel_gain.shape:
        wanted, came = f"{len(layer.channel_gain)} channels in '{name}'", f"the plan has {len(pick.channel_gain)}"
        raise ModelError(wanted, came, "quantise the model that the plan was made for")
    layer.channel_gain.copy_(torch.from_numpy(pick.channel_gain))
    layer.channel_offset.copy_(torch.from_numpy(pick.channel_offset))
