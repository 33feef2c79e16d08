"""EvoApproxLib's tables and powers as a catalog: what they become there, and the bookkeeping of the results."""

import numpy as np
import pandas as pd
import pytest

from agn_hw.search.candidates import REFERENCE, exact_narrow
from agn_hw.search.comparison import Row
from benchmarks import evoapprox as benchmark
from lut_gen.catalog import Catalog
from lut_gen.metrics import exact_table

OURS = {(8, 8): 400.0, (4, 4): 100.0, (8, 2): 50.0}
"""Energies of a small catalog of ours, fJ."""


@pytest.fixture
def library(tmp_path):
    """A library of three: the exact one, one that leaves out the lowest bits, a signed one."""
    folder, exact = tmp_path / "library", exact_table(8, 8, signed=False)
    folder.mkdir()
    tables = {benchmark.EXACT: exact, "mul8u_LOW": exact & ~15, "mul8s_ONE": exact_table(8, 8, signed=True)}
    np.savez(folder / "tables.npz", **tables)
    powers = pd.DataFrame({"name": list(tables), "power_mw": [0.4, 0.1, 0.5], "area_um2": [7, 8, 9]})
    powers.iloc[::-1].to_csv(folder / "figures.csv", index=False)
    return folder


@pytest.fixture
def ours(tmp_path) -> Catalog:
    tables = {f"exact_{a}x{b}": exact_table(a, b, signed=False) for a, b in OURS}
    tables["exact_12x4"] = exact_table(12, 4, signed=False)
    spent = dict(zip(tables, [*OURS.values(), 900.0], strict=True))
    (tmp_path / "ours").mkdir()
    return benchmark.as_catalog(tables, spent, tmp_path / "ours")


def gathered(name, library, ours, tmp_path) -> Catalog:
    (tmp_path / "new").mkdir()
    return benchmark.gather(name, library, ours, tmp_path / "new")


def energies(catalog: Catalog) -> dict[str, float]:
    """Relative to the reference, as the search takes them."""
    reference = catalog[REFERENCE].sign_magnitude_energy_fj
    return {m.name: m.sign_magnitude_energy_fj / reference for m in catalog}


def test_the_library_alone(library, ours, tmp_path):
    catalog = gathered(benchmark.EVOAPPROX, library, ours, tmp_path)
    assert energies(catalog) == pytest.approx({REFERENCE: 1, "mul8u_LOW": 0.25, "mul8s_ONE": 1.25})
    assert exact_narrow(catalog) == {REFERENCE}
    assert catalog["mul8s_ONE"].signed and not catalog["mul8u_LOW"].signed
    assert np.array_equal(catalog["mul8u_LOW"].lut, exact_table(8, 8, False) & ~15)


def test_with_narrow_ones_at_extrapolated_energies(library, ours, tmp_path):
    catalog = gathered(benchmark.UNION, library, ours, tmp_path)
    expected = {REFERENCE: 1, "mul8u_LOW": 0.25, "mul8s_ONE": 1.25, "exact_4x4": 0.25, "exact_8x2": 0.125}
    assert energies(catalog) == pytest.approx(expected)
    assert exact_narrow(catalog) == {REFERENCE, "exact_4x4", "exact_8x2"}
    assert np.array_equal(catalog["exact_8x2"].lut, exact_table(8, 2, False))


def test_results_replace_those_of_the_same_run(tmp_path):
    def rows(energy: float) -> list[Row]:
        return [
            Row("kl", None, drop, False, energy, 0.9, drop, drop - 1, drop + 1, True, 3, 2.0, 0.5)
            for drop in (1.0, 0.5)
        ]

    path = tmp_path / "evoapprox.csv"
    for seed, energy in ((1, 0.5), (0, 0.25), (1, 0.125)):
        benchmark.write(path, benchmark.as_table(rows(energy), seed, benchmark.UNION), benchmark.KEY)
    found = pd.read_csv(path)
    assert tuple(found.columns) == benchmark.COLUMNS
    assert found["seed"].tolist() == [0, 0, 1, 1] and found["max_drop"].tolist() == [0.5, 1.0] * 2
    assert found["energy_percent"].tolist() == [25, 25, 12.5, 12.5] and set(found["accuracy_percent"]) == {90}
    assert set(found["seconds"]) == {2.5}
    narrow = Row("exact-narrow", None, 1.0, False, 0.5, 0.9, 1.0, 0.0, 2.0, True, 1, 1.0, 0.5)
    assert benchmark.as_table([narrow], 0, benchmark.UNION)["set"].tolist() == [benchmark.NARROW]


def test_the_least_energy_is_that_of_the_cheapest_row_within():
    points = {"kl": [3.0, 0.9, 1.2, 0.4], "agn": [5.0, 4.0, 3.0, 1.0]}
    curves = pd.DataFrame(
        [
            {"seed": 0, "set": "s", "strategy": strategy, "energy_percent": energy, "lost_points": lost}
            for strategy, own in points.items()
            for energy, lost in zip((5, 10, 15, 20), own, strict=True)
        ]
    )
    found = benchmark.least(curves, [0.5, 1.0])
    told = found[["strategy", "max_drop", "energy_percent"]].values.tolist()
    assert told == [["agn", 1.0, 20], ["kl", 0.5, 20], ["kl", 1.0, 10]]


def test_the_real_library(evoapprox, ours, tmp_path):
    catalog = gathered(benchmark.UNION, evoapprox, ours, tmp_path)
    relative = energies(catalog)
    assert len(catalog) == 49 + 2 and catalog[REFERENCE].wce == 0
    assert relative["mul8u_FTA"] == pytest.approx(0.215, abs=5e-4)  # the best one of all layers alike
    assert relative["mul8u_E9R"] == 0 and not catalog["mul8u_E9R"].lut.any()
