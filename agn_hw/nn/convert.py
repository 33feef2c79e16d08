"""A quantised model -> the same model with approximate multipliers in its layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping as Lookup
from typing import TypeVar

from torch import nn

from agn_hw.mapping import Mapping, default
from agn_hw.nn.errors import ModelError
from agn_hw.nn.layers import table_layers
from lut_gen.catalog import Multiplier

Choice = Multiplier | tuple[Multiplier, Mapping] | None
"""A layer's multiplier, with its mapping if not the default one; None is the exact product."""
Model = TypeVar("Model", bound=nn.Module)


def approximate(model: Model, choice: Multiplier | Lookup[str, Choice]) -> Model:
    """A new model whose convolutions and linear layers compute with tables; `model` stays as it is.

    model: what `agn_hw.quantize` returned. choice: one multiplier for all layers, or a dict by layer name (layers
    not named stay as they are). Raises ModelError for a model without quantised layers or an unknown layer name.
    """
    result = copy.deepcopy(model)
    layers = table_layers(result)
    if not layers:
        raise ModelError("a quantised model", "it has no quantised layer", "call agn_hw.quantize(model, loader) first")
    if not isinstance(choice, (Multiplier, Lookup)):
        came = f"{type(choice).__name__} came"
        raise ModelError("a multiplier, or a dict of them by layer name", came, 'write catalog["NAME"]')
    chosen = dict.fromkeys(layers, choice) if isinstance(choice, Multiplier) else choice
    unknown = sorted(set(chosen) - set(layers))
    if unknown:
        came = f"'{unknown[0]}' came; they are {', '.join(layers)}"
        raise ModelError("names of the model's layers", came, "correct the name")
    for name, pick in chosen.items():
        if not isinstance(pick, (Multiplier, tuple, type(None))):
            raise ModelError(f"a multiplier for '{name}'", f"{pick!r} came", f'write catalog["{pick}"]')
        if pick is None:
            layers[name].set_table(None)
        else:
            multiplier, mapping = pick if isinstance(pick, tuple) else (pick, default(pick))
            layers[name].set_table(mapping.table8(multiplier.lut), mapping.gain)
    return result
