"""A user's model -> its graph (torch.fx), as it comes: what cannot be traced stays one node, with the reason.

Control flow that depends on shapes is decided by an example input; what depends on values cannot be traced.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from agn_hw.conversion.in_place import out_of_place
from agn_hw.nn.errors import unsupported

_KNOWN = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
_DROPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
REASON = "agn_hw_reason"
"""Attribute of a module that stays in float for a reason of its own: the reason."""
_RANDOM = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "stochastic_depth"}


def trace(model: nn.Module, example: torch.Tensor | None = None) -> tuple[fx.GraphModule, dict[str, str]]:
    """The graph of a model in evaluation mode, and what it holds whole: module name -> reason.

    model: is changed (put into eval mode), give a copy. example: a batch of inputs. Raises ModelError.
    """
    tracer = _Tracer(example)
    try:
        graph = tracer.trace(model.eval(), _defaults(model))
    except Exception as error:  # a model's own code may raise anything when it meets a traced value
        raise unsupported(type(model).__name__, f"torch.fx cannot trace it ({_first_line(error)})") from None
    graph._tracer_cls = fx.Tracer  # what unpickling traces with: it keeps all modules whole
    traced = fx.GraphModule(tracer.root, graph)
    out_of_place(traced)
    _drop_idle(traced)
    _name_parameters(traced)
    for node in traced.graph.nodes:
        node.type = None  # annotations in quotes could not be pickled
    traced.graph.eliminate_dead_code()
    return traced, tracer.whole


def _defaults(model: nn.Module) -> dict[str, Any] | None:
    """The further arguments of a model's forward, as they are when only inputs are given."""
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty} or None


def is_plain(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether a module is one of these kinds and does what they do: no forward of its own, no hooks."""
    plain = any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)
    return plain and not (module._forward_hooks or module._forward_pre_hooks)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


class _Tracer(fx.Tracer):
    """Keeps the layers we know whole, and every module whose forward cannot be traced."""

    def __init__(self, example: torch.Tensor | None) -> None:
        super().__init__()
        self.example = example
        self.whole: dict[str, str] = {}
        self._values: dict[fx.Node, Any] = {}
        self._evaluating = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        inherited = any(isinstance(m, known) and type(m).forward is known.forward for known in _KNOWN)
        return inherited or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._evaluating:
            return forward(*args, **kwargs)
        before, depth = len(self.graph.nodes), len(self.module_stack)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception as error:  # see `trace`
            while len(self.module_stack) > depth:
                self.module_stack.popitem()
            for node in reversed(list(self.graph.nodes)[before:]):
                self.graph.erase_node(node)
            name = self.path_of_module(m)
            self.whole[name] = f"torch.fx cannot trace {type(m).__name__} ({_first_line(error)})"
            return self.create_proxy("call_module", name, args, kwargs)

    def to_bool(self, obj: fx.Proxy) -> bool:
        if self.example is None or not _of_sizes(obj.node):
            return super().to_bool(obj)
        self._evaluating = True
        try:
            with torch.no_grad():
                return bool(self._value(obj.node))
        finally:
            self._evaluating = False

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._evaluating else super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: fx.Node) -> Any:
        """What a node is for the example."""
        if node not in self._values:
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), self._value_for_use)
            self._values[node] = self._run(node, args, kwargs)
        return self._values[node]

    def _value_for_use(self, node: fx.Node) -> Any:
        value = self._value(node)
        return value.clone() if isinstance(value, torch.Tensor) else value  # for functions that work in place

    def _run(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        target: Any = node.target
        if node.op == "placeholder":
            return self.example
        if node.op == "get_attr":
            return operator.attrgetter(target)(self.root)
        if node.op == "call_module":
            return self.root.get_submodule(target)(*args, **kwargs)
        return target(*args, **kwargs) if node.op == "call_function" else getattr(args[0], target)(*args[1:], **kwargs)


def function_name(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    return str(getattr(node.target, "__name__", node.target))


def asks_size(node: fx.Node) -> bool:
    """Whether a node reads a tensor's shape."""
    return function_name(node) in ("size", "dim") or (node.target is getattr and node.args[1] in ("shape", "ndim"))


def is_size(node: fx.Node, known: set[fx.Node]) -> bool:
    """Whether a node gives numbers of shapes: it asks for them, or works on `known` ones alone."""
    sources = node.all_input_nodes
    return asks_size(node) or bool(sources and all(source in known for source in sources))


def _of_sizes(node: fx.Node) -> bool:
    """Whether a node's value follows from shapes alone, so that other images have the same."""
    left = [node]
    while left:
        source = left.pop()
        if not asks_size(source):
            if not source.all_input_nodes:
                return False
            left += source.all_input_nodes
    return True


def bound(function: Callable[..., Any], node: fx.Node) -> dict[str, Any]:
    """The arguments of a call by name, defaults filled in; an empty dict if they do not fit."""
    try:
        arguments = inspect.signature(function).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):
        return {}
    arguments.apply_defaults()
    return dict(arguments.arguments)


def remove(traced: fx.GraphModule, node: fx.Node) -> None:
    """Takes a node out that gives what it is given."""
    node.replace_all_uses_with(node.all_input_nodes[0])
    traced.graph.erase_node(node)


def _drop_idle(traced: fx.GraphModule) -> None:
    """Takes out what does nothing in evaluation: dropout, identities, assertions."""
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and is_plain(traced.get_submodule(str(node.target)), *_DROPPED):
            remove(traced, node)
        elif node.op == "call_function" and function_name(node) in ("_assert", "_assert_is_none"):
            traced.graph.erase_node(node)
        elif node.op == "call_function" and function_name(node) in _RANDOM and _rests(node):
            remove(traced, node)


def _rests(node: fx.Node) -> bool:
    return bound(node.target, node).get("training", True) is False  # type: ignore[arg-type]


def _name_parameters(traced: fx.GraphModule) -> None:
    """Turns functions that are given a module's parameters into modules: batch_norm, linear, conv2d."""
    makers = {F.batch_norm: _batch_norm, F.linear: _linear, F.conv1d: _convolution, F.conv2d: _convolution}
    for node in list(traced.graph.nodes):
        if node.op != "call_function" or node.target not in makers:
            continue
        given = bound(getattr(F, node.target.__name__, node.target), node) or _by_position(node)
        tensors = {
            name: operator.attrgetter(str(value.target))(traced) if isinstance(value, fx.Node) else value
            for name, value in given.items()
            if name != "input" and (not isinstance(value, fx.Node) or value.op == "get_attr")
        }
        if set(given) - set(tensors) != {"input"} or tensors.get("weight") is None:
            continue
        module = makers[node.target](tensors)
        if module is None:
            continue
        owner = str(given["weight"].target).rpartition(".")[0]
        name = owner if owner and _only_holds(traced.get_submodule(owner)) else f"{node.name}_module"
        traced.add_submodule(name, module.eval())
        with traced.graph.inserting_before(node):
            new = traced.graph.call_module(name, (given["input"],))
        node.replace_all_uses_with(new)
        traced.graph.erase_node(node)


def _only_holds(module: nn.Module) -> bool:
    """Whether a module was left by tracing for its parameters alone: nothing calls it, or anything in it."""
    return type(module) is nn.Module and not any(True for _ in module.children())


_ARGUMENTS = {
    "linear": ("input", "weight", "bias"),
    "conv1d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
}


def _by_position(node: fx.Node) -> dict[str, Any]:
    """Arguments of a function that is written in C and has no signature."""
    names = _ARGUMENTS.get(function_name(node), ())
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _batch_norm(given: dict[str, Any]) -> nn.Module | None:
    mean = given["running_mean"]
    if given["training"] is not False or mean is None:
        return None
    module = _BatchNorm(len(mean), eps=given["eps"])
    module.running_mean, module.running_var = mean, given["running_var"]
    return _with(module, given)


class _BatchNorm(nn.BatchNorm1d):
    """Takes inputs of any number of axes, as the function does."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass


def _with(module: nn.Module, given: dict[str, Any]) -> nn.Module:
    """A module with these weights; a buffer's are fixed."""
    for name in ("weight", "bias"):
        tensor = given.get(name)
        if tensor is not None and not isinstance(tensor, nn.Parameter):
            tensor = nn.Parameter(tensor, requires_grad=False)
        setattr(module, name, tensor)
    return module


def _linear(given: dict[str, Any]) -> nn.Module:
    weight = given["weight"]
    return _with(nn.Linear(weight.shape[1], weight.shape[0], given.get("bias") is not None, device="meta"), given)


def _convolution(given: dict[str, Any]) -> nn.Module:
    weight, groups = given["weight"], given.get("groups", 1)
    geometry = {key: given[key] for key in ("stride", "padding", "dilation") if key in given}
    kind = nn.Conv1d if weight.dim() == 3 else nn.Conv2d
    bias = given.get("bias") is not None
    sizes = weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:])
    return _with(kind(*sizes, groups=groups, bias=bias, device="meta", **geometry), given)
