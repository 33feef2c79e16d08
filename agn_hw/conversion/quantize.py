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
from torch.utils._pytree import tree_leaves

from agn_hw.conversion.calibrate import InFloat, calibrate
from agn_hw.conversion.edges import connect, give_schemes
from agn_hw.conversion.float_parts import kept_exact, name_reasons
from agn_hw.conversion.fold import fold_batch_norm
from agn_hw.conversion.observe import weight_scales
from agn_hw.conversion.rewrite import Rewriter
from agn_hw.conversion.trace import trace
from agn_hw.nn.coded import Coded
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
    """A new model on integers, on the device of `model`, which stays as it is; the work is done on the CPU.

    loader: batches of float inputs [B, ...], or tuples that begin with them; they set the activation scales. scheme:
    bits, symmetry and observers (default: 8 bits, symmetric, weights per channel); layers: another scheme for some
    layers, by name. Call the result as the original: float inputs in, float outputs out. Modules without an integer
    form stay in float: `kept_exact(q)` names them, and so does a line in the log. Raises ModelError for a model that
    torch.fx cannot trace, that has no convolution or linear layer, or that does not take the loader's batches.
    """
    batches = _batches(loader)
    quantized = _skeleton(model, scheme, layers, batches[0])
    try:
        calibrate(quantized, batches)
    except (RuntimeError, IndexError) as error:
        came = f"one made it raise {type(error).__name__}: {error}"
        raise ModelError("batches that the model takes, all like the first", came, "look at their shapes") from error
    return quantized.to(_device(model))


def skeleton(
    model: nn.Module,
    scheme: Scheme | None = None,
    layers: Dictionary[str, Scheme] | None = None,
    example: torch.Tensor | None = None,
) -> fx.GraphModule:
    """The quantised structure with weights but neutral activation scales (for a state_dict to be loaded into).

    example: a batch of inputs, which decides control flow that depends on shapes. Raises ModelError.
    """
    return _skeleton(model, scheme, layers, None if example is None else example.cpu()).to(_device(model))


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _skeleton(
    model: nn.Module, scheme: Scheme | None, layers: Dictionary[str, Scheme] | None, example: torch.Tensor | None
) -> fx.GraphModule:
    """On the CPU."""
    scheme, layers = scheme or Scheme(), layers or {}
    for given in (scheme, *layers.values()):
        if not isinstance(given, Scheme):
            raise ModelError("a Scheme", f"{given!r} came", "write agn_hw.Scheme(weight_bits=...)")
    if any(isinstance(module, Coded) for module in model.modules()):
        raise ModelError("a float model", "it is quantised already", "quantise the float model with the other scheme")
    name, model = type(model).__name__, _copy(model).cpu()
    wanted = None if example is None else _answer(model, example)
    traced, whole = trace(model, None if example is None else example[:2])
    fold_batch_norm(traced)
    traced.recompile()
    if example is not None:
        _compare(name, _run(traced, example), wanted)
    name_reasons(traced, whole)
    Rewriter(traced).run()
    if example is not None:
        _compare(name, _run(InFloat(traced), example), wanted)
    found = table_layers(traced)
    if not found:
        raise unsupported(name, "it has no convolution or linear layer that can be quantised")
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
        if batch.dim() < 2:
            raise ModelError("inputs with the batch as first axis", f"{list(batch.shape)} came", "add an axis")
    return [batch.float() for batch in batches]


def _copy(model: nn.Module) -> nn.Module:
    """A copy in float32 and evaluation mode."""
    try:
        return copy.deepcopy(model).float().eval()
    except RuntimeError as error:
        mend = "take off what computes weights in hooks: torch.nn.utils.remove_weight_norm, prune.remove"
        raise ModelError("a model that can be copied", str(error), mend) from None


@torch.no_grad()
def _answer(model: nn.Module, example: torch.Tensor) -> Any:
    try:
        return model(example.clone())  # it may work in place
    except Exception as error:  # whatever the user's model raises
        came = f"{list(example.shape)} {example.dtype} made it raise {type(error).__name__}: {error}"
        raise ModelError("inputs that the model takes", came, "give the loader the model was trained with") from error


@torch.no_grad()
def _run(traced: fx.GraphModule | fx.Interpreter, example: torch.Tensor) -> Any:
    try:
        return traced.run(example) if isinstance(traced, fx.Interpreter) else traced(example)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        came = f"{list(example.shape)} gives {type(error).__name__}: {error}"
        raise ModelError("inputs with the batch as first axis", came, "give whole batches") from error


def _compare(name: str, found: Any, wanted: Any) -> None:
    """Raises ModelError if what came of a model does not give what the model gives."""
    reason = "traced by torch.fx it gives other outputs: is it random, has it hooks, does x += y change what is used?"
    pairs = list(zip(tree_leaves(found), tree_leaves(wanted), strict=False))
    tensors = [(f, w) for f, w in pairs if isinstance(f, torch.Tensor) and isinstance(w, torch.Tensor)]
    if len(tree_leaves(found)) != len(tree_leaves(wanted)) or any(f.shape != w.shape for f, w in tensors):
        raise unsupported(name, reason)
    for one, other in tensors:
        if not other.isfinite().all():
            continue  # calibration says where it comes from
        room = 1e-2 * float(other.abs().max()) if other.numel() else 0.0
        if not torch.allclose(one.double(), other.double(), rtol=1e-2, atol=room):
            raise unsupported(name, reason)
