"""Co-design on the literature's tables and published powers: `python -m benchmarks.evoapprox --help`.

EvoApproxLib's 8x8 multipliers (V. Mrazek et al., DATE 2017) come from the folder that the environment variable
AGN_HW_EVOAPPROX names: tables.npz and figures.csv; nothing of them is kept. ResNet-8 on the procedural shapes, energy
model `uniform`, no retraining. What does each strategy need at so many points lost, at most?

    evoapprox                  kl (the default), uniform, agn
    evoapprox + exact narrow   kl, uniform; exact-narrow chooses from the exact ones of 8 bits and fewer alone

Energies are relative to the library's exact unsigned multiplier, which stands as the reference, by published power.
Published powers know no sign logic: it costs nothing here. The library's powers know no narrower multiplier either.
**Those are an extrapolation**: the published power of the exact 8x8, times the ratio that our own catalog finds between
n x m and 8x8 array multipliers under uniform operands (another technology, another synthesis, sign logic left out).

Writes two files; rows of other seeds (of training; the images are the same) stay.

evoapprox.csv, what codesign would choose: a row a set, strategy and limit. Chosen on validation images, one standard
error on the safe side, against the float network; energy, accuracy and loss on the test split with its 95 % bootstrap
interval, distinct multipliers, seconds of proposals (the first limit's) and of trials, shared out evenly.
`within` is false where nothing held; the row is then the exact reference.

evoapprox_budgets.csv, accuracy by energy: a row a set, strategy and budget, the safest proposal within it on the test
split. Lost points are against the 8-bit network, without a margin. The cheapest row of at most so many points is what
is often reported; it is chosen on the images it is judged by, and therefore lucky. It is printed at the end.

    OMP_NUM_THREADS=1 AGN_HW_EVOAPPROX=FOLDER python -m benchmarks.evoapprox --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from agn_hw.search.behaviour import answers, drop
from agn_hw.search.candidates import REFERENCE, exact_narrow
from agn_hw.search.comparison import Row, compare
from agn_hw.search.pairs import energies
from agn_hw.search.strategies import Target
from agn_hw.search.study import Study
from agn_hw.zoo import data
from agn_hw.zoo.train import trained
from lut_gen.catalog import Catalog
from lut_gen.exchange.importing import import_tables

ROOT = Path(__file__).resolve().parent.parent
MODEL, DATA = "resnet8", "shapes"
EXACT = "mul8u_1JFF"
"""EvoApproxLib's exact unsigned multiplier."""
FJ_PER_MW = 1000.0
"""A multiplication takes 1 ns, say: only ratios of powers count."""
EVOAPPROX, UNION, NARROW = "evoapprox", "evoapprox + exact narrow", "exact narrow"
STRATEGIES = {EVOAPPROX: ("kl", "uniform", "agn"), UNION: ("kl", "exact-narrow", "uniform")}
"""On each set of multipliers."""
BUDGETS = (2, 3, 4, 5.5, 7.5, 8.5, 10, 11.5, 13, 15, 17.5, 20, 22.5, 25, 30, 35, 40, 45, 50, 55)
"""Energies, per cent."""
COLUMNS = (
    *("seed", "set", "strategy", "max_drop", "energy_percent", "accuracy_percent", "drop_points", "drop_low"),
    *("drop_high", "within", "types", "seconds"),
)

KEY = list(COLUMNS[:4])

Tables = dict[str, np.ndarray]
"""int32 [2**a_bits, 2**b_bits] by name."""
Energies = dict[str, float]
"""fJ a multiplication by name."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evoapprox", description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", type=Path, default=ROOT / "build" / "catalog", help="of the narrow multipliers")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "cache", help="trained networks and data")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the networks' training")
    parser.add_argument("--sets", nargs="*", choices=list(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--max-drops", nargs="*", type=float, default=[0.5, 1.0], help="points lost, at most")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "codesign" / "evoapprox.csv")
    arguments = parser.parse_args()
    if "AGN_HW_EVOAPPROX" not in os.environ:
        parser.error("AGN_HW_EVOAPPROX names no folder with EvoApproxLib's tables.npz and figures.csv")
    torch.set_num_threads(1)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    budgets = arguments.output.with_stem(f"{arguments.output.stem}_budgets")
    ours = Catalog.load(arguments.catalog)
    for seed in arguments.seeds:
        for name in arguments.sets:
            with tempfile.TemporaryDirectory() as folder:
                catalog = gather(name, Path(os.environ["AGN_HW_EVOAPPROX"]), ours, Path(folder))
                print(f"seed {seed}, {name}: {len(catalog)} multipliers", file=sys.stderr, flush=True)
                study = open_study(seed, catalog, arguments.cache)
                table = as_table(compare(study, STRATEGIES[name], arguments.max_drops), seed, name)
                write(arguments.output, table, KEY)
                print(table.to_string(index=False), flush=True)
                curves = pd.concat(by_budget(study, strategy, seed, name) for strategy in STRATEGIES[name])
                write(budgets, curves, [*KEY[:3], "budget_percent"])
                print(least(curves, arguments.max_drops).to_string(index=False), flush=True)


def open_study(seed: int, catalog: Catalog, cache: Path) -> Study:
    """The network of this seed, and what this catalog offers it."""
    splits = data.load(DATA, 0, cache)
    network = trained(MODEL, DATA, splits, cache, seed)
    return Study.of(network, splits, catalog, energy_model=energies.UNIFORM, seed=seed)


def gather(name: str, library: Path, ours: Catalog, folder: Path) -> Catalog:
    """One of the sets as a catalog in `folder`, a new or empty one."""
    tables, spent = published(library)
    if name == UNION:
        more, extrapolated = narrow(ours, spent[REFERENCE])
        tables, spent = tables | more, spent | extrapolated
    return as_catalog(tables, spent, folder)


def published(library: Path) -> tuple[Tables, Energies]:
    """The library's tables and powers, its exact multiplier under the reference's name."""
    powers = pd.read_csv(library / "figures.csv", index_col="name")["power_mw"]
    with np.load(library / "tables.npz", allow_pickle=False) as arrays:
        tables = {REFERENCE if name == EXACT else name: arrays[name] for name in arrays.files}
    return tables, {name: FJ_PER_MW * float(powers[EXACT if name == REFERENCE else name]) for name in tables}


def narrow(ours: Catalog, reference: float) -> tuple[Tables, Energies]:
    """Exact multipliers narrower than 8x8: tables of our catalog, energies as its ratios to 8x8 times `reference`."""
    chosen = [ours[name] for name in sorted(exact_narrow(ours) - {REFERENCE}) if max(ours[name].lut.shape) <= 256]
    share = reference / float(ours[REFERENCE].energy_fj)
    return {m.name: m.lut for m in chosen}, {m.name: share * float(m.energy_fj) for m in chosen}


def as_catalog(tables: Tables, spent: Energies, folder: Path) -> Catalog:
    """A catalog of bare tables without sign logic; what is called exact is marked as such.

    An import knows no families. The mark is put on the catalog that was read; the one on disk stays as it is.
    """
    np.savez(folder / "tables.npz", **tables)  # type: ignore[arg-type]
    figures = {name: {"energy_fj": energy, "sign_energy_fj": 0.0} for name, energy in spent.items()}
    found = import_tables([folder / "tables.npz"], folder / "catalog", figures, "published powers, 45 nm")
    exact = found.table["name"].str.startswith("exact_")
    marked = found.table.assign(family=found.table["family"].mask(exact, "exact_array"))
    return Catalog(found.path, found.header, marked)


def as_table(rows: list[Row], seed: int, name: str) -> pd.DataFrame:
    """Columns COLUMNS, energies and accuracies in per cent."""
    found = [
        {
            **row.as_dict(),
            "seed": seed,
            "set": told(name, row.strategy),
            "energy_percent": 100 * row.energy_relative,
            "accuracy_percent": 100 * row.accuracy,
            "types": row.types_used,
            "seconds": row.proposing + row.trying,
        }
        for row in rows
    ]
    return pd.DataFrame(found)[list(COLUMNS)]


def told(name: str, strategy: str) -> str:
    """The multipliers that a strategy really chooses from."""
    return NARROW if strategy == "exact-narrow" else name


def by_budget(study: Study, strategy: str, seed: int, name: str) -> pd.DataFrame:
    """The safest proposal within each budget on the test split; a budget that changes nothing is left out."""
    proposals = list(study.propose(Target(strategy=strategy)).proposals)
    spent = [100 * study.options.relative_energy(names) for names in proposals]
    exact, rows = answers(study.quantized, study.splits.test), []
    within = {budget: next((i for i, own in enumerate(spent) if own <= budget), None) for budget in BUDGETS}
    chosen = {number: budget for budget, number in reversed(within.items()) if number is not None}
    for number, budget in reversed(chosen.items()):
        found = answers(study.trials.network(proposals[number]), study.splits.test)
        lost = drop(exact.hits, found.hits)
        rows.append(
            {
                "seed": seed,
                "set": told(name, strategy),
                "strategy": strategy,
                "budget_percent": budget,
                "energy_percent": spent[number],
                "accuracy_percent": 100 * found.accuracy,
                "lost_points": lost.points,
                "standard_error": lost.error,
            }
        )
    return pd.DataFrame(rows)


def least(curves: pd.DataFrame, max_drops: list[float]) -> pd.DataFrame:
    """The cheapest row of each strategy and limit that loses at most so many points, by the test split itself."""
    found = [curves[curves["lost_points"] <= points].assign(max_drop=points) for points in max_drops]
    ordered = pd.concat(found).sort_values("energy_percent", kind="stable")
    return ordered.groupby(["set", "strategy", "max_drop"], sort=False).head(1).sort_values(KEY, ignore_index=True)


def write(path: Path, found: pd.DataFrame, key: list[str]) -> None:
    """Puts rows into a file, in order; those of the same seed, set and strategy go."""
    if path.exists():
        before = pd.read_csv(path)
        again = before[KEY[:3]].apply(tuple, axis=1).isin(set(found[KEY[:3]].itertuples(index=False, name=None)))
        found = pd.concat([before[~again], found]) if not again.all() else found
    found.sort_values(key, kind="stable").to_csv(path, index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    main()
