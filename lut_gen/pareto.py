"""Which multipliers are worth their energy: Pareto fronts of energy against each error metric."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lut_gen.catalog import Catalog, Multiplier
from lut_gen.metrics import METRICS, exact_table

FRONT_METRICS = {
    "mae": "MAE",
    "mre_percent": "MRE",
    "wce": "WCE",
    "wcre_percent": "WCRE",
    "ep_percent": "EP",
    "mse": "MSE",
    "variance": "VAR",
}
"""Column -> short name. Each is a front of its own: a circuit that is rarely wrong is no use where it must not be
far wrong, and the other way round. The variance is what is left of the error when its mean is taken off."""

SHOWN_METRICS = ("mae", "mre_percent", "variance")
"""The fronts that a catalog is first shown by."""


def with_variance(table: pd.DataFrame) -> pd.DataFrame:
    """A catalog's table with the column `variance` of the error, LSB^2: mse - bias^2.

    Both have nine digits: what is below 1e-8 of the mse is rounding, and 0.
    """
    variance = table["mse"] - table["bias"] ** 2
    return table.assign(variance=variance.where(variance > 1e-8 * table["mse"], 0.0))


def fronts(table: pd.DataFrame, metrics: Iterable[str] = FRONT_METRICS) -> pd.Series:
    """For each row of a catalog's table the metrics in which it is on the front, as text ("MAE MRE"), else "".

    A row is on the front of a metric when no other of the same widths and signedness has at most its energy and less
    error, or less energy and the same error. A row of unknown energy is on none.
    """
    if "variance" in metrics and "variance" not in table:
        table = with_variance(table)
    names: dict[object, list[str]] = {index: [] for index in table.index}
    for _, group in table[table["energy_fj"].notna()].groupby(["a_bits", "b_bits", "signed"]):
        for column in metrics:
            least = float("inf")
            ordered = group.sort_values(["energy_fj", column], kind="stable")
            for index, error in ordered[column].items():
                if error < least:
                    least = error
                    names[index].append(FRONT_METRICS[column])
    return pd.Series({index: " ".join(found) for index, found in names.items()}, dtype=str)


def compared(catalog: Catalog, signed: bool) -> pd.DataFrame:
    """The multipliers of one signedness that have the catalog's widest operands, and the narrower exact ones in use
    for operands of that width: rows as in catalog.table, by energy, with `variance` and `narrow` (bool).

    The errors of narrower exact ones are those of `widened`. Empty where the catalog has none of that signedness.
    """
    table = with_variance(catalog.table[catalog.table["signed"] == signed]).assign(narrow=False)
    if table.empty:
        return table
    a_bits, b_bits = max(zip(table["a_bits"], table["b_bits"], strict=True), key=lambda bits: (sum(bits), bits))
    widest = (table["a_bits"] == a_bits) & (table["b_bits"] == b_bits)
    narrow = ~widest & (table["wce"] == 0) & (table["a_bits"] <= a_bits) & (table["b_bits"] <= b_bits)
    exact = exact_table(int(a_bits), int(b_bits), signed).astype(np.float64)
    rows = []
    for row in table[narrow].to_dict("records"):
        error = widened(catalog[row["name"]], int(a_bits), int(b_bits)) - exact
        errors = {metric.name: float(metric.compute(error, exact)) for metric in METRICS}
        rows.append({**row, **errors, "a_bits": a_bits, "b_bits": b_bits, "narrow": True})
    found = pd.concat([table[widest], with_variance(pd.DataFrame(rows))]) if rows else table[widest]
    return found.sort_values("energy_fj", kind="stable", ignore_index=True)


def widened(multiplier: Multiplier, a_bits: int, b_bits: int) -> np.ndarray:
    """A narrower multiplier's products where wider operands come, int64 [2**a_bits, 2**b_bits] by raw patterns.

    It takes the highest bits of both; its product is shifted back. No constant makes up for the bits that are lost:
    that would be one more adder, and the other multipliers get none either. (What a constant can win, where a layer's
    bias takes it for nothing, shows in the variance.)
    """
    a_low, b_low = a_bits - int(multiplier.a_bits), b_bits - int(multiplier.b_bits)
    a, b = np.arange(2**a_bits) >> a_low, np.arange(2**b_bits) >> b_low
    return multiplier.lut[np.ix_(a, b)].astype(np.int64) << (a_low + b_low)
