"""Energy of multipliers under real operands and data orders: `python -m benchmarks.operand_energy --help`.

Writes energies.csv (one row a multiplier, operands, order and delay model; ten circuits, or those asked for), ranks.csv
(how much the order of all multipliers differs from that under uniform operands), energy.png and seconds.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import kendalltau, spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/operand_energy.py`

from agn_hw import mapping
from benchmarks import energy_picture, layer_operands
from benchmarks.layer_operands import Product
from lut_gen.catalog import Catalog, Multiplier
from lut_gen.energy.data_order import OUTPUT_STATIONARY, DataOrder, activation_stationary, weight_stationary
from lut_gen.energy.operand_energy import LIBRARY, UNIT, OperandEnergy
from lut_gen.library import liberty_reader
from lut_gen.library.liberty import Technology

ROOT = Path(__file__).resolve().parent.parent
ORDERS: dict[str, DataOrder] = {
    "output_stationary": OUTPUT_STATIONARY,
    "weight_stationary": weight_stationary(),
    "activation_stationary": activation_stationary(),
}
ZERO = "zero"
UNIFORM = "uniform"
SHOWN = ("exact_8x8", "exact_4x4", "truncated_8x8_d6", "truncated_5x5_d3", "bam_h2_v5", "kulkarni_8x8", "drum_8_k4",
         "mitchell_8_f4", "baugh_wooley_8x8", "drum_8_k3_signed")  # fmt: skip
STEPS = 16384


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operand_energy", description=__doc__)
    parser.add_argument("--catalog", type=Path, default=ROOT / "build" / "catalog")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "cache", help="trained networks")
    parser.add_argument("--circuits", nargs="*", help="names (all of the catalog without it)")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "catalog")
    arguments = parser.parse_args()
    catalog = Catalog.load(arguments.catalog)
    sets = {"half_normal": layer_operands.half_normal(), "network": layer_operands.network(arguments.cache)}
    technology = liberty_reader.load()
    chosen = [catalog[name] for name in arguments.circuits] if arguments.circuits else list(catalog)
    rows: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    for multiplier in track(chosen, description="multipliers", console=Console(stderr=True)):
        rows += measured(multiplier, technology, sets, seconds)
    table = with_ratios(pd.DataFrame(rows))
    ranks = rank_changes(table)
    arguments.output.mkdir(parents=True, exist_ok=True)
    shown = table[table["multiplier"].isin(arguments.circuits or SHOWN)]
    shown.to_csv(arguments.output / "energies.csv", index=False, float_format="%.6g", lineterminator="\n")
    ranks.to_csv(arguments.output / "ranks.csv", index=False, float_format="%.4f", lineterminator="\n")
    (arguments.output / "seconds.json").write_text(json.dumps(seconds, indent=2) + "\n")
    if set(SHOWN) <= set(shown["multiplier"]):
        energy_picture.draw(shown, SHOWN, arguments.output / "energy.png")
    show(table, ranks)


def measured(
    multiplier: Multiplier, technology: Technology, sets: dict[str, list[Product]], seconds: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """Rows of one multiplier with its sign logic and default mapping; adds to `seconds` what took how long."""
    own = mapping.default(multiplier)
    clock = _Clock(seconds)
    energy = OperandEnergy.of_multiplier(multiplier, technology)
    clock.add("signals and toggle energies")
    head = {"multiplier": multiplier.name, "family": multiplier.family, "bits": multiplier.a_bits + multiplier.b_bits}
    uniform = np.ones(energy.signals.shape)
    for name, order in ORDERS.items():
        exact = energy.zero_delay(uniform, order)
        yield {**head, "operands": UNIFORM, "order": name, "delays": ZERO, "energy_fj": exact}
    clock.add("joint histograms, zero delay")
    for delays in (UNIT, LIBRARY):
        estimate = energy.with_glitches(uniform, delays=delays, relative_error=0.005)
        yield {**head, "operands": UNIFORM, "order": "output_stationary", "delays": delays, **_figures(estimate)}
        clock.add(f"uniform, {delays} delays, 0.5 %")
    bits = energy.signals.a_bits, energy.signals.b_bits
    for operands, products in sets.items():
        counts = [layer_operands.by_input(product, own, bits) for product in products]
        macs = np.array([product.macs for product in products])
        clock.start()
        for name, order in ORDERS.items():
            a, b = (np.stack([count[port].sum(axis=0) for count in counts]) for port in (0, 1))
            mean = float(energy.zero_delay_of_marginals(a, b, order) @ macs / macs.sum())
            yield {**head, "operands": operands, "order": name, "delays": ZERO, "energy_fj": mean}
        clock.add(f"{operands}: marginals of {len(products)} layers, 3 orders, zero delay")
        if multiplier.name not in SHOWN:
            continue
        for name, order in ORDERS.items():
            one = [energy.zero_delay(a.T @ b, order) for a, b in counts]
            mean = float(one @ macs / macs.sum())
            yield {**head, "operands": f"{operands} joint", "order": name, "delays": ZERO, "energy_fj": mean}
            if order.held:
                one = [float(energy.zero_delay_of_marginals(a, b, order).mean()) for a, b in counts]
                mean = float(one @ macs / macs.sum())
                yield {**head, "operands": f"{operands} by input", "order": name, "delays": ZERO, "energy_fj": mean}
        clock.add(f"{operands}: joint histograms and inputs one by one, zero delay ({len(SHOWN)} circuits)")
    for name, order in ORDERS.items():
        steps = layer_operands.steps(sets["network"], own, int(multiplier.b_bits), order, STEPS)
        clock.start()
        for delays in (UNIT, LIBRARY):
            found = _figures(energy.simulated(steps, delays))
            yield {**head, "operands": "network recorded", "order": name, "delays": delays, **found}
            clock.add(f"recorded, {delays} delays, {STEPS} steps")
        zero = {"energy_fj": found["zero_delay_fj"], "steps": len(steps)}
        yield {**head, "operands": "network recorded", "order": name, "delays": ZERO, **zero}


class _Clock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.start()

    def start(self) -> None:
        self.since = time.perf_counter()

    def add(self, what: str) -> None:
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - self.since
        self.start()


def _figures(estimate: Any) -> dict[str, Any]:
    return {
        "energy_fj": estimate.energy_fj,
        "standard_error_fj": estimate.standard_error_fj,
        "steps": estimate.transitions,
        "zero_delay_fj": estimate.zero_delay_fj,
        "glitch_factor": estimate.glitch_factor,
    }


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Adds to_uniform: energy over the multiplier's own with uniform, independent operands and no glitches."""
    plain = (table["operands"] == UNIFORM) & (table["order"] == "output_stationary") & (table["delays"] == ZERO)
    uniform = table[plain].set_index("multiplier")["energy_fj"]
    return table.assign(to_uniform=table["energy_fj"].to_numpy() / uniform.reindex(table["multiplier"]).to_numpy())


def rank_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Rank correlations with the energies under uniform, independent operands without glitches."""
    rows = []
    for circuits, part in (("all", table), ("16 operand bits", table[table["bits"] == 16])):
        if part["multiplier"].nunique() < 2:
            continue
        wide = part.pivot_table(index="multiplier", columns=["operands", "order", "delays"], values="energy_fj")
        wide = wide.dropna(axis="columns")  # what was measured for some circuits only has no rank
        plain = wide[(UNIFORM, "output_stationary", ZERO)]
        for key in wide.columns:
            moved = (wide[key].rank() - plain.rank()).abs()
            rows.append(
                {
                    **dict(zip(("operands", "order", "delays"), key, strict=True)),
                    "circuits": circuits,
                    "count": len(wide),
                    "spearman": spearmanr(plain, wide[key]).statistic,
                    "kendall": kendalltau(plain, wide[key]).statistic,
                    "largest_move": moved.max(),
                    "moves_most": moved.idxmax(),
                }
            )
    return pd.DataFrame(rows)


def show(table: pd.DataFrame, ranks: pd.DataFrame) -> None:
    """Prints ratios of some multipliers, and the rank correlations."""
    console = Console(width=240)
    some = table[table["multiplier"].isin(SHOWN)]
    wide = some.pivot_table(index="multiplier", columns=["operands", "order", "delays"], values="to_uniform").round(3)
    for frame, title in ((wide.T.reset_index(), "energy / uniform zero-delay energy"), (ranks.round(3), "ranks")):
        printed = Table(box=SIMPLE_HEAD, title=title)
        for column in frame.columns:
            printed.add_column(str(column))
        for row in frame.itertuples(index=False):
            printed.add_row(*map(str, row))
        console.print(printed)


if __name__ == "__main__":
    main()
