"""What of a quantised network stays in float."""

from __future__ import annotations

from torch import fx, nn

from agn_hw.conversion.rewrite import MOVES, moves
from agn_hw.conversion.trace import REASON, function_name, is_size
from agn_hw.nn.coded import Coded
from agn_hw.nn.errors import ModelError
from agn_hw.nn.pools import MaxPool


def kept_exact(quantized: fx.GraphModule) -> dict[str, str]:
    """Modules and functions that stay in float: name -> reason.

    What only moves numbers, or asks for shapes, is not named.
    """
    if not isinstance(quantized, fx.GraphModule):
        came = f"{type(quantized).__name__} came"
        raise ModelError("a quantised model", came, "call agn_hw.quantize(model, loader) first")
    found: dict[str, str] = {}
    sizes: set[fx.Node] = set()
    for node in quantized.graph.nodes:
        if node.op in ("placeholder", "output", "get_attr"):
            continue
        if node.op == "call_module":
            module = quantized.get_submodule(str(node.target))
            if not isinstance(module, (Coded, MaxPool)) and not isinstance(module, MOVES):
                found[str(node.target)] = getattr(module, REASON, _unknown(type(module).__name__))
        elif is_size(node, sizes):
            sizes.add(node)
        elif not moves(node):
            found[node.name] = _unknown(function_name(node))
    return found


def _unknown(kind: str) -> str:
    return f"no integer form is known for {kind}"


def name_reasons(quantized: fx.GraphModule, reasons: dict[str, str]) -> None:
    """Keeps what tracing said of the modules it held whole."""
    for name, reason in reasons.items():
        module: nn.Module = quantized.get_submodule(name)
        setattr(module, REASON, reason)
