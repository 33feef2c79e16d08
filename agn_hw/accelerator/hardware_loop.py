"""The network with its layers' products computed by the array's RTL, each sum compared with the tables.

The integer network runs node by node; the accumulators of the layers under test come from the simulated array and flow
on, so that the logits are the hardware's. Beside each stands what the tables give on the same codes. Images come one
at a time: weights are loaded anew for each, as the energy model of a plan has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import fx

from agn_hw.accelerator import patterns
from agn_hw.mapping import Mapping
from agn_hw.nn.layers import TableLayer
from sim.cosim import Product

FIRST = 16
"""Vectors that are computed in both views of an array."""


class Array(Protocol):
    """What a layer's products are computed on (sim.cosim.SystolicArray, or in tests anything else)."""

    def matmul(
        self, x: np.ndarray, w: np.ndarray, x_negative: np.ndarray | None = None, w_negative: np.ndarray | None = None
    ) -> Product: ...


@dataclass(frozen=True)
class Difference:
    """The first accumulator of a layer that is not the table's.

    image: its number. operands: of the whole matrix product that it belongs to; group, row, column: which sum it is
    (row of x: a receptive field, column: row of w, an output channel of the group). expected, got: the table's sum and
    the array's, without the terms of zero points.
    """

    image: int
    operands: patterns.GroupPatterns
    group: int
    row: int
    column: int
    expected: int
    got: int


@dataclass
class Checked:
    """What one layer did on the array, over all images. sums: accumulators compared; differing: how many are not the
    table's; outputs_differ: how many of the layer's output codes; views_differ: sums of the first vectors, and products
    by their cycles, in which two views of the array differ. toggles: of each product, where they are counted."""

    images: int = 0
    sums: int = 0
    differing: int = 0
    outputs_differ: int = 0
    views_differ: int = 0
    cycles: int = 0
    macs: int = 0
    first: Difference | None = None
    toggles: list[Any] = field(default_factory=list)

    def add(self, products: Sequence[Product]) -> None:
        """Cycles, multiplications and toggles of these."""
        self.cycles += sum(product.cycles for product in products)
        self.macs += sum(product.macs for product in products)
        self.toggles += [product.toggles for product in products if product.toggles is not None]

    @property
    def equal(self) -> bool:
        return not (self.differing or self.outputs_differ or self.views_differ)


@dataclass(frozen=True)
class OnArray:
    """A layer's array and mapping, and where its results are added up. plain: another view of the array, which has to
    give the same sums in as many cycles for the first vectors of the first image; None where there is none."""

    array: Array
    mapping: Mapping
    checked: Checked
    plain: Array | None = None


@torch.no_grad()
def run(
    network: fx.GraphModule,
    layers: dict[str, OnArray],
    images: torch.Tensor,
    step: Callable[[], None] = lambda: None,
    batch: int = 10,
) -> int:
    """Runs images (float [B, ...]) with these layers on their arrays; fills in their results.

    Returns how many logits are not those of the tables. step() is called after each layer of each batch.
    """
    differing = 0
    for part in images.split(batch):
        logits = _OnHardware(network, layers, step).run(part)
        differing += int((logits != network(part)).sum())
    return differing


class _OnHardware(fx.Interpreter):
    def __init__(self, network: fx.GraphModule, layers: dict[str, OnArray], step: Callable[[], None]) -> None:
        super().__init__(network)
        self._layers, self._step = layers, step

    def call_module(self, target: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if target not in self._layers:
            return super().call_module(target, args, kwargs)
        layer = self.fetch_attr(target)
        output = compute(layer, self._layers[target], args[0])
        self._step()
        return output


def compute(layer: TableLayer, on: OnArray, codes: torch.Tensor) -> torch.Tensor:
    """The layer's output codes, from the array's sums; the comparison with its table goes into `on.checked`."""
    groups, sums = list(patterns.of_layer(layer, on.mapping, codes)), []
    if on.plain is not None and not on.checked.images:
        first = (group.split(len(codes))[0] for group in groups)
        on.checked.views_differ += sum(_views_differ(image, on.array, on.plain) for image in first)
    for group in groups:
        products = [on.array.matmul(*image.operands) for image in group.split(len(codes))]
        added = np.concatenate([product.sums for product in products]).astype(np.int64)
        sums.append(added + group.correction(on.mapping))
        on.checked.add(products)
    accumulator, expected = patterns.accumulator(layer, codes, sums), layer.accumulate(codes)
    output = layer.finish(accumulator)
    checked = on.checked
    checked.sums += accumulator.numel()
    checked.outputs_differ += int((output != layer(codes)).sum())
    wrong = accumulator != expected
    if wrong.any():
        if checked.first is None:
            found = _first(layer, on.mapping, wrong, accumulator, expected, groups)
            fields = wrong.numel() // len(layer.weight) // len(codes)
            checked.first = replace(found, image=checked.images + found.row // fields)
        checked.differing += int(wrong.sum())
    checked.images += len(codes)
    return output


def _views_differ(image: patterns.GroupPatterns, one: Array, other: Array) -> int:
    """Of the first vectors of an image: sums that differ between two views, and one more if the cycles do."""
    signs = None if image.x_negative is None else image.x_negative[:FIRST]
    few = replace(image, x=image.x[:FIRST], x_negative=signs).operands
    found, due = one.matmul(*few), other.matmul(*few)
    return int((found.sums != due.sums).sum()) + (found.cycles != due.cycles)


def _first(
    layer: TableLayer,
    mapping: Mapping,
    wrong: torch.Tensor,
    got: torch.Tensor,
    expected: torch.Tensor,
    groups: list[patterns.GroupPatterns],
) -> Difference:
    """The first wrong sum of a batch, in the order of receptive fields."""
    wrong, got, expected = (part.movedim(layer.channel_axis, -1).flatten(0, -2) for part in (wrong, got, expected))
    row, channel = wrong.nonzero()[0].tolist()  # of [M, N]
    group, column = divmod(channel, len(layer.weight) // layer.groups)
    terms = np.broadcast_to(groups[group].correction(mapping), (len(wrong), len(layer.weight) // layer.groups))
    values = (int(part[row, channel]) - int(terms[row, column]) for part in (expected, got))
    return Difference(0, groups[group], group, row, column, *values)
