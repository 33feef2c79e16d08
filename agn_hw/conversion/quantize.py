"""A float model -> the same model on integers: BatchNorm folded, layers replaced, scales calibrated.

The model is traced by torch.fx (trace.py), its graph rewritten (rewrite.py), and its scales are set by calibration
images (calibrate.py). The graph keeps the names of the model's modules.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from typing import Any

import torch
from torch import fx, nn

from agn_hw.conversion.calibrate import calibrate
from agn_hw.conversion.edges import connect, give_schemes
from agn_hw.conversion.float_parts import kept_exact, name_reasons
from agn_hw.conversion.fold import fold_batch_norm
from agn_hw.conversion.observe import weight_scales
from agn_hw.conversion.rewrite import Rewriter
from agn_hw.conversion.trace import trace
from agn_hw.nn.errors import ModelError, unsupported
from agn_hw.nn.layers import table_layers
from agn_hw.nn.scheme import Scheme

__all__ = ["ModelError", "Scheme", "kept_exact", "quantize", "skeleton"]

log = logging.getLogger(__name__)


def quantize(
    model: nn.Module,
    loader: Iterable[Any],
    scheme: Scheme | None = None,
    layers: Dictionary[str, Scheme] | None = None,
) -> fx.GraphModule:
    """A new model on integers; `model` stays as it is.

    loader: batches of float inputs [B, ...], or tuples that begin with them; they set the activation scales. scheme:
    bits, symmetry and observers (default: 8 bits, symmetric, weights per channel); layers: another scheme for some
    layers, by name. Call the result as the original: float inputs in, float outputs out. Modules without an integer
    form stay in float: `kept_exact(q)` names them, and so does a line in the log. Raises ModelError for a model that
    torch.fx cannot trace, that has no convolution or linear layer, or that does not take the loader's batches.
    """
    batches = _batches(loader)
    quantized = skeleton(model, scheme, layers, batches[0])
    calibrate(quantized, batches)
    return quantized


def skeleton(
    model: nn.Module,
    scheme: Scheme | None = None,
    layers: Dictionary[str, Scheme] | None = None,
    example: torch.Tensor | None = None,
) -> fx.GraphModule:
    """The quantised structure with weights but neutral activation scales (for a state_dict to be loaded into).

    example: a batch of inputs, which decides control flow that depends on shapes. Raises ModelError.
    """
    scheme, layers = scheme or Scheme(), layers or {}
    model = copy.deepcopy(model).eval()
    wanted = None if example is None else _answer(model, example)
    traced, whole = trace(model, None if example is None else example[:2])
    fold_batch_norm(traced)
    if example is not None:
        _compare(traced, example, wanted)
    name_reasons(traced, whole)
    Rewriter(traced).run()
    found = table_layers(traced)
    if not found:
        raise unsupported(type(model).__name__, "it has no convolution or linear layer that can be quantised")
    unknown = sorted(set(layers) - set(found))
    if unknown:
        came = f"'{unknown[0]}' came; they are {', '.join(found)}"
        raise ModelError("names of the model's layers", came, "correct the name")
    give_schemes(traced, scheme, layers)
    for name, layer in found.items():
        own = layers.get(name, scheme)
        levels = 2 ** (own.weight_bits - 1) - 1
        scale = weight_scales(layer.weight, levels, own.per_channel, own.observer_of_weights())
        layer.set_scheme(own.weight_bits, scale)
    connect(traced)
    for name, reason in kept_exact(traced).items():
        log.warning("'%s' stays in float: %s", name, reason)
    traced.recompile()
    return traced.eval()


def _batches(loader: Iterable[Any]) -> list[torch.Tensor]:
    mend = "give a DataLoader, or a list of batches: [images]"
    if isinstance(loader, torch.Tensor) or not isinstance(loader, Iterable):
        raise ModelError("batches of inputs", f"{type(loader).__name__} came", mend)
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in loader]
    if not batches:
        raise ModelError("at least one batch to set the activation scales", "the loader is empty", mend)
    for batch in batches:
        if not isinstance(batch, torch.Tensor) or not batch.is_floating_point() or not batch.numel():
            came = f"{batch.dtype} {list(batch.shape)}" if isinstance(batch, torch.Tensor) else type(batch).__name__
            raise ModelError("batches of float inputs, none empty", f"{came} came", f"{mend}; images as floats")
    return batches


@torch.no_grad()
def _answer(model: nn.Module, example: torch.Tensor) -> Any:
    try:
        return model(example.clone())  # it may work in place
    except Exception as error:  # whatever the user's model raises
        came = f"{list(example.shape)} {example.dtype} made it raise {type(error).__name__}: {error}"
        raise ModelError("inputs that the model takes", came, "give the loader the model was trained with") from error


@torch.no_grad()
def _compare(traced: fx.GraphModule, example: torch.Tensor, wanted: Any) -> None:
    """Raises ModelError if the traced model is not the model."""
    traced.recompile()
    found = traced(example)
    if not (isinstance(found, torch.Tensor) and isinstance(wanted, torch.Tensor)):
        return
    if wanted.shape == found.shape and not wanted.isfinite().all():
        return  # calibration says where it comes from
    room = 1e-2 * float(wanted.abs().max())
    if found.shape != wanted.shape or not torch.allclose(found, wanted, rtol=1e-2, atol=room, equal_nan=True):
        reason = "traced by torch.fx it gives other outputs; is it random, or does x += y change a tensor used again?"
        raise unsupported(type(traced).__name__, reason)
