"""A traced float graph -> a graph of integer modules; what has no integer form stays in float between two borders.

A value of the graph is codes (what integer modules give), a size (numbers of shapes), or real (all else). Integer
modules get codes: a Quantize is put before them where the value is real; float parts get real numbers from a
Dequantize. Functions that only move numbers pass codes on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from agn_hw.conversion.trace import REASON, function_name, is_plain, is_size
from agn_hw.nn import functions
from agn_hw.nn.coded import Coded
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.functions import Applied, Lookup
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.pools import AveragePool, GlobalAverage, MaxPool
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from agn_hw.nn.sums import CodeProduct, Rectifiable, ResidualSum

_LAYERS: dict[type[nn.Module], Callable[[Any], TableLayer]] = {
    nn.Conv1d: TableConv1d,
    nn.Conv2d: TableConv2d,
    nn.Linear: TableLinear,
}
MOVES = (nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.ZeroPad2d, nn.MaxPool1d)
_MOVE_NAMES = {
    "flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "contiguous", "chunk", "split",
    "getitem", "expand", "unflatten", "movedim", "swapaxes", "clone", "detach", "flip", "roll", "narrow", "select",
    "t", "pixel_shuffle", "unbind", "repeat",
}  # fmt: skip
_POOLS: dict[str, type[nn.Module]] = {
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "max_pool2d": nn.MaxPool2d,
}
_SUMS, _PRODUCTS = {"add", "iadd", "add_"}, {"mul", "imul", "mul_"}


class Rewriter:
    """Rewrites one traced graph, in place."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self.traced, self.graph = traced, traced.graph
        self._codes: set[fx.Node] = set()
        self._sizes: set[fx.Node] = set()
        self._constants: set[fx.Node] = set()
        self._quantized: dict[fx.Node, fx.Node] = {}
        self._real: dict[fx.Node, fx.Node] = {}
        self._layers: dict[str, TableLayer] = {}
        self._modules = dict(traced.named_modules())

    def run(self) -> None:
        """Rewrites every node, in order."""
        for node in list(self.graph.nodes):
            if node.op != "placeholder" and all(source in self._constants for source in node.all_input_nodes):
                self._constants.add(node)  # parameters, and what is computed from them alone
            if node.op == "output":
                self._take_real(node, "logits")
            elif node.op == "call_module":
                self._module(node, self._modules[str(node.target)])
            elif node.op in ("call_function", "call_method") and not self._is_size(node):
                self._function(node, function_name(node))
        self.graph.eliminate_dead_code()
        self.traced.delete_all_unused_submodules()

    # -- what a node is

    def _is_size(self, node: fx.Node) -> bool:
        if is_size(node, self._sizes):
            self._sizes.add(node)
        return node in self._sizes

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        known = _known_layer(module)
        if known is not None:
            self._layer(node, module, known)
        elif is_plain(module, *functions.MODULES):
            self._unary(node, module)
        elif isinstance(module, (nn.AvgPool2d, nn.AdaptiveAvgPool2d)) and is_plain(module, type(module)):
            self._pool(node, _average(module))
        elif isinstance(module, nn.MaxPool2d) and is_plain(module, nn.MaxPool2d) and not module.return_indices:
            self._pool(node, MaxPool(module))
        elif is_plain(module, *MOVES):
            self._move(node)
        else:
            if module._forward_hooks or module._forward_pre_hooks:
                setattr(module, REASON, "it has forward hooks")
            self._take_real(node)

    def _function(self, node: fx.Node, name: str) -> None:
        first = node.args[0] if node.args else None
        if name in functions.NAMES and first in self._codes and len(node.all_input_nodes) == 1:
            self._unary(node, Applied(name, tuple(node.args[1:]), dict(node.kwargs)))
        elif name in _SUMS | _PRODUCTS and self._joins(node):
            joined, suffix = (ResidualSum(), "sum") if name in _SUMS else (CodeProduct(), "product")
            self._replace(node, joined, suffix)
        elif name in _POOLS and first in self._codes:
            self._functional_pool(node, name)
        elif name == "mean" and first in self._codes and (average := _mean(node)) is not None:
            self._replace(node, average, "average", 1)
        elif moves(node):
            self._move(node)
        else:
            self._take_real(node)

    def _joins(self, node: fx.Node) -> bool:
        """Whether two branches come together here, at least one in codes; not a branch and a constant."""
        branches = len(node.args) == 2 and not node.kwargs and all(isinstance(arg, fx.Node) for arg in node.args)
        return (
            branches
            and any(arg in self._codes for arg in node.args)
            and not any(arg in self._sizes or arg in self._constants for arg in node.all_input_nodes)
        )

    # -- what becomes of it

    def _layer(self, node: fx.Node, module: nn.Module, known: Callable[[Any], TableLayer]) -> None:
        """A layer that is called again gets a module of its own for each call, with the same weights."""
        target = str(node.target)
        layer = known(module)
        if target in self._layers:
            layer.weight, layer.bias = self._layers[target].weight, self._layers[target].bias
            node.target = self._free_name(f"{target}_again")
        else:
            self._layers[target] = layer
        node.args, node.kwargs = tuple(node.all_input_nodes), {}  # the input may have been given by name
        self.traced.set_submodule(str(node.target), layer)
        self._give_codes(node, 1)

    def _unary(self, node: fx.Node, function: nn.Module) -> None:
        source = node.all_input_nodes[0]
        if source not in self._codes:
            return
        module = self._module_of(source)
        ceiling = functions.ceiling(function)
        alone = len(source.users) == 1
        if alone and ceiling is not None and isinstance(module, Rectifiable) and module.ceiling is None:
            module.rectify(ceiling)
            node.replace_all_uses_with(source)
            self.graph.erase_node(node)
        else:
            self._replace(node, Lookup(copy.deepcopy(function)), "function", 1)

    def _pool(self, node: fx.Node, module: nn.Module) -> None:
        if node.all_input_nodes[0] in self._codes:
            self._replace(node, module, "", 1, keep_name=True)

    def _functional_pool(self, node: fx.Node, name: str) -> None:
        module = _pool_module(_POOLS[name], node)
        if module is None:
            self._take_real(node)
        else:
            self._replace(node, module, "pool", 1)

    def _move(self, node: fx.Node) -> None:
        if node.all_input_nodes[0] in self._codes:
            self._codes.add(node)

    # -- the graph's surgery

    def _replace(
        self, node: fx.Node, module: nn.Module, suffix: str, arguments: int | None = None, keep_name: bool = False
    ) -> None:
        """Puts an integer module in a node's place; it takes the first `arguments` tensors of the node."""
        name = str(node.target) if keep_name else f"{node.name}_{suffix}"
        if not keep_name or isinstance(self.traced.get_submodule(name), (Coded, MaxPool)):
            name = self._free_name(name)
        self.traced.set_submodule(name, module) if keep_name else self.traced.add_submodule(name, module)
        with self.graph.inserting_after(node):
            new = self.graph.call_module(name, tuple(node.all_input_nodes[:arguments]) if arguments else node.args)
        node.replace_all_uses_with(new)
        self.graph.erase_node(node)
        self._give_codes(new, len(new.args))

    def _give_codes(self, node: fx.Node, arguments: int) -> None:
        """Its arguments are made codes, and its output is codes."""
        for source in dict.fromkeys(node.all_input_nodes[:arguments]):
            if source not in self._codes:
                node.replace_input_with(source, self._as_codes(source))
        self._codes.add(node)

    def _as_codes(self, source: fx.Node) -> fx.Node:
        if source not in self._quantized:
            wanted = "input_codes" if source.op == "placeholder" else f"{source.name}_codes"
            name = self._free_name(wanted)
            self.traced.add_submodule(name, Quantize())
            with self.graph.inserting_after(source):
                self._quantized[source] = self.graph.call_module(name, (source,))
            self._codes.add(self._quantized[source])
        return self._quantized[source]

    def _take_real(self, node: fx.Node, wanted: str = "") -> None:
        for source in dict.fromkeys(node.all_input_nodes):
            if source in self._codes:
                node.replace_input_with(source, self._as_real(source, wanted or f"{source.name}_real"))

    def _as_real(self, source: fx.Node, wanted: str) -> fx.Node:
        if source not in self._real:
            name = self._free_name(wanted)
            self.traced.add_submodule(name, Dequantize())
            with self.graph.inserting_after(source):
                self._real[source] = self.graph.call_module(name, (source,))
        return self._real[source]

    def _module_of(self, node: fx.Node) -> nn.Module | None:
        return self.traced.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _free_name(self, wanted: str) -> str:
        taken = dict(self.traced.named_modules()) | self.traced.__dict__
        name, count = wanted, 1
        while name in taken or hasattr(self.traced, name):
            count += 1
            name = f"{wanted}_{count}"
        return name


def moves(node: fx.Node) -> bool:
    """Whether a function only moves numbers, so that codes pass."""
    name = function_name(node)
    return name in _MOVE_NAMES or (name == "pad" and _pads_zeros(node))


def _known_layer(module: nn.Module) -> Callable[[Any], TableLayer] | None:
    return next((known for kind, known in _LAYERS.items() if is_plain(module, kind)), None)


def _average(module: nn.AvgPool2d | nn.AdaptiveAvgPool2d) -> nn.Module:
    globally = isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))
    return GlobalAverage() if globally else AveragePool(module)


def _pads_zeros(node: fx.Node) -> bool:
    given = dict(zip(("input", "pad", "mode", "value"), node.args, strict=False)) | node.kwargs
    return given.get("mode", "constant") != "constant" or not given.get("value")


def _mean(node: fx.Node) -> GlobalAverage | None:
    """The average over some axes, None for a mean over all."""
    given = dict(zip(("input", "dim", "keepdim"), node.args, strict=False)) | node.kwargs
    asked: Any = given.get("dim", given.get("axis"))
    axes = tuple(asked) if isinstance(asked, (list, tuple)) else (asked,)
    plain = bool(axes) and all(isinstance(axis, int) for axis in axes)
    if not plain or given.get("dtype") is not None or len(node.all_input_nodes) != 1:
        return None
    return GlobalAverage(bool(given.get("keepdim", False)), axes)


_POOL_ARGUMENTS = {
    nn.AdaptiveAvgPool2d: ("input", "output_size"),
    nn.AvgPool2d: ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    nn.MaxPool2d: ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
}


def _pool_module(kind: type[nn.Module], node: fx.Node) -> nn.Module | None:
    """The module for a pooling function, None where its arguments are not plain numbers."""
    given = dict(zip(_POOL_ARGUMENTS[kind], node.args, strict=False)) | node.kwargs
    given.pop("input", None)
    if len(node.all_input_nodes) != 1 or given.get("return_indices"):
        return None
    module = kind(**given)
    return MaxPool(module) if isinstance(module, nn.MaxPool2d) else _average(module)  # type: ignore[arg-type]
