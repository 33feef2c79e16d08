"""A float model -> the same model on 8-bit integers: BatchNorm folded, layers replaced, scales calibrated.

The model is traced by torch.fx; the graph keeps its module names. What cannot be converted is named in the error.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agn_hw.nn.calibrate import calibrate
from agn_hw.nn.errors import ModelError, unsupported
from agn_hw.nn.layers import (
    LOGITS,
    UNSIGNED,
    Dequantize,
    Quantize,
    TableConv2d,
    TableLayer,
    TableLinear,
)
from agn_hw.nn.sums import AveragePool, MaxPool, ResidualSum

__all__ = ["ModelError", "quantize", "skeleton"]

_PASSED_ON = (nn.Flatten, MaxPool)  # a pool used twice is converted once
_LEFT_OUT = (nn.Identity, nn.Dropout)
_ADD = ("add", "iadd")
_SHAPES = ("flatten", "view", "reshape", "size")


def quantize(model: nn.Module, loader: Iterable[Any]) -> fx.GraphModule:
    """A new model on 8-bit integers; `model` stays as it is.

    loader: batches of inputs (float, not negative) or tuples that begin with them; they set the activation scales.
    Call it as the original: float images in, float logits out. Raises ModelError for a module or function that has
    no integer form, ValueError for an empty loader.
    """
    quantized = skeleton(model)
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in loader]
    if not batches:
        raise ValueError("quantize needs at least one batch to set the activation scales")
    calibrate(quantized, torch.cat(batches))
    return quantized


def skeleton(model: nn.Module) -> fx.GraphModule:
    """The quantised structure with weights but neutral activation scales (for a state_dict to be loaded into)."""
    try:
        traced = fx.symbolic_trace(copy.deepcopy(model).eval())
    except fx.proxy.TraceError as error:
        raise unsupported(type(model).__name__, f"torch.fx cannot trace it ({error})") from None
    _fold_batch_norm(traced)
    for node in list(traced.graph.nodes):
        _convert(traced, node)
    _wrap_ends(traced)
    _settle_signs(traced)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def _fold_batch_norm(traced: fx.GraphModule) -> None:
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        source = node.all_input_nodes[0]
        convolution = modules.get(str(source.target)) if source.op == "call_module" else None
        if not isinstance(convolution, nn.Conv2d) or len(source.users) != 1:
            raise unsupported(node.target, "a BatchNorm that does not follow a convolution of its own")
        fused = fuse_conv_bn_eval(convolution, modules[node.target])
        traced.set_submodule(str(source.target), fused)
        modules[str(source.target)] = fused
        node.replace_all_uses_with(source)
        traced.graph.erase_node(node)


def _convert(traced: fx.GraphModule, node: fx.Node) -> None:
    """Replaces one node by its integer form."""
    if node.op in ("placeholder", "output"):
        return
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        replacement = _replacement(str(node.target), module)
        if isinstance(module, nn.ReLU):
            _fuse_relu(traced, node)
        elif isinstance(module, _LEFT_OUT):
            node.replace_all_uses_with(node.all_input_nodes[0])
            traced.graph.erase_node(node)
        elif replacement is not None:
            traced.set_submodule(str(node.target), replacement)
        return
    name = getattr(node.target, "__name__", str(node.target))
    if name == "relu":
        _fuse_relu(traced, node)
    elif name in _ADD:
        _replace_sum(traced, node)
    elif name not in (*_SHAPES, "getitem") and not (name == "getattr" and node.args[1] == "shape"):
        raise unsupported(name, "no integer form is known for this function")


def _replace_sum(traced: fx.GraphModule, node: fx.Node) -> None:
    """A sum of two branches becomes a ResidualSum, which has a scale of its own."""
    if len(node.args) != 2 or node.kwargs or not all(isinstance(argument, fx.Node) for argument in node.args):
        raise unsupported(node.name, "only the plain sum of two branches has an integer form")
    target = f"{node.name}_sum"
    traced.add_submodule(target, ResidualSum())
    with traced.graph.inserting_after(node):
        new = traced.graph.call_module(target, node.args)
    node.replace_all_uses_with(new)
    traced.graph.erase_node(node)


def _replacement(name: str, module: nn.Module) -> nn.Module | None:
    """The integer module for a float one; None where codes pass through it unchanged or it is a ReLU."""
    if isinstance(module, nn.Conv2d):
        try:
            return TableConv2d(module)
        except ValueError as error:
            raise unsupported(name, str(error)) from None
    if isinstance(module, nn.Linear):
        return TableLinear(module)
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return AveragePool()
    if isinstance(module, nn.MaxPool2d) and not module.return_indices:
        return MaxPool(module)
    if isinstance(module, (*_PASSED_ON, *_LEFT_OUT, nn.ReLU)):
        return None
    raise unsupported(name, f"no integer form is known for {type(module).__name__}")


def _fuse_relu(traced: fx.GraphModule, node: fx.Node) -> None:
    """A ReLU is the lower limit of the code before it."""
    source = node.all_input_nodes[0]
    module = traced.get_submodule(str(source.target)) if source.op == "call_module" else None
    if not isinstance(module, (TableLayer, ResidualSum)) or len(source.users) != 1:
        raise unsupported(node.name, "a ReLU that does not follow a layer or sum of its own")
    module.output_range = UNSIGNED
    node.replace_all_uses_with(source)
    traced.graph.erase_node(node)


def _wrap_ends(traced: fx.GraphModule) -> None:
    """Codes begin after the input and end before the output."""
    graph = traced.graph
    entry, *others = [node for node in graph.nodes if node.op == "placeholder"]
    if any(other.users for other in others):
        raise unsupported(others[0].name, "a second input")
    traced.add_submodule("input_codes", Quantize())
    with graph.inserting_after(entry):
        codes = graph.call_module("input_codes", (entry,))
    entry.replace_all_uses_with(codes)
    codes.args = (entry,)
    output = next(node for node in graph.nodes if node.op == "output")
    last = output.args[0]
    module = traced.get_submodule(str(last.target)) if isinstance(last, fx.Node) and last.op == "call_module" else None
    if not isinstance(module, TableLayer) or module.output_range == UNSIGNED or len(last.users) != 1:
        raise unsupported(str(last), "the network must end in one convolution or linear layer, without a ReLU")
    module.output_range = LOGITS
    traced.add_submodule("logits", Dequantize())
    with graph.inserting_before(output):
        output.args = (graph.call_module("logits", (last,)),)


def _settle_signs(traced: fx.GraphModule) -> None:
    """Multipliers take activations 0..255: what may be negative must not reach a layer or an average."""
    negative: set[fx.Node] = set()
    for node in traced.graph.nodes:
        module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        fed = any(source in negative for source in node.all_input_nodes)
        if fed and isinstance(module, (TableLayer, AveragePool)):
            raise unsupported(node.target, "its input can be negative; put a ReLU before it")
        if isinstance(module, ResidualSum) and not fed:
            module.output_range = UNSIGNED
        if module.output_range != UNSIGNED if isinstance(module, (TableLayer, ResidualSum)) else fed:
            negative.add(node)
