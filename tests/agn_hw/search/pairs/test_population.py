"""The population model against draws and written-out special cases."""

import numpy as np
import pytest
import torch

from agn_hw.mapping import WEIGHTS
from agn_hw.search.pairs.fields import receptive_fields
from agn_hw.search.pairs.population import errors_of_fields, population_errors, population_std
from tests.agn_hw import oracles
from tests.agn_hw.search.pairs.layers import SOURCES, case, tables


@pytest.mark.parametrize("name", SOURCES)
def test_by_loops_over_fields(name):
    layer, codes = case(name)
    fields = receptive_fields(layer, codes, 9)[:, 0]
    weights = oracles.integers(layer.weight_codes()).ravel()
    found = errors_of_fields(layer, fields, tables())
    fan_in = fields.shape[1]
    for m, (table, gain) in enumerate(tables()):
        means, variances = [], []
        for field in fields:
            errors = np.array([table[x & 255, w & 255] / gain - x * w for x in field for w in weights])
            means.append(fan_in * errors.mean())
            variances.append(fan_in * errors.var())
        assert found.mean[m] == pytest.approx(np.mean(means), rel=1e-9)
        assert found.std[m] == pytest.approx(np.sqrt(np.mean(variances) + np.var(means)), rel=1e-9)


def test_draws_from_fields():
    layer, codes = case("groups", images=30)
    fields = receptive_fields(layer, codes, 60)[:, 1]
    (table, gain), generator = tables()[1], np.random.default_rng(0)
    weights = oracles.integers(layer.weight_codes()).ravel()
    draws = 60_000
    chosen = fields[generator.integers(len(fields), size=draws)]
    x = np.take_along_axis(chosen, generator.integers(chosen.shape[1], size=chosen.shape), 1)
    w = generator.choice(weights, size=x.shape)
    errors = (table[x & 255, w & 255] / gain - x * w).sum(1)
    found = errors_of_fields(layer, fields, [(table, gain)])
    assert found.std[0] == pytest.approx(errors.std(), rel=0.02)
    assert found.mean[0] == pytest.approx(errors.mean(), abs=6 * errors.std() / draws**0.5)


def test_fields_that_differ_add_their_means():
    """An error that is x alone: a field of equal values has no variance of its own."""
    layer = case("linear")[0]
    codes = torch.arange(0.0, 200.0, 10).reshape(-1, 1).expand(-1, 11)
    table = np.outer(np.arange(256), WEIGHTS) + np.arange(256)[:, None]
    found = population_errors(layer, codes, [(table, 1.0)])
    assert found.mean[0] == pytest.approx(11 * 95) and found.std[0] == pytest.approx(11 * codes[:, 0].numpy().std())


def test_samples_by_seed():
    layer, codes = case("depthwise, reflect")
    first, again, other = (population_std(layer, codes, tables(), 20, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    everything = population_std(layer, codes, tables(), 10**6)
    np.testing.assert_allclose(population_std(layer, codes, tables(), 60), everything, rtol=0.3)


def test_every_group_has_its_turn():
    """Groups whose activations differ: their spread is part of the population's."""
    layer = case("depthwise, reflect")[0]
    codes = torch.arange(1.0, 5.0).reshape(1, 4, 1, 1).expand(30, 4, 5, 5) * 10
    table = np.outer(np.arange(256), WEIGHTS) + np.arange(256)[:, None]
    found = population_errors(layer, codes, [(table, 1.0)], fields=700)
    assert found.mean[0] == pytest.approx(9 * 25, rel=0.05)
    assert found.std[0] == pytest.approx(9 * np.std([10, 20, 30, 40]), rel=0.05)


def test_exact_tables():
    layer, codes = case("plain")
    exact = np.outer(np.arange(256), WEIGHTS)
    found = population_errors(layer, codes, [(exact, 1.0), (7 * exact, 7.0)])
    assert not found.std.any() and not found.mean.any()
    assert not layer.lut.numel()
