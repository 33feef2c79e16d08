"""Energy of every pair of layer and multiplier with what stands around the multiplier: in its element, in its array.

Predictions of accelerator/system.py on one calibration image. A multiplier's sums are as wide as all layers together
need with it, so that what a pair costs does not depend on the other layers' choices. All multipliers are sampled in
the same places, so that they differ by less than their standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Lookup
from typing import TypeVar

import torch
from torch import fx

from agn_hw.accelerator.bounds import Widths
from agn_hw.accelerator.savings import codes_at
from agn_hw.accelerator.system import Hardware
from agn_hw.mapping import Mapping
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.search.pairs import energies
from agn_hw.search.pairs.blas import one_thread
from agn_hw.search.pairs.energies import Energies
from agn_hw.search.pairs.losses import Step
from agn_hw.search.threads import side_by_side
from lut_gen.catalog import Catalog
from lut_gen.library.liberty import Technology

IMAGES = 1
"""Calibration images. Of ResNet-8's pairs, relative to the reference, energies are within 0.5 % (rms) of those on 16;
a second image takes as long again and gains nothing that more sampled places do not."""
Found = TypeVar("Found")
Mappings = Lookup[str, Lookup[str, Mapping]]
"""By layer, then multiplier."""


def check(catalog: Catalog, technology: Technology | None) -> None:
    """Raises CatalogError where elements cannot be made of a catalog's netlists (energies.check_netlists)."""
    wanted = "to know what their elements take"
    energies.check_netlists(catalog, technology, wanted, "ask for --objective energy without --max-latency")


def widths(
    hardware: Hardware, layers: Lookup[str, TableLayer], catalog: Catalog, mappings: Mappings, name: str
) -> Widths:
    """Of an array of this multiplier that serves all layers."""
    return hardware.widths([(layers[layer], catalog[name], own[name]) for layer, own in mappings.items()])


@one_thread
def of_pairs(
    hardware: Hardware,
    level: str,
    network: fx.GraphModule,
    images: torch.Tensor,
    catalog: Catalog,
    mappings: Mappings,
    step: Step = lambda done, total: None,
) -> Energies:
    """fJ a multiplication up to this level (system.LEVELS), of all multipliers that `mappings` has for every layer.

    network: the exact one; images: float [B, ...]. Raises CatalogError for a multiplier without a netlist,
    DesignError, LibertyError, ToolError.
    """
    layers, codes = table_layers(network), codes_at(network, images)

    def spent(name: str) -> dict[str, float]:
        wide = widths(hardware, layers, catalog, mappings, name)
        found = {}
        for layer, own in mappings.items():
            one = hardware.spent(layers[layer], catalog[name], own[name], codes[layer], wide)
            found[layer] = one.at(level) / one.macs
        return found

    found = of_multipliers(spent, mappings, step)
    return {layer: {name: found[name][layer] for name in own} for layer, own in mappings.items()}


def of_multipliers(find: Callable[[str], Found], mappings: Mappings, step: Step) -> dict[str, Found]:
    """find(name) of every multiplier; several at once, since Yosys works for each of them."""
    names, done = list(next(iter(mappings.values()))), 0

    def counted(name: str) -> Found:
        nonlocal done
        found = find(name)
        done += 1
        step(done, len(names))
        return found

    return dict(zip(names, side_by_side(counted, names), strict=True))
