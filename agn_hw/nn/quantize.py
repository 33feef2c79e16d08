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

from agn_hw.nn.layers import (
    LOGITS,
    SIGNED,
    UNSIGNED,
    AveragePool,
    Dequantize,
    Quantize,
    ResidualSum,
    TableConv2d,
    TableLayer,
    TableLinear,
)
from agn_hw.nn.observe import largest_magnitude, mse_scale
from lut_gen.errors import AgnError

_PASSED_ON = (nn.Flatten, nn.MaxPool2d, nn.Identity, nn.Dropout)
_ADD = ("add", "iadd")


class ModelError(AgnError):
    """A model holds what cannot be quantised."""


def quantize(model: nn.Module, loader: Iterable[Any]) -> fx.GraphModule:
    """A new model on 8-bit integers; `model` stays as it is.

    loader: batches of inputs (float, not negative) or tuples that begin with them; they set the activation scales.
    Call it as the original: float images in, float logits out. Raises ModelError for a module or function that has
    no integer form, ValueError for an empty loader.
    """
    quantized = skeleton(model)
    _calibrate(quantized, [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in loader])
    return quantized


def skeleton(model: nn.Module) -> fx.GraphModule:
    """The quantised structure with weights but neutral activation scales (for a state_dict to be loaded into)."""
    traced = fx.symbolic_trace(copy.deepcopy(model).eval())
    _fold_batch_norm(traced)
    for node in list(traced.graph.nodes):
        _convert(traced, node)
    _wrap_ends(traced)
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
            raise _unsupported(node.target, "a BatchNorm that does not follow a convolution of its own")
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
        elif replacement is not None:
            traced.set_submodule(str(node.target), replacement)
        return
    name = getattr(node.target, "__name__", str(node.target))
    if name == "relu":
        _fuse_relu(traced, node)
    elif name in _ADD and all(isinstance(argument, fx.Node) for argument in node.args):
        target = f"{node.name}_sum"
        traced.add_submodule(target, ResidualSum())
        with traced.graph.inserting_after(node):
            new = traced.graph.call_module(target, tuple(node.args[:2]))
        node.replace_all_uses_with(new)
        new.args = tuple(node.args[:2])
        traced.graph.erase_node(node)
    elif name not in ("flatten", "view", "reshape"):
        raise _unsupported(name, "no integer form is known for this function")


def _replacement(name: str, module: nn.Module) -> nn.Module | None:
    """The integer module for a float one; None where codes pass through it unchanged or it is a ReLU."""
    if isinstance(module, nn.Conv2d):
        try:
            return TableConv2d(module)
        except ValueError as error:
            raise _unsupported(name, str(error)) from None
    if isinstance(module, nn.Linear):
        return TableLinear(module)
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return AveragePool()
    if isinstance(module, (*_PASSED_ON, nn.ReLU)):
        return None
    raise _unsupported(name, f"no integer form is known for {type(module).__name__}")


def _fuse_relu(traced: fx.GraphModule, node: fx.Node) -> None:
    """A ReLU is the lower limit of the code before it."""
    source = node.all_input_nodes[0]
    module = traced.get_submodule(str(source.target)) if source.op == "call_module" else None
    if not isinstance(module, (TableLayer, ResidualSum)) or len(source.users) != 1:
        raise _unsupported(node.name, "a ReLU that does not follow a layer or sum of its own")
    module.output_range = UNSIGNED
    node.replace_all_uses_with(source)
    traced.graph.erase_node(node)


def _wrap_ends(traced: fx.GraphModule) -> None:
    """Codes begin after the input and end before the output."""
    graph = traced.graph
    entry = next(node for node in graph.nodes if node.op == "placeholder")
    traced.add_submodule("input_codes", Quantize())
    with graph.inserting_after(entry):
        codes = graph.call_module("input_codes", (entry,))
    entry.replace_all_uses_with(codes)
    codes.args = (entry,)
    output = next(node for node in graph.nodes if node.op == "output")
    last = output.args[0]
    module = traced.get_submodule(str(last.target)) if isinstance(last, fx.Node) and last.op == "call_module" else None
    if not isinstance(module, TableLayer):
        raise _unsupported(str(last), "the network must end in one convolution or linear layer")
    module.output_range = LOGITS
    traced.add_submodule("logits", Dequantize())
    with graph.inserting_before(output):
        output.args = (graph.call_module("logits", (last,)),)


def _unsupported(name: Any, reason: str) -> ModelError:
    mend = "use convolution, linear, ReLU, BatchNorm, addition, flatten, max and global average pooling"
    return ModelError("a network that has an integer form", f"'{name}': {reason}", mend)


class _Calibration(fx.Interpreter):
    """Runs the quantised graph once, in order, fixing each module's output scale from what it sees.

    Every module computes in real numbers here (codes times scale), so that scales do not build on each other's
    rounding; afterwards all input scales are those of the edges.
    """

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.scales: dict[fx.Node, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_module":
            result = super().run_node(n)
            if n.op in ("call_function", "call_method"):  # flatten and its kin
                self.scales[n] = self.scales[n.all_input_nodes[0]]
            return result
        module = self.module.get_submodule(str(n.target))
        values = [self.env[argument] for argument in n.all_input_nodes]
        scales = [self.scales[a] for a in n.all_input_nodes if a in self.scales]
        real = self._real(module, values)
        if isinstance(module, Quantize):
            if bool((real < 0).any()):
                mend = "feed images as 0..1 (the mean is learned by the first layer)"
                raise ModelError("inputs that are not negative", f"{float(real.min()):.3g} came", mend)
            module.scale = largest_magnitude(real) / UNSIGNED[1]
            self.scales[n] = module.scale.double()
        elif isinstance(module, (TableLayer, ResidualSum, AveragePool)):
            module.out_scale = self._output_scale(module, real)
            if isinstance(module, ResidualSum):
                module.in_scales = torch.stack(scales)
            else:
                module.in_scale = scales[0]
            self.scales[n] = module.out_scale
        elif isinstance(module, Dequantize):
            module.scale = scales[0].float()
        else:
            self.scales[n] = scales[0]
        return real

    @staticmethod
    def _output_scale(module: Any, real: torch.Tensor) -> torch.Tensor:
        if module.output_range == LOGITS:
            return largest_magnitude(real).double() / LOGITS[1] * 2  # room for what was not seen
        levels = module.output_range[1]
        return mse_scale(real, levels, signed=module.output_range == SIGNED)

    @staticmethod
    def _real(module: nn.Module, values: list[torch.Tensor]) -> torch.Tensor:
        if isinstance(module, (Quantize, Dequantize)):
            return values[0]
        if isinstance(module, TableLayer):
            scale = module.weight_scale.reshape(-1, *[1] * (module.weight.dim() - 1)).float()
            y = module._exact_product(values[0], module.weight_codes() * scale)
            y = y + module.bias.reshape(1, -1, *[1] * (y.dim() - 2))
        elif isinstance(module, ResidualSum):
            y = values[0] + values[1]
        elif isinstance(module, AveragePool):
            return values[0].mean((-2, -1), keepdim=True)
        else:
            return module(values[0])
        return torch.relu(y) if module.output_range == UNSIGNED else y


@torch.no_grad()
def _calibrate(quantized: fx.GraphModule, batches: list[torch.Tensor]) -> None:
    if not batches:
        raise ValueError("quantize needs at least one batch to set the activation scales")
    _Calibration(quantized).run(torch.cat(batches))
