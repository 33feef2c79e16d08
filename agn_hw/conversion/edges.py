"""The edges of an integer network: who made a value's codes, with which scale, range and bits."""

from __future__ import annotations

from collections.abc import Mapping as Lookup_

from torch import fx, nn

from agn_hw.nn.coded import WIDE, Coded
from agn_hw.nn.ends import Dequantize
from agn_hw.nn.functions import Lookup
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.scheme import Scheme
from agn_hw.nn.sums import Rectifiable


def module_of(traced: fx.GraphModule, node: fx.Node) -> Coded | None:
    """The integer module that a node calls, None if it calls something else."""
    module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, Coded) else None


def makers(traced: fx.GraphModule) -> dict[fx.Node, Coded]:
    """For each value in codes, the module that made them; what only moves codes passes them on."""
    found: dict[fx.Node, Coded] = {}
    for node in traced.graph.nodes:
        module = module_of(traced, node)
        if module is not None:
            if not isinstance(module, Dequantize):
                found[node] = module
        elif node.all_input_nodes and node.all_input_nodes[0] in found and node.op != "output":
            found[node] = found[node.all_input_nodes[0]]
    return found


def connect(traced: fx.GraphModule) -> None:
    """Gives every module the scales and ranges of its inputs, in order: scales are shared, ranges copied."""
    made = makers(traced)
    for node in traced.graph.nodes:
        module = module_of(traced, node)
        if module is None:
            continue
        sources = [made[source] for source in _arguments(node)[: len(module.SOURCES)]]
        for name, source in zip(module.SOURCES, sources, strict=True):
            setattr(module, name, source.out_scale)
            module.shares[name] = source.share()
        if sources:
            settle(module, sources)
        module.shares["out_scale"] = module.share()


def settle(module: Coded, sources: list[Coded]) -> None:
    """A module's ranges from those of its inputs."""
    kept = module.out_codes
    module.settle(*(source.out_codes for source in sources))
    calibrated = kept.signed and kept.high - kept.low == 2**module.bits - 1  # a symmetric range has one code fewer
    if module.scheme.affine and module.out_codes.signed and calibrated:
        module.out_codes = kept


def _arguments(node: fx.Node) -> list[fx.Node]:
    return [value for value in (*node.args, *node.kwargs.values()) if isinstance(value, fx.Node)]


def give_schemes(traced: fx.GraphModule, default: Scheme, by_layer: Lookup_[str, Scheme]) -> None:
    """Tells every module how its output is quantised: as the layers want it that take it.

    Where they differ, the most bits win, and the others get a Lookup before them that makes fewer.
    """
    made = makers(traced)
    wanted: dict[Coded, list[tuple[fx.Node, Scheme]]] = {}
    only_real = set(made.values())
    for node in traced.graph.nodes:
        module = module_of(traced, node)
        for source in _arguments(node):
            if source in made and not isinstance(module, Dequantize) and not (module is None and node in made):
                only_real.discard(made[source])
        if isinstance(module, TableLayer):
            scheme = by_layer.get(str(node.target), default)
            wanted.setdefault(made[_arguments(node)[0]], []).append((node, scheme))
    for module in dict.fromkeys(made.values()):
        takers = wanted.get(module, [])
        module.scheme = max((scheme for _, scheme in takers), key=lambda s: s.activation_bits, default=default)
        if module in only_real and isinstance(module, Rectifiable) and module.ceiling in (None, float("inf")):
            module.bits = WIDE  # not where the end of the range is a ReLU6's: steps as fine would need huge factors
            continue
        others = len(_takers(traced, made, module)) > len(takers)
        module.bits = 8 if others or not takers else module.scheme.activation_bits
        for node, scheme in takers:
            if scheme.activation_bits < module.bits:
                _narrow(traced, node, scheme)


def _takers(traced: fx.GraphModule, made: dict[fx.Node, Coded], module: Coded) -> list[fx.Node]:
    """The nodes of integer modules that take this module's codes."""
    return [
        node
        for node in traced.graph.nodes
        if module_of(traced, node) is not None and any(made.get(source) is module for source in _arguments(node))
    ]


def _narrow(traced: fx.GraphModule, node: fx.Node, scheme: Scheme) -> None:
    """Puts a Lookup before a layer that gives it codes of fewer bits."""
    name = f"{node.name}_narrow"
    lookup = Lookup(nn.Identity())
    lookup.scheme, lookup.bits = scheme, scheme.activation_bits
    traced.add_submodule(name, lookup)
    source = _arguments(node)[0]
    with traced.graph.inserting_before(node):
        node.replace_input_with(source, traced.graph.call_module(name, (source,)))
