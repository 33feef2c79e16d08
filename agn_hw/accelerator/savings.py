"""What networks spend on their arrays, and what that is of exact 8-bit multiplication: `Plan.array`.

There is an array for each multiplier of a plan (for each of its ports, if activations come on both), which serves its
layers one after another and is as wide as they need, as `agn-hw verify` builds it. Energies are predictions (system.py)
on a few calibration images, one at a time, by the network's own codes. The reference is the exact network with exact
multipliers. Latency is that of one image, every layer one after another, all arrays at the pace of the slowest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import fx

from agn_hw.accelerator.bounds import Widths
from agn_hw.accelerator.system import ELEMENTS, LEVELS, Hardware, Spent
from agn_hw.mapping import Mapping as Operands
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.operands import at_layers
from lut_gen.catalog import Multiplier

IMAGES = 2
"""Calibration images that stand for all."""


class Served(NamedTuple):
    """One layer on its array. spent: for one image."""

    multiplier: Multiplier
    port: str
    widths: Widths
    spent: Spent


@dataclass(frozen=True)
class Account:
    """What a network spends, by layer."""

    layers: Mapping[str, Served]

    @classmethod
    def of(
        cls,
        hardware: Hardware,
        network: fx.GraphModule,
        choice: Mapping[str, tuple[Multiplier, Operands]],
        images: torch.Tensor,
        step: Callable[[], None] = lambda: None,
    ) -> Account:
        """Of a network with these multipliers and mappings, on these images (float [B, ...]). Raises CatalogError for a
        multiplier without a netlist, DesignError, LibertyError, ToolError."""
        layers, codes, found = table_layers(network), codes_at(network, images), {}
        groups: dict[tuple[str, str], list[str]] = {}
        for name, (multiplier, mapping) in choice.items():
            groups.setdefault((multiplier.name, mapping.activation_port), []).append(name)
        for (_, port), names in groups.items():
            widths = hardware.widths([(layers[name], *choice[name]) for name in names])
            for name in names:
                multiplier, mapping = choice[name]
                spent = hardware.spent(layers[name], multiplier, mapping, codes[name], widths)
                found[name] = Served(multiplier, port, widths, spent)
                step()
        return cls({name: found[name] for name in choice})

    def energy_fj(self, level: str) -> float:
        """Of one image."""
        return sum(layer.spent.at(level) for layer in self.layers.values())

    def relative_to(self, reference: Account) -> dict[str, float]:
        """Energy over that of another network, by level."""
        return {level: self.energy_fj(level) / reference.energy_fj(level) for level in LEVELS}

    @property
    def standard_error_fj(self) -> float:
        """Of what the elements spend on one image, from sampling them."""
        return math.hypot(*(layer.spent.standard_error_fj for layer in self.layers.values()))

    @property
    def cycles(self) -> int:
        """Of one image."""
        return sum(layer.spent.cycles for layer in self.layers.values())

    def arrays(self) -> list[Served]:
        """One layer of each array."""
        return list({(one.multiplier.name, one.port): one for one in self.layers.values()}.values())


def codes_at(network: fx.GraphModule, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The input codes of every layer for these images, by name."""
    return at_layers(network, images, lambda layer, codes, output: codes.clone())


def described(hardware: Hardware, plan: Account, reference: Account, others: Mapping[str, Account]) -> dict[str, Any]:
    """`Plan.array`, not rounded. others: what the plan is compared with, by name.

    rows, cols. levels: by level, fJ an image and what that is of the reference (others: the latter alone).
    standard_error: of the elements' relative energy, as far as places are sampled, the two networks' taken as
    independent. period_ns, cycles, latency_us. arrays: each multiplier's widths, clock period and areas (um2, by part)
    of one element and of the array. layers: fJ a multiplication by part, widths, cycles.
    """
    period = max(_period_ns(hardware, one) for one in plan.arrays())
    error = math.hypot(*(one.standard_error_fj / one.energy_fj(ELEMENTS) for one in (plan, reference)))
    relative = plan.relative_to(reference)
    return {
        "rows": hardware.rows,
        "cols": hardware.cols,
        "levels": {level: {"energy_fj": plan.energy_fj(level), "energy_relative": relative[level]} for level in LEVELS},
        "standard_error": error * relative[ELEMENTS],
        "others": {name: other.relative_to(reference) for name, other in others.items()},
        "cycles": plan.cycles,
        "period_ns": period,
        "latency_us": plan.cycles * period / 1000,
        "arrays": [_array(hardware, one) for one in plan.arrays()],
        "layers": {name: _layer(one) for name, one in plan.layers.items()},
    }


def _period_ns(hardware: Hardware, one: Served) -> float:
    return hardware.period_ns(one.multiplier, one.port, one.widths)


def _array(hardware: Hardware, one: Served) -> dict[str, Any]:
    element = hardware.element(one.multiplier, one.port, one.widths.sum_bits).figures.area_um2
    around = hardware.around(one.multiplier, one.port, one.widths).area_um2
    whole = {part: hardware.rows * hardware.cols * area for part, area in element.items()} | around
    return {
        "multiplier": one.multiplier.name,
        "activation_port": one.port,
        "sum_bits": one.widths.sum_bits,
        "acc_bits": one.widths.acc_bits,
        "period_ns": _period_ns(hardware, one),
        "element_area_um2": element,
        "array_area_um2": whole,
    }


def _layer(one: Served) -> dict[str, Any]:
    return {
        "energy_fj": {part: fj / one.spent.macs for part, fj in one.spent.by_part.items()},
        "sum_bits": one.widths.sum_bits,
        "acc_bits": one.widths.acc_bits,
        "cycles": one.spent.cycles,
    }
