"""Energy of every multiplier in every layer: under the layer's operands and the array's data order, or the catalog's.

    uniform              the catalog's figure: uniform, independent operands; needs no netlists
    output_stationary    the layer's own operands, a new activation and a new weight at every multiplication
    weight_stationary    the same operands, each weight held for as many multiplications as an image has outputs

The histograms of activations and weights are those of calibration images after the layer's mapping; the two operands
are taken as independent. With signed activations the sign that the sign logic sees is drawn as one: for each magnitude
of the weight, the share of products that are negative.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Lookup

import numpy as np

from agn_hw.mapping import SIGN_MAGNITUDE, Mapping
from agn_hw.search.pairs.operands import Operands
from lut_gen.catalog import Catalog, Multiplier
from lut_gen.energy.data_order import INDEPENDENT, DataOrder, weight_stationary
from lut_gen.energy.operand_energy import OperandEnergy
from lut_gen.errors import AgnError, CatalogError
from lut_gen.library import liberty, liberty_reader
from lut_gen.library.liberty import Technology

UNIFORM, OUTPUT_STATIONARY, WEIGHT_STATIONARY = "uniform", "output_stationary", "weight_stationary"
ENERGY_MODELS = (WEIGHT_STATIONARY, OUTPUT_STATIONARY, UNIFORM)

Energies = dict[str, dict[str, float]]
"""fJ a multiplication, sign logic included: by layer, then multiplier."""


def technology_of(catalog: Catalog) -> Technology:
    """The technology that a catalog was built with. Raises CatalogError if it is not the built-in one."""
    technology = liberty_reader.load(liberty.BUILT_IN)
    built_with = catalog.header["technology"]
    if built_with["sha256"] != technology.sha256:
        raise CatalogError(
            f"the cell library of {catalog.path}, to find energies under real operands",
            f"it was built with {built_with['file']}, which is not the built-in one",
            "give it with --liberty FILE, or ask for --energy-model uniform",
        )
    return technology


def check(catalog: Catalog, model: str, technology: Technology | None) -> None:
    """Raises CatalogError, before anything is computed, for a catalog whose energies this model cannot tell.

    technology: the catalog's, if it is not the built-in one.
    """
    if model == UNIFORM:
        for multiplier in catalog:
            _ = multiplier.sign_magnitude_energy_fj  # raises where it is not known
        return
    check_netlists(catalog, technology, "to find energies under real operands", "ask for --energy-model uniform")


def check_netlists(catalog: Catalog, technology: Technology | None, purpose: str, other: str) -> None:
    """Raises CatalogError for a catalog with a multiplier without netlist, or mapped to another cell library.

    technology: the catalog's, if it is not the built-in one. purpose: what for; other: what to ask for instead.
    """
    bare = [multiplier.name for multiplier in catalog if not multiplier.netlist_sha256]
    if bare:
        wanted = f"netlists of the multipliers of {catalog.path}, {purpose}"
        mend = f"{other}, or build them from their Verilog"
        raise CatalogError(wanted, f"{len(bare)} came as bare tables, such as {bare[0]}", mend)
    if technology is None:
        technology_of(catalog)
    elif technology.sha256 != catalog.header["technology"]["sha256"]:
        built_with = catalog.header["technology"]["file"]
        came, mend = f"{technology.path} is another one", f"give the {built_with} that the catalog was built with"
        raise CatalogError(f"the cell library of {catalog.path}, {built_with}", came, mend)


def of_pairs(
    catalog: Catalog,
    operands: Lookup[str, Operands],
    mappings: Lookup[str, Lookup[str, Mapping]],
    model: str = WEIGHT_STATIONARY,
    technology: Technology | None = None,
    step: Callable[[], None] = lambda: None,
) -> Energies:
    """Energies of all multipliers that `mappings` (layer -> multiplier -> mapping) names, by an ENERGY_MODELS key.

    technology: the catalog's; not needed for "uniform". step() is called once a multiplier. Raises CatalogError for a
    multiplier without a known energy or, under real operands, without a netlist, AgnError for another model.
    """
    if model not in ENERGY_MODELS:
        raise AgnError(f"an energy model out of {', '.join(ENERGY_MODELS)}", f"'{model}' came", "choose one of these")
    found: Energies = {layer: {} for layer in operands}
    names = dict.fromkeys(name for own in mappings.values() for name in own)
    for name in names:
        layers = [layer for layer in operands if name in mappings[layer]]
        if model == UNIFORM:
            energies = dict.fromkeys(layers, catalog[name].sign_magnitude_energy_fj)
        else:
            technology = technology or technology_of(catalog)
            own = {layer: (operands[layer], mappings[layer][name]) for layer in layers}
            energies = _of_multiplier(catalog[name], own, model, technology)
        for layer, energy in energies.items():
            found[layer][name] = energy
        step()
    return found


def _of_multiplier(
    multiplier: Multiplier, layers: Lookup[str, tuple[Operands, Mapping]], model: str, technology: Technology
) -> dict[str, float]:
    """One multiplier in its layers; those with the activation on the same port are computed at once."""
    found: dict[str, float] = {}
    for port in ("a", "b"):
        own = [layer for layer, (_, mapping) in layers.items() if mapping.activation_port == port]
        if not own:
            continue
        weight_port = "b" if port == "a" else "a"
        energy = OperandEnergy.of_multiplier(multiplier, technology, weight_port)
        activations, weights = (
            np.stack([count(multiplier, *layers[layer]) for layer in own])
            for count in (activation_patterns, weight_patterns)
        )
        orders = [data_order(model, layers[layer][0].reuse, weight_port) for layer in own]
        a, b = (activations, weights) if port == "a" else (weights, activations)
        found.update(zip(own, energy.zero_delay_of_marginals(a, b, orders).tolist(), strict=True))
    return {layer: found[layer] for layer in layers}


def data_order(model: str, reuse: float, weight_port: str) -> DataOrder:
    """Which operand the array holds, and how long; `reuse`: multiplications with one weight."""
    return weight_stationary(max(reuse, 1.0), weight_port) if model == WEIGHT_STATIONARY else INDEPENDENT


def activation_patterns(multiplier: Multiplier, operands: Operands, mapping: Mapping) -> np.ndarray:
    """Share of each pattern on the activation's port, float64 [2**bits]."""
    bits = multiplier.a_bits if mapping.activation_port == "a" else multiplier.b_bits
    return np.bincount(mapping.activation_codes, weights=operands.activations, minlength=2 ** int(bits))


def weight_patterns(multiplier: Multiplier, operands: Operands, mapping: Mapping) -> np.ndarray:
    """Share of each pattern on the weight's port, the product's sign above the magnitude: float64 [2**bits]."""
    bits = int(multiplier.b_bits if mapping.activation_port == "a" else multiplier.a_bits)
    codes = mapping.weight_codes.astype(np.int64)
    if multiplier.signed or mapping.encoding != SIGN_MAGNITUDE:
        return np.bincount(codes, weights=operands.weights, minlength=2 ** (bits + (not multiplier.signed)))
    negative = float(operands.activations[mapping.activation_negative].sum())
    flips = np.where(mapping.weight_negative, 1 - negative, negative)
    positive = np.bincount(codes, weights=operands.weights * (1 - flips), minlength=2**bits)
    return np.concatenate([positive, np.bincount(codes, weights=operands.weights * flips, minlength=2**bits)])
