"""The loss model: KL divergence of the network's outputs with one layer approximate, measured, after compensation.

Everything before the layer is taken from one cached exact run; only the layer and what follows it are computed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

from agn_hw.mapping import Mapping
from agn_hw.nn.compensation import exact_moments, match, moments
from agn_hw.nn.layers import table_layers
from lut_gen.catalog import Multiplier


class Sensitivity:
    """Cached exact run of a quantised network over calibration images (float [B, ...]).

    The network is borrowed: a layer's table is set while it is measured and taken away again.
    """

    def __init__(self, model: fx.GraphModule, images: torch.Tensor) -> None:
        self.model = model
        self.layers = table_layers(model)
        self.exact = exact_moments(model, [images])
        recorder = _Recorder(model)
        with torch.no_grad():
            self.logits = recorder.run(images)
            self.values: dict[fx.Node, Any] = recorder.values
            self.nodes = {str(n.target): n for n in model.graph.nodes if str(n.target) in self.layers}

    def _input(self, name: str) -> Any:
        return self.values[self.nodes[name].all_input_nodes[0]]

    @torch.no_grad()
    def divergence(self, name: str, multiplier: Multiplier, mapping: Mapping) -> float:
        """Mean KL(exact || approximate) of the class probabilities, nats, with this layer alone approximate."""
        layer = self.layers[name]
        layer.set_table(mapping.table8(multiplier.lut), mapping.gain)
        try:
            accumulator = layer.accumulate(self._input(name))
            match(layer, moments(layer, [accumulator]), self.exact[name])
            codes = layer.finish(accumulator)
        finally:
            layer.set_table(None)
        return kl_divergence(self.logits, self._finish(name, codes))

    def _finish(self, name: str, codes: torch.Tensor) -> torch.Tensor:
        """The network's output when this layer's output is `codes`."""
        changed = {self.nodes[name]}
        for node in self.model.graph.nodes:
            if any(source in changed for source in node.all_input_nodes):
                changed.add(node)
        known = {node: value for node, value in self.values.items() if node not in changed}
        known[self.nodes[name]] = codes
        return fx.Interpreter(self.model, garbage_collect_values=False).run(initial_env=known)


class _Recorder(fx.Interpreter):
    """Keeps the value of every node."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


def kl_divergence(exact: torch.Tensor, approximate: torch.Tensor) -> float:
    """Mean over the batch of KL(softmax(exact) || softmax(approximate)), nats; logits [B, classes]."""
    p, q = F.log_softmax(exact.double(), 1), F.log_softmax(approximate.double(), 1)
    return float((p.exp() * (p - q)).sum(1).mean().clamp_min(0.0))


def screen(costs: dict[str, float], energies: dict[str, float], keep: int = 2) -> list[str]:
    """Multipliers worth measuring for a layer: those that fewer than `keep` others beat in energy and cost both."""

    def beaten(name: str) -> int:
        return sum(
            energies[other] <= energies[name] and costs[other] <= costs[name] and other != name for other in costs
        )

    return [name for name in costs if beaten(name) < keep]
