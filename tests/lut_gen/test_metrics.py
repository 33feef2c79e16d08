"""Error metrics: EvoApproxLib's published figures to the printed digit, and an oracle of one pair at a time."""

import csv
from decimal import Decimal

import numpy as np
import pytest

from lut_gen.metrics import METRICS, error_metrics, exact_table, operand_values

PUBLISHED = ("mae_percent", "wce_percent", "mre_percent", "ep_percent", "wcre_percent")
ROUNDED_IN_THE_SOURCE = {("mul8s_1KVA", "mae_percent"), ("mul8s_1KVB", "mae_percent")}
"""The published percentage was computed from a mean error already rounded to one decimal (1.2 for 1.25, 4.2 for
4.25): 100 * 1.2 / 2^16 = 0.0018, where 100 * 1.25 / 2^16 = 0.0019."""


def test_published_figures(evoapprox):
    tables = np.load(evoapprox / "tables.npz")
    with (evoapprox / "figures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 49
    different = set()
    for row in rows:
        ours = error_metrics(tables[row["name"]], signed=row["name"].startswith("mul8s"))
        for name in PUBLISHED:
            half_a_digit = Decimal(5).scaleb(Decimal(row[name]).as_tuple().exponent - 1)
            if abs(Decimal(ours[name]) - Decimal(row[name])) > half_a_digit:
                different.add((row["name"], name))
    assert different == ROUNDED_IN_THE_SOURCE


def pairwise(table: np.ndarray, signed: bool) -> dict[str, float]:
    """All metrics, one operand pair at a time, from their definitions."""
    a_size, b_size = table.shape
    pairs, relative = [], []
    for i in range(a_size):
        for j in range(b_size):
            a = i - a_size if signed and i >= a_size // 2 else i
            b = j - b_size if signed and j >= b_size // 2 else j
            error = int(table[i, j]) - a * b
            pairs.append(error)
            if a * b != 0:
                relative.append(abs(error) / abs(a * b))
    count = len(pairs)
    mae, wce = sum(map(abs, pairs)) / count, max(map(abs, pairs))
    return {
        "mae": mae,
        "mae_percent": 100 * mae / count,
        "wce": wce,
        "wce_percent": 100 * wce / count,
        "mre_percent": 100 * sum(relative) / len(relative),
        "wcre_percent": 100 * max(relative),
        "ep_percent": 100 * sum(error != 0 for error in pairs) / count,
        "mse": sum(error**2 for error in pairs) / count,
        "bias": sum(pairs) / count,
    }


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("a_bits", "b_bits"), [(1, 1), (2, 3), (4, 2), (4, 4)])
def test_against_one_pair_at_a_time(a_bits, b_bits, signed):
    rng = np.random.default_rng(10 * a_bits + b_bits)
    table = exact_table(a_bits, b_bits, signed) + rng.integers(-3, 5, (2**a_bits, 2**b_bits)).astype(np.int32)
    ours = error_metrics(table, signed)
    assert ours.keys() == pairwise(table, signed).keys() == {metric.name for metric in METRICS}
    assert ours == pytest.approx(pairwise(table, signed))


@pytest.mark.parametrize("signed", [False, True])
def test_an_exact_table_has_no_error(signed):
    assert set(error_metrics(exact_table(8, 8, signed), signed).values()) == {0.0}


def test_exact_products_by_raw_patterns():
    assert operand_values(3, signed=True).tolist() == [0, 1, 2, 3, -4, -3, -2, -1]
    table = exact_table(8, 4, signed=True)
    assert table.dtype == np.int32 and table.shape == (256, 16)
    assert table[255, 15] == 1 and table[128, 8] == 1024 and table[127, 8] == -1016
    assert exact_table(8, 8, signed=False)[255, 255] == 65025
