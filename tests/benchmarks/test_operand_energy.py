"""The operand-energy benchmark on tiny products: patterns and counts, steps by share, rows, ratios, ranks."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import agn_hw
from agn_hw import mapping
from agn_hw.nn.layers import table_layers
from benchmarks import layer_operands, operand_energy
from benchmarks.layer_operands import Product
from lut_gen.energy.data_order import OUTPUT_STATIONARY, weight_stationary
from lut_gen.library import liberty_reader


@pytest.fixture
def product() -> Product:
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (20, 5), dtype=np.uint8), rng.integers(-127, 128, (6, 5)).astype(np.int8)
    return Product("tiny", x, w.view(np.uint8))


def test_patterns_carry_the_sign_above_the_magnitude(product, catalog):
    x, w = product.patterns(mapping.default(catalog["exact_8x8"]), 8)
    assert x.tolist() == product.x.tolist()
    weights = product.w.view(np.int8).astype(int)
    assert (w & 255).tolist() == (2 * np.abs(weights)).tolist()
    assert (w >> 8).tolist() == (weights < 0).tolist()
    _, signed = product.patterns(mapping.default(catalog["baugh_wooley_8x8"]), 8)
    assert signed.max() < 256


def test_counts_by_input_add_up_to_the_joint_histogram(product, catalog):
    own = mapping.default(catalog["exact_8x8"])
    a, b = layer_operands.by_input(product, own, (8, 9))
    x, w = product.patterns(own, 8)
    joint = np.zeros((256, 512), dtype=int)
    for m, n, k in np.ndindex(20, 6, 5):
        joint[x[m, k], w[n, k]] += 1
    assert (a.T @ b).tolist() == joint.tolist()


def test_steps_are_shared_out_by_multiplications(product, catalog):
    small = Product("small", product.x[:2], product.w * 0)
    steps = layer_operands.steps([product, small], mapping.default(catalog["exact_8x8"]), 8, OUTPUT_STATIONARY, 1100)
    assert len(steps) == 1100
    zeros = ((steps.b_before | steps.b_after) == 0).sum()
    assert 100 <= zeros < 150  # those of `small`, and perhaps a weight that is zero
    held = layer_operands.steps([product], mapping.default(catalog["exact_8x8"]), 8, weight_stationary(), 50)
    assert held.b_before.tolist() == held.b_after.tolist()


def test_a_convolution_is_recorded_as_its_matrix_product():
    model = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    quantized = agn_hw.quantize(model, [torch.rand(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))])
    codes = torch.randint(0, 256, (2, 2, 4, 4), generator=torch.Generator().manual_seed(1)).float()
    layer = next(iter(table_layers(quantized).values()))
    found = layer_operands._product("conv", layer, codes)
    sums = found.x.astype(int) @ found.w.view(np.int8).astype(int).T  # [images * pixels, channels]
    with torch.no_grad():
        expected = layer.accumulate(codes)
    assert sums.reshape(2, 4, 3).transpose(0, 2, 1).tolist() == expected.reshape(2, 3, 4).tolist()
    assert found.macs == layer.macs(expected.shape)


def test_rows_ratios_and_ranks(product, catalog, monkeypatch):
    monkeypatch.setattr(operand_energy, "STEPS", 200)
    sets = {"half_normal": [product], "network": [product, product]}
    seconds: dict[str, float] = {}
    technology = liberty_reader.load()
    names = ("exact_4x4", "exact_3x3", "baugh_wooley_4x4")
    rows = [row for name in names for row in operand_energy.measured(catalog[name], technology, sets, seconds)]
    table = operand_energy.with_ratios(pd.DataFrame(rows))
    assert set(table["multiplier"]) == set(names) and (table["energy_fj"] > 0).all() and seconds
    keys = table.set_index(["multiplier", "operands", "order", "delays"])
    for name in names:
        plain = keys.loc[(name, "uniform", "output_stationary", "zero")]
        assert plain["to_uniform"] == 1.0
        assert plain["energy_fj"] == pytest.approx(catalog[name].sign_magnitude_energy_fj, rel=0.005)
        assert keys.loc[(name, "uniform", "output_stationary", "library")]["glitch_factor"] > 1
    once = keys.loc[("exact_4x4", "half_normal", "weight_stationary", "zero")]["energy_fj"]
    assert keys.loc[("exact_4x4", "network", "weight_stationary", "zero")]["energy_fj"] == pytest.approx(once)
    joint = keys.loc[("exact_4x4", "half_normal joint", "weight_stationary", "zero")]["energy_fj"]
    one_by_one = keys.loc[("exact_4x4", "half_normal by input", "weight_stationary", "zero")]["energy_fj"]
    assert 0 < one_by_one <= joint < 1.5 * once  # what is known of the input takes away variance
    ranks = operand_energy.rank_changes(table)
    assert set(ranks["circuits"]) == {"all"} and set(ranks["count"]) == {3}
    plain = ranks.set_index(["operands", "order", "delays"]).loc[("uniform", "output_stationary", "zero")]
    assert plain["spearman"] == plain["kendall"] == 1 and plain["largest_move"] == 0
