"""Fronts against a brute-force definition, and what the built-in list must offer."""

import itertools

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lut_gen.pareto import FRONT_METRICS, fronts

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
