"""Every multiplier for every layer: best mapping, energy, and - for those worth it - the measured loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import fx

from agn_hw.mapping import Mapping
from agn_hw.nn.compensation import Moments
from agn_hw.search.assignment import Candidate
from agn_hw.search.operands import Operands
from agn_hw.search.remap import Fit, best_mapping
from agn_hw.search.sensitivity import Sensitivity, screen
from lut_gen.catalog import Catalog, Multiplier

REFERENCE = "exact_8x8"
"""The structural exact 8-bit multiplier: what energies are relative to, and always a candidate."""

UNIFORM_SPACING = 1.08
"""Ratio of the energies of two uniform choices that are both tried."""

Choice = dict[str, tuple[Multiplier, Mapping]]
"""A multiplier and its mapping for each layer, as `agn_hw.approximate` takes it."""


@dataclass(frozen=True)
class Options:
    """What can be chosen for a network. `fits` and `losses` (nats) are by layer, then multiplier.

    exact: moments of each layer of the exact network, which compensation aims at.
    """

    catalog: Catalog
    operands: dict[str, Operands]
    fits: dict[str, dict[str, Fit]]
    losses: dict[str, dict[str, float]]
    exact: dict[str, Moments]

    def energy(self, layer: str, multiplier: str) -> float:
        """Energy of a layer's multiplications for one image, fJ."""
        return self.operands[layer].macs * self.catalog[multiplier].sign_magnitude_energy_fj

    def reference_energy(self) -> float:
        """Energy of one image with the reference everywhere, fJ."""
        return sum(self.energy(layer, REFERENCE) for layer in self.operands)

    def candidates(self, names: set[str] | None = None) -> list[Candidate]:
        """Measured candidates, all or those of some multipliers."""
        return [
            Candidate(layer, name, self.energy(layer, name), loss)
            for layer, losses in self.losses.items()
            for name, loss in losses.items()
            if names is None or name in names
        ]

    def choice(self, names: dict[str, str]) -> Choice:
        """Multipliers and mappings from multiplier names by layer."""
        return {layer: (self.catalog[name], self.fits[layer][name].mapping) for layer, name in names.items()}

    def narrow(self) -> set[str]:
        """The exact multipliers of 8 bits and fewer: the honest baseline."""
        return exact_narrow(self.catalog)

    def uniform(self) -> list[str]:
        """Multipliers worth trying in all layers at once: best in energy for their summed cost, not too close."""
        chosen: list[str] = []
        for name, energy in self._uniform(keep=1).items():
            if not chosen or energy > UNIFORM_SPACING * self.catalog[chosen[-1]].sign_magnitude_energy_fj:
                chosen.append(name)
        return chosen

    def uniform_below(self, name: str) -> list[str]:
        """Those a little cheaper than the best found so far that were passed over."""
        limit = self.catalog[name].sign_magnitude_energy_fj
        return [n for n, energy in self._uniform(keep=3).items() if limit / UNIFORM_SPACING**3 < energy < limit]

    def _uniform(self, keep: int) -> dict[str, float]:
        """Energy of each multiplier that fewer than `keep` others beat when used everywhere, cheapest first."""
        costs = {m.name: self.noise(dict.fromkeys(self.fits, m.name)) for m in self.catalog}
        energies = {m.name: m.sign_magnitude_energy_fj for m in self.catalog}
        return {name: energies[name] for name in sorted(screen(costs, energies, keep), key=energies.__getitem__)}

    def predicted_loss(self, names: dict[str, str]) -> float:
        """Summed loss of an assignment whose layers were all measured, nats."""
        return sum(self.losses[layer][name] for layer, name in names.items())

    def noise(self, names: dict[str, str]) -> float:
        """Expected squared error of a product over its mean square, summed over the layers: needs no measurement."""
        return sum(self.fits[layer][name].cost / self.operands[layer].mean_square() for layer, name in names.items())


def exact_narrow(catalog: Catalog) -> set[str]:
    """Names of the unsigned exact multipliers, whatever their widths."""
    return {m.name for m in catalog if m.family == "exact_array" and m.wce == 0}


def explore(
    model: fx.GraphModule,
    catalog: Catalog,
    operands: dict[str, Operands],
    images: torch.Tensor,
    step: Callable[[int, int], None],
) -> Options:
    """Fits all multipliers to all layers, then measures the promising ones on `images` (float [B, ...]).

    step(done, total) is told of progress.
    """
    energies = {m.name: m.sign_magnitude_energy_fj for m in catalog}
    narrow = exact_narrow(catalog)
    total, done = 2 * len(operands), 0
    fits, losses = {}, {}
    for layer, found in operands.items():
        fits[layer] = {m.name: best_mapping(m, found) for m in catalog}
        step(done := done + 1, total)
    sensitivity = Sensitivity(model, images)
    for layer in operands:
        costs = {name: fit.cost for name, fit in fits[layer].items()}
        among_narrow = {name: costs[name] for name in costs if name in narrow}
        names = dict.fromkeys([*screen(costs, energies), *screen(among_narrow, energies), REFERENCE])
        losses[layer] = {
            name: sensitivity.divergence(layer, catalog[name], fits[layer][name].mapping) for name in names
        }
        step(done := done + 1, total)
    return Options(catalog, operands, fits, losses, sensitivity.exact)
