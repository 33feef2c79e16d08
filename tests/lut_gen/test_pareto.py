"""Fronts against a brute-force definition, and what the built-in list must offer."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lut_gen.metrics import exact_table
from lut_gen.pareto import FRONT_METRICS, compared, fronts, widened, with_variance
from tests.lut_gen.tables_on_disk import catalog_of, entry

numbers = st.integers(0, 5)


@given(st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=12))
def test_fronts_are_the_undominated_rows(points):
    table = pd.DataFrame(
        [
            {"a_bits": 8, "b_bits": 8, "signed": s, "energy_fj": e, **dict.fromkeys(FRONT_METRICS, err)}
            for e, err, s in points
        ]
    )
    got = fronts(table).to_numpy() != ""
    expected = []
    for i, (energy, error, signed) in enumerate(points):
        others = [(e, x, j) for j, (e, x, s) in enumerate(points) if s == signed and j != i]
        beaten = any((e <= energy and x < error) or (e < energy and x <= error) for e, x, _ in others)
        twin_before = any(e == energy and x == error and j < i for e, x, j in others)
        expected.append(not beaten and not twin_before)
    assert np.array_equal(got, expected)


def test_the_built_in_list_offers_five_families(catalog):
    table = catalog.table.assign(front=fronts(catalog.table))
    full = table[(table.a_bits == 8) & (table.b_bits == 8) & ~table.signed & (table.front != "")]
    assert len(set(full.family)) >= 5, sorted(set(full.family))
    assert len(catalog) >= 60
    assert all(a != b for a, b in itertools.pairwise(table.name))


def test_a_row_of_unknown_energy_is_on_no_front():
    columns = {"a_bits": 8, "b_bits": 8, "signed": False}
    rows = [{**columns, "energy_fj": e, **dict.fromkeys(FRONT_METRICS, x)} for e, x in ((np.nan, 0.0), (3.0, 2.0))]
    assert [bool(front) for front in fronts(pd.DataFrame(rows))] == [False, True]


def test_the_variance_is_the_errors_own(tmp_path):
    rng = np.random.default_rng(3)
    exact = exact_table(4, 3, False)
    shifted, noisy = exact + 1000, exact + rng.integers(-5, 9, exact.shape)
    catalog = catalog_of(tmp_path / "c", entry("constant", shifted), entry("noisy", noisy), entry("exact", exact))
    variance = with_variance(catalog.table).set_index("name").variance
    assert variance["constant"] == 0 and variance["exact"] == 0
    assert variance["noisy"] == pytest.approx((noisy - exact).var(), rel=1e-6)
    assert set(fronts(catalog.table[catalog.table.name != "exact"])) >= {"MAE MRE WCE WCRE EP MSE"}


@pytest.mark.parametrize("signed", [False, True])
def test_a_narrower_multiplier_gets_the_high_bits(tmp_path, signed):
    multiplier = catalog_of(tmp_path / "c", entry("m", exact_table(4, 3, signed), signed=signed))["m"]
    table = widened(multiplier, 6, 8)
    assert table.shape == (64, 256)
    for a in range(64):
        for b in range(256):
            x, y = (a - 64 * (signed and a > 31), b - 256 * (signed and b > 127))
            assert table[a, b] == (x // 4 * 4) * (y // 32 * 32)  # rounded down, towards minus infinity
    assert np.array_equal(widened(multiplier, 4, 3), multiplier.lut)


def test_what_is_compared(tmp_path):
    exact = exact_table(4, 4, False)
    entries = [
        entry("wide", exact & ~1, 9.0),
        entry("exact_wide", exact, 10.0),
        entry("narrow", exact_table(3, 2, False), 4.0),
    ]
    entries += [entry("bad_narrow", exact_table(3, 2, False) & ~1, 3.0), entry("longer", exact_table(5, 1, False), 2.0)]
    entries += [entry("s", exact_table(2, 2, True), 5.0, signed=True)]
    catalog = catalog_of(tmp_path / "c", *entries)
    table = compared(catalog, signed=False)
    assert table.name.tolist() == ["narrow", "wide", "exact_wide"] and table.narrow.tolist() == [True, False, False]
    assert set(table.a_bits) == set(table.b_bits) == {4}
    error = widened(catalog["narrow"], 4, 4) - exact
    row = table.iloc[0]
    assert row.mae == np.abs(error).mean() and row.variance == pytest.approx(error.var()) and row.energy_fj == 4.0
    assert row.mre_percent == pytest.approx(100 * (np.abs(error[1:, 1:]) / exact[1:, 1:]).mean())
    assert compared(catalog, signed=True).name.tolist() == ["s"]
    assert compared(catalog_of(tmp_path / "d", entry("u", exact)), signed=True).empty


def test_in_the_built_in_catalog_narrow_exact_multipliers_are_a_fair_match(catalog):
    table = compared(catalog, signed=False)
    best = table[fronts(table, ["mae"]) != ""]
    assert {"exact_8x8", "exact_4x4"} <= set(best.name) and not table.loc[table.narrow, "mae"].eq(0).any()
