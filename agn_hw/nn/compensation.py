"""Per-channel gain and offset that undo an approximate layer's systematic error, free at run time.

Both fold into requantisation: an output channel's accumulator (in products) counts as gain * acc + offset. They are set
so that the channel's standard deviation and mean over calibration inputs become those of the exact network. Matching
moments of a quantised network's channels is Nagel et al., "Data-free quantization through weight equalization and bias
correction", ICCV 2019 (means), carried over to standard deviations as BatchNorm does it. A regression on the exact
accumulator would shrink the gain where the error is large, and lose more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from agn_hw.nn.errors import ModelError
from agn_hw.nn.layers import TableLayer, table_layers

GAIN_RANGE = (0.05, 4.0)

Tensors = Sequence[torch.Tensor]
"""One tensor for each batch."""


def compensate(
    model: fx.GraphModule, loader: Iterable[Any], *, gain: bool = True, bias: bool = True, sequential: bool = True
) -> fx.GraphModule:
    """Compensates every layer that has a table, in place; returns the model. What was set before is replaced.

    model: what `agn_hw.approximate` returned; its exact targets come from a copy of it with exact products.
    loader: batches of inputs or tuples that begin with them, as for `agn_hw.quantize`; a few hundred images.

    gain: match the standard deviations. Without it only means are corrected, which alone can be worse than nothing:
    multipliers that lose a share of every product shrink each layer's signal, and right means of shrunk signals are
    wrong for what follows. bias: match the means. Without it a gain also scales the mean error.
    sequential: layer after layer, each on what the compensated layers before it produce. Without it every layer is
    compensated on exact inputs: cheaper and independent of the order, but errors that add up along the network stay.
    All three are best on; very few images (below about 100) make gains and offsets of rare channels noisy.

    Raises ModelError for a model that no multiplier was put into, and for an empty loader.
    """
    layers = table_layers(model)
    if not isinstance(model, fx.GraphModule) or not any(layer.lut.numel() for layer in layers.values()):
        mend = "call agn_hw.approximate(quantised, multiplier) first and pass on what it returns"
        raise ModelError("an approximate network", "no layer of it has a table", mend)
    batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in loader]
    if not batches:
        raise ModelError("at least one batch of inputs", "the loader is empty", "give a DataLoader, or [images]")
    exact = copy.deepcopy(model)
    for layer in table_layers(exact).values():
        layer.set_table(None)
    with _evaluating(exact), _evaluating(model):
        if sequential:
            reestimate(model, batches, exact_moments(exact, batches), gain=gain, bias=bias)
        else:
            _on_exact_inputs(model, exact, batches, gain=gain, bias=bias)
    return model


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a layer's accumulator in products (table sums over gain), float64 [N]."""

    mean: torch.Tensor
    std: torch.Tensor


def moments(layer: TableLayer, accumulators: Tensors) -> Moments:
    """Moments over batches and positions of accumulators whose channels lie along `layer.channel_axis`."""
    count = sum(accumulator.numel() for accumulator in accumulators) // len(layer.weight)
    mean = torch.stack([_products(layer, accumulator).sum(1) for accumulator in accumulators]).sum(0) / count
    squares = [(_products(layer, accumulator) - mean[:, None]).square().sum(1) for accumulator in accumulators]
    return Moments(mean, (torch.stack(squares).sum(0) / count).sqrt())


def _products(layer: TableLayer, accumulator: torch.Tensor) -> torch.Tensor:
    """In products, float64 [N, values]."""
    return (accumulator.double() / layer.gain).movedim(layer.channel_axis, 0).flatten(1)


def match(layer: TableLayer, own: Moments, exact: Moments, *, gain: bool = True, bias: bool = True) -> None:
    """Sets the layer's channel_gain and channel_offset so that its moments become the exact ones.

    The gain stays within 0.05 .. 4: a channel that lost its signal is not blown up.
    """
    ratio = torch.where(own.std > 0, exact.std / own.std.clamp_min(1e-12), torch.ones_like(own.std))
    factor = ratio.clamp(*GAIN_RANGE) if gain else torch.ones_like(ratio)
    layer.channel_gain.copy_(factor)
    layer.channel_offset.copy_(exact.mean - factor * own.mean if bias else torch.zeros_like(ratio))


@torch.no_grad()
def exact_moments(model: fx.GraphModule, batches: Tensors) -> dict[str, Moments]:
    """Moments of every layer of the exact quantised network."""
    found: dict[str, Moments] = {}

    def visit(name: str, layer: TableLayer, codes: Tensors) -> Tensors:
        accumulators = [layer.accumulate(one) for one in codes]
        found[name] = moments(layer, accumulators)
        return [layer.finish(accumulator) for accumulator in accumulators]

    _step(model, batches, visit)
    return found


@torch.no_grad()
def reestimate(
    model: fx.GraphModule, batches: Tensors, exact: dict[str, Moments], *, gain: bool = True, bias: bool = True
) -> None:
    """Compensates layer after layer, each on what the approximate layers before it produce."""

    def visit(name: str, layer: TableLayer, codes: Tensors) -> Tensors:
        accumulators = [layer.accumulate(one) for one in codes]
        if layer.lut.numel():
            match(layer, moments(layer, accumulators), exact[name], gain=gain, bias=bias)
        return [layer.finish(accumulator) for accumulator in accumulators]

    _step(model, batches, visit)


@torch.no_grad()
def _on_exact_inputs(
    model: fx.GraphModule, exact: fx.GraphModule, batches: Tensors, *, gain: bool, bias: bool
) -> None:
    """Compensates every layer on the exact network's inputs."""
    approximate = table_layers(model)

    def visit(name: str, layer: TableLayer, codes: Tensors) -> Tensors:
        accumulators = [layer.accumulate(one) for one in codes]
        other = approximate[name]
        if other.lut.numel():
            own = moments(other, [other.accumulate(one) for one in codes])
            match(other, own, moments(layer, accumulators), gain=gain, bias=bias)
        return [layer.finish(accumulator) for accumulator in accumulators]

    _step(exact, batches, visit)


def _step(model: fx.GraphModule, batches: Tensors, visit: Callable[[str, TableLayer, Tensors], Tensors]) -> None:
    """Runs all batches through the graph side by side, node by node; `visit` computes the table layers.

    visit(name, layer, codes of each batch) -> the layer's output for each batch.
    """
    runs = [fx.Interpreter(model) for _ in batches]
    for run, batch in zip(runs, batches, strict=True):
        run.env, run.args_iter = {}, iter((batch,))
    for node in model.graph.nodes:
        layer = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, TableLayer):
            results = visit(str(node.target), layer, [run.env[node.all_input_nodes[0]] for run in runs])
        else:
            results = [run.run_node(node) for run in runs]
        for run, result in zip(runs, results, strict=True):
            run.env[node] = result
            for last_used in run.user_to_last_uses.get(node, []):
                del run.env[last_used]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode inside, each module in its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
