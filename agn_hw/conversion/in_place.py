"""A traced graph without functions that work in place: whoever used the changed tensor gets the result.

A value of the integer network has one meaning; after `y = relu(x, inplace=True)` a use of x means y.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

_OPERATORS: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul,
    operator.itruediv: operator.truediv, operator.ipow: operator.pow,
}  # fmt: skip


def out_of_place(traced: fx.GraphModule) -> None:
    """Rewrites the graph, in place. Views of a changed tensor are not followed."""
    order = {node: position for position, node in enumerate(traced.graph.nodes)}
    modules = {
        str(node.target): traced.get_submodule(str(node.target))
        for node in traced.graph.nodes
        if node.op == "call_module" and getattr(traced.get_submodule(str(node.target)), "inplace", False) is True
    }
    for node in traced.graph.nodes:
        changed = node.args[0] if node.args else node.kwargs.get("input")
        if not isinstance(changed, fx.Node) or not (str(node.target) in modules or _replace(node)):
            continue
        for user in [user for user in changed.users if order[user] > order[node]]:
            user.replace_input_with(changed, node)
    for module in modules.values():
        module.inplace = False  # type: ignore[assignment]


def _replace(node: fx.Node) -> bool:
    """Gives a function or method that works in place the form that does not; whether it was one."""
    target: Any = node.target
    if node.op == "call_method":
        plain = target.removesuffix("_")
        found = plain != target and not target.startswith("__") and hasattr(torch.Tensor, plain)
        node.target = plain if found else target
        return found
    if node.op != "call_function":
        return False
    name = getattr(target, "__name__", "")
    if target in _OPERATORS:
        node.target = _OPERATORS[target]
        return True
    plain_function = getattr(torch, name[:-1], None) or getattr(F, name[:-1], None) if name.endswith("_") else None
    if plain_function is not None:
        node.target = plain_function
        return True
    return _switch_off(node)


def _switch_off(node: fx.Node) -> bool:
    """Sets an argument `inplace` of a function to False; whether it was True."""
    try:
        given = inspect.signature(node.target).bind(*node.args, **node.kwargs)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    if given.arguments.get("inplace") is not True:
        return False
    given.arguments["inplace"] = False
    node.args, node.kwargs = given.args, given.kwargs
    return True
