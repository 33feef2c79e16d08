"""The loss model for large networks: curvature of the KL divergence, from a few backward passes for all layers.

For a small change e of a layer's output the divergence of the class probabilities is, to second order,

    KL ~ 1/2 E[(g . e)^2],    g the gradient of log p(y | x) by that output, y drawn from the network's own p(y | x)

the Fisher information, which for class probabilities is the generalised Gauss-Newton matrix (Martens, "New insights
and perspectives on the natural gradient method", JMLR 2020, arXiv 1412.1193). As a weight of changes to a trained
network: Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017; of whole feature maps,
summed before they are squared, as here: Theis et al., "Faster gaze prediction with dense networks and Fisher pruning",
arXiv 1801.05787, 2018. Here e is the real error of the compensated layer's codes on the images: nothing is assumed of
its distribution, and only that layer is computed for a pair. The rest of the network is taken as linear, so that large
errors are underestimated.

Labels are drawn with importance: a sure network's own labels nearly always have a gradient of nearly nothing. With
probabilities q(y) ~ p(y) |onehot(y) - p|^2, and gradients divided by sqrt(q / p), the expectation is the same, and with
two classes no variance is left.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

from agn_hw.mapping import Mapping
from agn_hw.nn.compensation import exact_moments
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.one_layer import OneLayer
from lut_gen.catalog import Multiplier

_BATCH = 64
"""Images of a backward pass: bounds what it holds."""


class Fisher:
    """Gradients of a quantised network at calibration images (float [B, ...]).

    model: eval mode, exact; it stays as it is. draws: labels an image, each one more backward pass and one more float32
    number for each output of each layer. A layer's inputs and outputs run over images first.
    """

    def __init__(self, model: fx.GraphModule, images: torch.Tensor, draws: int = 4, seed: int = 0) -> None:
        self.layers = table_layers(model)
        self.exact = exact_moments(model, [images])
        frozen = copy.deepcopy(model).requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        batches = [_batch(frozen, batch, draws, generator) for batch in images.split(_BATCH)]
        self._inputs, self._outputs, self._gradients = (
            {name: torch.cat([found[part][name] for found in batches]) for name in self.layers} for part in range(3)
        )
        self._current: tuple[str, OneLayer] | None = None

    @torch.no_grad()
    def loss(self, name: str, multiplier: Multiplier, mapping: Mapping) -> float:
        """Predicted mean KL(exact || approximate), nats, with this layer alone approximate and compensated.

        Raises RuntimeError if a sum could leave int32.
        """
        if self._current is None or self._current[0] != name:
            self._current = name, OneLayer(self.layers[name], self._inputs[name], self.exact[name])
        error = self._current[1].output(mapping.table8(multiplier.lut), mapping.gain) - self._outputs[name]
        gradients = self._gradients[name]  # (images, draws, outputs)
        change = gradients @ error.reshape(len(gradients), -1, 1)
        return 0.5 * float(change.double().square().mean())


Found = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]


def _batch(model: fx.GraphModule, images: torch.Tensor, draws: int, generator: torch.Generator) -> Found:
    """Of each layer: inputs and outputs (codes), and gradients [images, draws, outputs of an image], float32."""
    run = _Run(model)
    with torch.enable_grad():
        logits = run.run(images)
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in run.changes}
    for direction in _directions(logits.detach().double(), draws, generator):
        found = torch.autograd.grad(logits, list(run.changes.values()), direction.to(logits), retain_graph=True)
        for name, gradient in zip(run.changes, found, strict=True):
            gradients[name].append(gradient.reshape(len(images), -1))
    return run.inputs, run.outputs, {name: torch.stack(found, 1) for name, found in gradients.items()}


def _directions(logits: torch.Tensor, draws: int, generator: torch.Generator) -> torch.Tensor:
    """Gradients of log p(y) by the logits [B, classes] for drawn y, over sqrt(q / p): float64 [draws, B, classes]."""
    p = logits.softmax(1)
    squares = p.square()
    lengths = (1 - p).square() + (squares.sum(1, keepdim=True) - squares).clamp_min(0)  # |onehot(y) - p|^2, (B, y)
    weights = (p * lengths).clamp_min(torch.finfo(p.dtype).tiny)
    drawn = weights.multinomial(draws, replacement=True, generator=generator)
    scale = p.gather(1, drawn) * weights.sum(1, keepdim=True) / weights.gather(1, drawn)
    gradients = F.one_hot(drawn, p.shape[1]) - p[:, None, :]
    return (gradients * scale.sqrt()[..., None]).transpose(0, 1)


class _Run(fx.Interpreter):
    """Keeps inputs and outputs of the layers, and a zero added to each output, by which the gradient is taken."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        layers = table_layers(model)
        self._names = {node: str(node.target) for node in model.graph.nodes if str(node.target) in layers}
        self.inputs: dict[str, torch.Tensor] = {}
        self.outputs: dict[str, torch.Tensor] = {}
        self.changes: dict[str, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        name = self._names.get(n)
        if name is None:
            return result
        self.inputs[name] = self.env[n.all_input_nodes[0]].detach()
        self.outputs[name] = result.detach()
        self.changes[name] = torch.zeros_like(result, requires_grad=True)
        return result + self.changes[name]


def scale(estimated: Sequence[float], measured: Sequence[float]) -> float:
    """What estimates of some pairs (nats) are to be multiplied by to agree with their measured losses: geometric mean.

    Pairs without loss say nothing; 1 if there is no other.
    """
    both = [(a, b) for a, b in zip(estimated, measured, strict=True) if a > 0 and b > 0]
    return math.exp(sum(math.log(b / a) for a, b in both) / len(both)) if both else 1.0
