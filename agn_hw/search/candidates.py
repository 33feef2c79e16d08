"""Every multiplier for every layer: best mapping, energy under the layer's operands, noise, loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Lookup
from dataclasses import dataclass

import numpy as np
from torch import fx

from agn_hw.accelerator.system import MULTIPLIERS
from agn_hw.mapping import Mapping
from agn_hw.nn.compensation import Moments
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs import energies
from agn_hw.search.pairs.blas import one_thread
from agn_hw.search.pairs.energies import Energies
from agn_hw.search.pairs.error_model import noise
from agn_hw.search.pairs.losses import Step
from agn_hw.search.pairs.operands import Operands
from agn_hw.search.pairs.remap import Fit, best_mapping
from agn_hw.search.pairs.sensitivity import screen
from agn_hw.search.solver.assignment import Candidate
from agn_hw.search.solver.problem import Limits
from lut_gen.catalog import Catalog, Multiplier
from lut_gen.errors import AgnError
from lut_gen.library.liberty import Technology

REFERENCE = "exact_8x8"
"""The structural exact 8-bit multiplier: what energies are relative to, and always a candidate."""

Choice = dict[str, tuple[Multiplier, Mapping]]
"""A multiplier and its mapping for each layer, as `agn_hw.approximate` takes it."""


@dataclass(frozen=True)
class Options:
    """What can be chosen for a network; all by layer, then multiplier.

    energies: fJ a multiplication, up to `level` (accelerator.system.LEVELS): what is to be least. multiplications: of
    the multiplications alone, under `energy_model`; the same but for a higher level. noise: what is left of each
    pair's error after compensation, variance over that of the exact sums (error_model.noise). exact: moments of each
    layer of the exact network, which compensation aims at.
    """

    catalog: Catalog
    operands: dict[str, Operands]
    fits: dict[str, dict[str, Fit]]
    energies: Energies
    energy_model: str
    noise: dict[str, dict[str, float]]
    exact: dict[str, Moments]
    multiplications: Energies
    level: str = MULTIPLIERS

    def energy(self, layer: str, multiplier: str) -> float:
        """Energy of a layer's multiplications for one image, fJ."""
        return self.operands[layer].macs * self.energies[layer][multiplier]

    def total_energy(self, names: dict[str, str]) -> float:
        """Energy of an assignment for one image, fJ."""
        return sum(self.energy(layer, name) for layer, name in names.items())

    def reference_energy(self) -> float:
        """Energy of one image with the reference everywhere, fJ."""
        return self.total_energy(self.everywhere(REFERENCE))

    def relative_energy(self, names: dict[str, str]) -> float:
        """Energy of an assignment over that of the reference."""
        return self.total_energy(names) / self.reference_energy()

    def of_multiplications(self, energies: Lookup[str, float]) -> float:
        """Energy of one image's multiplications over that of the reference; energies: fJ of one, by layer."""
        spent, reference = (
            sum(self.operands[layer].macs * fj for layer, fj in one.items())
            for one in (energies, self.reference_multiplications())
        )
        return spent / reference

    def reference_multiplications(self) -> dict[str, float]:
        """fJ of one multiplication with the reference, by layer."""
        return {layer: own[REFERENCE] for layer, own in self.multiplications.items()}

    def everywhere(self, name: str) -> dict[str, str]:
        """The assignment of one multiplier to all layers."""
        return dict.fromkeys(self.operands, name)

    def choice(self, names: dict[str, str]) -> Choice:
        """Multipliers and mappings from multiplier names by layer."""
        return {layer: (self.catalog[name], self.fits[layer][name].mapping) for layer, name in names.items()}

    def mappings(self) -> dict[str, dict[str, Mapping]]:
        """The mapping of each pair."""
        return {layer: {name: fit.mapping for name, fit in own.items()} for layer, own in self.fits.items()}

    def names(self) -> list[str]:
        """All multipliers, in the catalog's order."""
        return list(next(iter(self.fits.values())))

    def narrow(self) -> set[str]:
        """The exact multipliers of 8 bits and fewer: the honest baseline."""
        return exact_narrow(self.catalog)

    def screened(self, layer: str, among: Iterable[str] | None = None, keep: int = 2) -> list[str]:
        """Multipliers worth measuring: fewer than `keep` others of `among` (default: all) beat them in both figures."""
        names = list(self.noise[layer] if among is None else among)
        return screen({n: self.noise[layer][n] for n in names}, {n: self.energies[layer][n] for n in names}, keep)

    def candidates(self, pairs: Lookup[str, Iterable[str]], loss: Callable[[str, str], float]) -> list[Candidate]:
        """What the solver chooses from: these multipliers of each layer; loss(layer, multiplier) in nats."""
        return [
            Candidate(layer, name, self.energy(layer, name), loss(layer, name))
            for layer, names in pairs.items()
            for name in names
        ]

    def area(self, name: str) -> float:
        """Area of one multiplier with its sign logic, um2; nan where the catalog does not know it."""
        multiplier = self.catalog[name]
        return float(multiplier.area_um2 + (0.0 if multiplier.signed else multiplier.sign_area_um2))

    def area_of(self, names: dict[str, str]) -> float:
        """Of one multiplier of each type that an assignment needs, um2."""
        return sum(self.area(name) for name in sorted(set(names.values())))

    def check(self, limits: Limits) -> None:
        """Raises AgnError for layers that the network and multipliers that the catalog has not."""
        strange = [layer for layer in (*limits.excluded, *limits.groups) if layer not in self.operands]
        if strange:
            came = f"'{strange[0]}' came; they are {', '.join(self.operands)}"
            raise AgnError("names of the network's layers", came, "correct the name")
        for name in (name for barred in limits.excluded.values() for name in barred):
            _ = self.catalog[name]  # raises, with names that are alike

    def keeps(self, names: dict[str, str], limits: Limits) -> bool:
        """Whether an assignment keeps all limits."""
        shared: dict[str, set[str]] = {}
        for layer, tile in limits.groups.items():
            shared.setdefault(tile, set()).add(names[layer])
        return (
            (limits.types is None or len(set(names.values())) <= limits.types)
            and (limits.area_um2 is None or self.area_of(names) <= limits.area_um2)
            and (limits.delay_ns is None or all(self.delay(name) <= limits.delay_ns for name in names.values()))
            and not any(names[layer] in barred for layer, barred in limits.excluded.items())
            and all(len(multipliers) == 1 for multipliers in shared.values())
        )

    def delay(self, name: str) -> float:
        """Critical path of one multiplier with its sign logic, ns; nan where the catalog does not know it."""
        multiplier = self.catalog[name]
        return float(multiplier.delay_ns + (0.0 if multiplier.signed else multiplier.sign_delay_ns))


def exact_narrow(catalog: Catalog) -> set[str]:
    """Names of the unsigned exact multipliers, whatever their widths and wherever they come from."""
    return {m.name for m in catalog if m.wce == 0 and not m.signed}


@one_thread
def explore(
    model: fx.GraphModule,
    catalog: Catalog,
    operands: dict[str, Operands],
    exact: dict[str, Moments],
    energy_model: str = energies.WEIGHT_STATIONARY,
    technology: Technology | None = None,
    step: Step = lambda done, total: None,
) -> Options:
    """Fits all multipliers to all layers; finds energy and noise of each pair. Nothing is run but matrix products.

    Raises CatalogError where energies cannot be known (energies.of_pairs).
    """
    total, done = 2 * len(operands) + len(catalog.table), 0
    layers = table_layers(model)

    def further() -> None:
        nonlocal done
        done += 1
        step(done, total)

    fits: dict[str, dict[str, Fit]] = {}
    for layer, found in operands.items():
        fits[layer] = {m.name: best_mapping(m, found) for m in catalog}
        further()
    mappings = {layer: {name: fit.mapping for name, fit in own.items()} for layer, own in fits.items()}
    spent = energies.of_pairs(catalog, operands, mappings, energy_model, technology, further)
    left = {}
    for layer, found in operands.items():
        tables = [(m.table8(catalog[name].lut), m.gain) for name, m in mappings[layer].items()]
        shares = np.asarray(noise(layers[layer], found, tables, exact[layer]))
        left[layer] = dict(zip(mappings[layer], shares.tolist(), strict=True))
        further()
    return Options(catalog, operands, fits, spent, energy_model, left, exact, spent)
