"""Which multipliers are worth their energy: Pareto fronts of energy against each error metric."""

from __future__ import annotations

import pandas as pd

FRONT_METRICS = {
    "mae": "MAE",
    "mre_percent": "MRE",
    "wce": "WCE",
    "wcre_percent": "WCRE",
    "ep_percent": "EP",
    "mse": "MSE",
}
"""Column -> short name. Each is a front of its own: a circuit that is rarely wrong is no use where it must not be
far wrong, and the other way round."""


def fronts(table: pd.DataFrame) -> pd.Series:
    """For each row of a catalog's table the metrics in which it is on the front, as text ("MAE MRE"), else "".

    A row is on the front of a metric when no other of the same widths and signedness has at most its energy and less
    error, or less energy and the same error.
    """
    names: dict[object, list[str]] = {index: [] for index in table.index}
    for _, group in table.groupby(["a_bits", "b_bits", "signed"]):
        for column, short in FRONT_METRICS.items():
            least = float("inf")
            ordered = group.sort_values(["energy_fj", column], kind="stable")
            for index, error in ordered[column].items():
                if error < least:
                    least = error
                    names[index].append(short)
    return pd.Series({index: " ".join(found) for index, found in names.items()}, dtype=str)
