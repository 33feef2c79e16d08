"""Energies under real operands against one joint histogram at a time; the sign that the sign logic sees."""

import math
from dataclasses import replace

import numpy as np
import pytest

from agn_hw.codes import SIGNED, UNSIGNED, Codes
from agn_hw.mapping import WEIGHTS, Mapping, default
from agn_hw.search.pairs import energies
from agn_hw.search.pairs.operands import Operands
from lut_gen.catalog import Catalog
from lut_gen.energy.data_order import INDEPENDENT, weight_stationary
from lut_gen.energy.operand_energy import OperandEnergy
from lut_gen.errors import AgnError, CatalogError
from lut_gen.library import liberty_reader

NAMES = ("exact_4x3", "truncated_4x4_d3", "kulkarni_4x4", "baugh_wooley_4x4")


def operands(seed: int, codes: Codes = UNSIGNED, reuse: float = 1.0) -> Operands:
    rng = np.random.default_rng(seed)
    activations, weights = rng.random(256) ** 4, rng.random(256) ** 2
    values = codes.of_bytes()
    activations[(values.astype(int) & 255) != np.arange(256)] = 0
    weights[128] = 0
    return Operands(
        "Conv2d", 1000, 9, activations / activations.sum(), weights / weights.sum(), codes, 127, reuse
    )


def joint(catalog: Catalog, name: str, found: Operands, mapping: Mapping) -> np.ndarray:
    """Share of each pair of patterns [a, b], counted over all activation and weight bytes: the slow obvious way."""
    multiplier = catalog[name]
    x_bits, w_bits = int(multiplier.a_bits), int(multiplier.b_bits)
    if mapping.activation_port == "b":
        x_bits, w_bits = w_bits, x_bits
    shares = np.zeros((2**x_bits, 2 ** (w_bits + (not multiplier.signed))))
    for x in range(256):
        for w in range(256):
            sign = 0 if multiplier.signed else int(mapping.weight_negative[w]) << w_bits
            shares[mapping.activation_codes[x], int(mapping.weight_codes[w]) + sign] += (
                found.activations[x] * found.weights[w]
            )
    return shares


@pytest.mark.parametrize("port", ["a", "b"])
@pytest.mark.parametrize("reuse", [1.0, 5.0, 576.0])
def test_against_the_joint_histogram(catalog, port, reuse):
    layers = {"x": operands(0, reuse=reuse), "y": operands(1, reuse=3 * reuse)}
    mappings = {layer: {n: default(catalog[n], port, 1.4) for n in NAMES} for layer in layers}
    technology = liberty_reader.load()
    for model in (energies.WEIGHT_STATIONARY, energies.OUTPUT_STATIONARY):
        found = energies.of_pairs(catalog, layers, mappings, model)
        for layer, own in layers.items():
            for name in NAMES:
                weight_port = "b" if port == "a" else "a"
                direct = OperandEnergy.of_multiplier(catalog[name], technology, weight_port)
                shares = joint(catalog, name, own, mappings[layer][name])
                held = weight_stationary(own.reuse, weight_port)
                order = held if model == energies.WEIGHT_STATIONARY else INDEPENDENT
                expected = direct.zero_delay(shares if port == "a" else shares.T, order)
                assert found[layer][name] == pytest.approx(expected, rel=1e-9), (model, name)


def test_uniform_operands_without_a_held_one_cost_what_the_catalog_says(catalog):
    """Every pattern of a 4-bit port as often as any other."""
    even = Operands("Linear", 1, 1, np.full(256, 1 / 256), np.full(256, 1 / 256))
    x = np.arange(256) % 16
    signs = np.arange(256) >= 128
    mapping = replace(
        default(catalog["kulkarni_4x4"]),
        activation_codes=x.astype(np.uint8),
        weight_codes=x.astype(np.uint8),
        weight_negative=signs,
    )
    found = energies.of_pairs(catalog, {"x": even}, {"x": {"kulkarni_4x4": mapping}}, energies.OUTPUT_STATIONARY)
    assert found["x"]["kulkarni_4x4"] == pytest.approx(catalog["kulkarni_4x4"].sign_magnitude_energy_fj, rel=5e-3)
    uniform = energies.of_pairs(catalog, {"x": even}, {"x": {"kulkarni_4x4": mapping}}, energies.UNIFORM)
    assert uniform["x"]["kulkarni_4x4"] == catalog["kulkarni_4x4"].sign_magnitude_energy_fj


def test_signed_activations_share_the_sign(catalog):
    """The share of negative products of each magnitude is that of all pairs of activation and weight."""
    found = operands(3, SIGNED)
    mapping = default(catalog["exact_4x4"], codes=SIGNED)
    patterns = energies.weight_patterns(catalog["exact_4x4"], found, mapping)
    assert patterns.shape == (32,) and patterns.sum() == pytest.approx(1)
    expected = np.zeros(32)
    for x in range(256):
        for w in range(256):
            negative = bool(mapping.activation_negative[x]) != bool(mapping.weight_negative[w])
            expected[int(mapping.weight_codes[w]) + 16 * negative] += found.activations[x] * found.weights[w]
    assert patterns == pytest.approx(expected)
    assert WEIGHTS[200] < 0 and mapping.weight_negative[200]


def test_what_cannot_be_known(catalog, tmp_path):
    layers, mappings = {"x": operands(0)}, {"x": {"exact_4x4": default(catalog["exact_4x4"])}}
    with pytest.raises(AgnError, match="weight_stationary"):
        energies.of_pairs(catalog, layers, mappings, "guessed")
    header = {**catalog.header, "technology": {"file": "my.lib", "sha256": "0" * 64}}
    foreign = Catalog(catalog.path, header, catalog.table)
    with pytest.raises(CatalogError, match=r"(?s)my\.lib.*--liberty"):
        energies.of_pairs(foreign, layers, mappings)
    assert energies.data_order(energies.WEIGHT_STATIONARY, 0.5, "b").run == 1.0
    assert energies.data_order(energies.WEIGHT_STATIONARY, math.inf, "a").held == "a"
