"""The comparison of error models: what is measured, how agreement is counted, which multipliers are taken."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from agn_hw.search.pairs.operands import record
from benchmarks import error_model, error_predictors
from tests.agn_hw.search.pairs.layers import SOURCES, case, tables


def made(name: str) -> error_predictors.Case:
    layer, codes = case(name, images=3)
    exact = layer.accumulate(codes).detach().movedim(layer.channel_axis, 0).flatten(1).double().numpy()
    operands = record(nn.Sequential(layer), codes, per_channel=True)["0"]
    return error_predictors.Case(layer, operands, codes, exact.var(1))


@pytest.mark.parametrize("name", SOURCES)
def test_fields_run_is_the_measurement_where_fields_are_all_positions(name):
    subject = made(name)
    expected = error_predictors.measured(subject.layer, subject.codes, tables())
    assert not subject.layer.lut.numel()
    np.testing.assert_allclose(error_predictors.fields_run(subject, tables()), expected, rtol=1e-9)


def test_measurement_by_hand():
    subject, (table, gain) = made("linear"), tables()[0]
    codes = subject.codes.long().numpy()
    weights = subject.layer.weight_codes().detach().long().numpy()
    own = np.array([[sum(table[x & 255, w & 255] for x, w in zip(row, ws, strict=True)) for row in codes]
                    for ws in weights]) / gain
    exact = weights @ codes.T
    error, noise = error_predictors.measured(subject.layer, subject.codes, [(table, gain)])
    assert error[0] == pytest.approx((own - exact).std() / np.sqrt(exact.var(1).mean()))
    factor = np.clip(exact.std(1) / own.std(1), 0.05, 4)[:, None]
    assert noise[0] == pytest.approx(np.sqrt(((factor * own - exact).var(1) / exact.var(1)).mean()))


@pytest.mark.parametrize("model", error_predictors.MODELS)
def test_every_model_is_near(model):
    """Factor three: random weights and activations, none of the models is told what would mislead it."""
    subject = made("plain")
    found = np.array(error_predictors.MODELS[model](subject, tables()))
    expected = np.array(error_predictors.measured(subject.layer, subject.codes, tables()))
    assert found.shape == expected.shape == (2, 3)
    assert (np.abs(np.log(found[0] / expected[0])) < np.log(3)).all()


def test_agreement():
    rows = [(0, "best", False, layer, f"m{i}", "a model", "noise", predicted, value, 2.0) for layer, values in
            {"one": [(1, 1), (2, 4), (6, 5)], "two": [(3, 1), (1, 2), (2, 0)]}.items()
            for i, (predicted, value) in enumerate(values)]
    columns = [*error_model.PAIR, "model", "figure", "predicted", "measured", "milliseconds"]
    found = error_model.agreement(pd.DataFrame(rows, columns=columns)).iloc[0]
    assert found["pairs"] == 5  # nothing to compare where there is no error
    assert found["spearman"] == pytest.approx(0) and found["spearman_worst_layer"] == pytest.approx(-1)
    assert found["ratio"] == 1 and found["relative_error"] == 0.5 and found["milliseconds"] == 2


def test_multipliers_spread_over_families():
    names = [f"{family}{i}" for family in "xy" for i in range(5)] + ["alone"]
    table = pd.DataFrame({"name": names, "family": [*"xxxxxyyyyy", "z"], "signed": [False] * 5 + [True] * 6,
                          "mae_percent": [5.0, 1, 4, 2, 3, 0, 9, 8, 7, 6, 1]})

    class Stub(dict):
        pass

    catalog = Stub(zip(names, names, strict=True))
    catalog.table = table
    assert error_model.spread(catalog) == ["x1", "x4", "x0", "y0", "y3", "y1", "alone"]
