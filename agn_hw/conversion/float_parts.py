"""What of a quantised network stays in float."""

from __future__ import annotations

from torch import fx, nn

from agn_hw.conversion.trace import function_name
from agn_hw.nn.coded import Coded
from agn_hw.nn.ends import Dequantize

REASON = "agn_hw_reason"
"""Attribute of a float module that torch.fx could not look into: why."""


def kept_exact(quantized: fx.GraphModule) -> dict[str, str]:
    """Modules and functions that stay in float between codes: name -> reason.

    Functions that only move numbers are not named.
    """
    found: dict[str, str] = {}
    for node in quantized.graph.nodes:
        module = quantized.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, Coded) or node.op in ("placeholder", "output", "get_attr"):
            continue
        if module is not None and (_takes_real(quantized, node) or any(True for _ in module.parameters())):
            reason = getattr(module, REASON, f"no integer form is known for {type(module).__name__}")
            found[str(node.target)] = reason
        elif module is None and _takes_real(quantized, node):
            found[node.name] = f"no integer form is known for {function_name(node)}"
    return found


def _takes_real(quantized: fx.GraphModule, node: fx.Node) -> bool:
    return any(
        source.op == "call_module" and isinstance(quantized.get_submodule(str(source.target)), Dequantize)
        for source in node.all_input_nodes
    )


def name_reasons(quantized: fx.GraphModule, reasons: dict[str, str]) -> None:
    """Keeps what tracing said of the modules it held whole."""
    for name, reason in reasons.items():
        module: nn.Module = quantized.get_submodule(name)
        setattr(module, REASON, reason)
