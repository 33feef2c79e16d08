"""What an accelerator spends on a layer, predicted: in its multipliers, in its processing elements, in the whole array.

Each multiplier has an array of its own elements. An image at a time: its vectors pass while a tile's weights are held,
as the energy model of the plan has it. Weights, activations and their order are the layer's own; a few images stand for
all. Memories and wires are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from agn_hw.accelerator import bounds, patterns
from agn_hw.accelerator.bounds import Widths
from agn_hw.mapping import Mapping
from agn_hw.nn.layers import TableLayer
from lut_gen.catalog import Multiplier
from lut_gen.element import array, prediction, synthesis
from lut_gen.element.array import ArrayShape, Surroundings
from lut_gen.element.figures import ElementFigures
from lut_gen.element.netlist import MULTIPLIER, ElementNetlist
from lut_gen.element.power import ElementEnergy
from lut_gen.library.liberty import Technology

MULTIPLIERS, ELEMENTS, ARRAYS = LEVELS = ("multiplier", "element", "array")
"""What is counted: the multiplications alone, all of each processing element, or delay lines and accumulators too."""
STREAMS = 128
"""Stretches of 64 vectors that stand for one image's product (lut_gen.element.prediction)."""
GROUPS = 4
"""Groups of a convolution that stand for all of them."""


@dataclass(frozen=True)
class Spent:
    """On one layer and image. by_part: fJ, of elements (lut_gen.element.power) and around them (lut_gen.element.array).

    standard_error_fj: of the sampled part of their sum. macs, cycles: multiplications, clock cycles of the array.
    """

    by_part: dict[str, float]
    standard_error_fj: float
    macs: int
    cycles: int

    def at(self, level: str) -> float:
        """Energy up to this level, fJ."""
        if level == MULTIPLIERS:
            return self.by_part[MULTIPLIER]
        around = sum(self.by_part[part] for part in (array.DELAY_LINES, array.ACCUMULATORS))
        return sum(self.by_part.values()) - (around if level == ELEMENTS else 0.0)


@dataclass(frozen=True, eq=False)
class Element:
    """The processing element of one multiplier, its activation on one port, with sums of one width."""

    netlist: ElementNetlist
    technology: Technology

    @cached_property
    def energy(self) -> ElementEnergy:
        return ElementEnergy.of(self.netlist, self.technology)

    @cached_property
    def figures(self) -> ElementFigures:
        return ElementFigures.of(self.netlist, self.technology)


class Hardware:
    """Arrays of rows x cols elements in a technology; what was synthesised is kept, in memory and below `folder`."""

    def __init__(self, rows: int, cols: int, technology: Technology, folder: Path) -> None:
        self.rows, self.cols, self.technology, self.folder = rows, cols, technology, folder
        self._elements: dict[tuple, Element] = {}
        self._around: dict[tuple, Surroundings] = {}

    def widths(self, layers: Sequence[tuple[TableLayer, Multiplier, Mapping]]) -> Widths:
        """Of an array that serves these layers without overflow."""
        found = []
        for layer, multiplier, mapping in layers:
            addends = bounds.addends(mapping, multiplier.lut)
            weights = layer.weight_codes().numpy(force=True)
            found.append(bounds.of_weights(weights, addends, layer.in_codes[0], self.rows))
        return bounds.widths(found)

    def element(self, multiplier: Multiplier, port: str, sum_bits: int) -> Element:
        """Raises CatalogError for a multiplier without a netlist, ToolError, LibertyError."""
        key = multiplier.lut_sha256, multiplier.netlist_sha256, port, sum_bits
        if key not in self._elements:
            signed = bool(multiplier.signed)
            netlist = synthesis.synthesise(multiplier.netlist, signed, port, sum_bits, self.technology, self.folder)
            self._elements[key] = Element(netlist, self.technology)
        return self._elements[key]

    def around(self, multiplier: Multiplier, port: str, widths: Widths) -> Surroundings:
        """What stands around the elements. Raises as `element` does."""
        key = multiplier.lut_sha256, multiplier.netlist_sha256, port, widths
        if key not in self._around:
            element = self.element(multiplier, port, widths.sum_bits).netlist
            shape = ArrayShape(self.rows, self.cols, widths.acc_bits)
            self._around[key] = Surroundings.of(element, shape, self.technology, self.folder)
        return self._around[key]

    def period_ns(self, multiplier: Multiplier, port: str, widths: Widths) -> float:
        """The shortest clock period: of the elements, and from a column's sums to their totals. Raises as `element`."""
        element, around = self.element(multiplier, port, widths.sum_bits), self.around(multiplier, port, widths)
        return max(element.figures.period_ns, around.accumulator_ns)

    def cycles(self, layer: TableLayer, mapping: Mapping, codes: torch.Tensor) -> int:
        """Clock cycles of the layer for one image; codes: its input codes, float [1, ...]."""
        groups = patterns.of_layer(layer, mapping, codes)
        return sum(prediction.cycles_of(group, self.rows, self.cols)[1] for group in groups)

    @torch.no_grad()
    def spent(
        self, layer: TableLayer, multiplier: Multiplier, mapping: Mapping, codes: torch.Tensor, widths: Widths
    ) -> Spent:
        """On one image, the mean over those of `codes` (the layer's input codes, float [B, ...]).

        Raises as `element` does.
        """
        port, lut = mapping.activation_port, mapping.oriented(multiplier.lut)
        element, around = self.element(multiplier, port, widths.sum_bits), self.around(multiplier, port, widths)
        parts: dict[str, float] = {}
        variance, macs, cycles = 0.0, 0, 0
        for number, image in enumerate(codes.split(1)):
            groups = list(patterns.of_layer(layer, mapping, image))
            chosen = groups[:: -(-len(groups) // GROUPS)]
            share = len(groups) / len(chosen) / len(codes)
            for group in chosen:
                size = self.rows, self.cols, STREAMS, number
                one = prediction.predict(element.netlist, element.energy, self.technology, group, lut, *size)
                others = array.predict(around, one, group, lut, number)
                for part, fj in {**one.by_part, **others}.items():
                    parts[part] = parts.get(part, 0.0) + share * fj
                variance += (share * one.standard_error_fj) ** 2
            macs, cycles = len(groups) * chosen[0].macs, len(groups) * one.cycles
        return Spent(parts, float(np.sqrt(variance)), macs, cycles)
