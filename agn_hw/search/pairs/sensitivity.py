"""The loss model: KL divergence of the network's outputs with one layer approximate, measured, after compensation.

Everything before the layer is taken from one cached exact run; only the layer and what follows it are computed. Pairs
are measured side by side, one to a thread.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

from agn_hw.mapping import Mapping
from agn_hw.nn.compensation import exact_moments
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.loss_cache import LossCache, network_key, pair_key
from agn_hw.search.pairs.one_layer import OneLayer
from agn_hw.search.threads import single_threads
from lut_gen.catalog import Multiplier

Pair = tuple[str, Multiplier, Mapping]
"""A layer's name, and what it is to be computed with."""


class Sensitivity:
    """Cached exact run of a quantised network (eval mode) over calibration images (float [B, ...]).

    The network stays as it is. cache: where losses are kept from one process to the next. exact: moments of each layer;
    logits: what the exact network says.
    """

    def __init__(self, model: fx.GraphModule, images: torch.Tensor, cache: LossCache | None = None) -> None:
        self.exact = exact_moments(model, [images])
        recorder = _Recorder(model)
        with torch.no_grad():
            self.logits = recorder.run(images)
        self._model, self._values, self._cache = model, recorder.values, cache
        self._network = network_key(model, images) if cache else ""
        self._known = cache.read(self._network) if cache else {}
        self._workers: list[_Worker] = []

    def divergence(self, name: str, multiplier: Multiplier, mapping: Mapping) -> float:
        """Mean KL(exact || approximate) of the class probabilities, nats, with this layer alone approximate.

        Raises RuntimeError if a sum could leave int32.
        """
        return self.divergences([(name, multiplier, mapping)])[0]

    def divergences(self, pairs: Sequence[Pair], step: Callable[[int, int], None] | None = None) -> list[float]:
        """`divergence` of many pairs, in their order, on as many threads as torch has; pairs of one layer together.

        step(done, total) is told of progress. Raises as `divergence` does.
        """
        keys = [pair_key(name, mapping.table8(multiplier.lut), mapping.gain) for name, multiplier, mapping in pairs]
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self._known}
        done = len(pairs) - len(missing)
        if step and done:
            step(done, len(pairs))
        for key, loss in self._measured(missing):
            self._known[key] = loss
            if self._cache:
                self._cache.append(self._network, key, loss)
            done += 1
            if step:
                step(done, len(pairs))
        return [self._known[key] for key in keys]

    def _measured(self, pairs: dict[str, Pair]) -> Iterator[tuple[str, float]]:
        """Losses by key, as they come."""
        threads = min(torch.get_num_threads(), len(pairs))
        while len(self._workers) < threads:
            self._workers.append(_Worker(self._model, self._values, self.exact, self.logits))
        if threads < 2:
            yield from ((key, self._workers[0].divergence(*pair)) for key, pair in pairs.items())
            return
        free: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers[:threads]:
            free.put(worker)

        def measure(pair: Pair) -> float:
            worker = free.get()
            try:
                return worker.divergence(*pair)
            finally:
                free.put(worker)

        with single_threads(), ThreadPoolExecutor(threads) as pool:
            futures = {pool.submit(measure, pair): key for key, pair in pairs.items()}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(cancel_futures=True)


class _Worker:
    """One thread's copy of the network, for what its layers keep between passes is not made for two."""

    def __init__(
        self, model: fx.GraphModule, values: dict[str, Any], exact: dict[str, Any], logits: torch.Tensor
    ) -> None:
        model = copy.deepcopy(model)
        self._layers, self._values, self._exact, self._logits = table_layers(model), values, exact, logits
        self._nodes = {str(node.target): node for node in model.graph.nodes if str(node.target) in self._layers}
        self._rest = fx.Interpreter(model)
        self._name = ""

    @torch.no_grad()
    def divergence(self, name: str, multiplier: Multiplier, mapping: Mapping) -> float:
        if name != self._name:
            self._begin(name)
        codes = self._layer.output(mapping.table8(multiplier.lut), mapping.gain)
        logits = self._rest.run(initial_env={**self._before, self._nodes[name]: codes})
        return kl_divergence(self._logits, logits)

    def _begin(self, name: str) -> None:
        """Takes on a layer: its inputs, and the values of all nodes that it does not change."""
        node = self._nodes[name]
        self._layer = OneLayer(self._layers[name], self._values[node.all_input_nodes[0].name], self._exact[name])
        changed = {node}
        for other in node.graph.nodes:
            if any(source in changed for source in other.all_input_nodes):
                changed.add(other)
        self._before = {other: self._values[other.name] for other in node.graph.nodes if other not in changed}
        self._name = name


class _Recorder(fx.Interpreter):
    """Keeps the value of every node, by the node's name."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n.name] = super().run_node(n)
        return self.values[n.name]


def kl_divergence(exact: torch.Tensor, approximate: torch.Tensor) -> float:
    """Mean over the batch of KL(softmax(exact) || softmax(approximate)), nats; logits [B, classes]."""
    p, q = F.log_softmax(exact.double(), 1), F.log_softmax(approximate.double(), 1)
    return float((p.exp() * (p - q)).sum(1).mean().clamp_min(0.0))


def screen(costs: dict[str, float], energies: dict[str, float], keep: int = 2) -> list[str]:
    """Multipliers worth measuring for a layer: those that fewer than `keep` others beat.

    One beats another if it is no worse in energy and in cost and better in one, or equal in both and earlier in the
    order of `costs`: of equal ones the first `keep` can stay, and each point of the Pareto front has one that does.
    """

    def beaten(place: int) -> int:
        cost, energy = figures[place]
        no_worse = [i for i, (c, e) in enumerate(figures) if c <= cost and e <= energy]
        return sum(figures[i] != figures[place] or i < place for i in no_worse)

    figures = [(costs[name], energies[name]) for name in costs]
    return [name for place, name in enumerate(costs) if beaten(place) < keep]
