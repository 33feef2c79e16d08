"""The matrix unit's Verilog against sums of table entries: sizes, modes, multipliers, overflow, resets, gaps."""

from pathlib import Path

import pytest

from sim import array_regression
from sim.array_cases import UNSIGNED, Case, Product
from sim.array_regression import Result
from sim.array_sources import SIGN_MAGNITUDE, SIGNED
from tests.sim import products
from tests.sim.conftest import installed
from tests.sim.test_pe import EACH

SIZES = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 3), (6, 6), (8, 8)]
PRODUCTS: dict[str, tuple[Product, int]] = {
    "exact": (products.exact(4, 4), UNSIGNED),
    "exact_8x8": (products.exact(8, 8), SIGN_MAGNITUDE),
    "exact_5x3": (products.exact(5, 3), SIGN_MAGNITUDE),
    "exact_signed": (products.exact_signed(3, 5), SIGNED),
    "uneven": (products.uneven(), SIGN_MAGNITUDE),
    "uneven_signed": (products.uneven_signed(), SIGNED),
    "lower_or_swapped": (products.published("loa_8x4_l6", swapped=True), SIGN_MAGNITUDE),
    "corrected": (products.published("truncated_4x4_d3_constant"), UNSIGNED),
    "baugh_wooley": (products.published("baugh_wooley_4x4_d2"), SIGNED),
}
"""Multipliers by the names of their cases, and MODE."""
TOTALS = [(3, 0), (1, 1), (0, 0), (-2, 0), (-2, 1)]
"""Width of the totals less that of the sums, and SATURATE. Totals of any width overflow: the bench drives them so."""


def case(name: str, kind: str, size: tuple[int, int], total: tuple[int, int], seed: int) -> Case:
    """Sums are as narrow as they may be."""
    (product, mode), (rows, cols), (more, saturate) = PRODUCTS[kind], size, total
    bits = products.sum_bits(product, mode, rows)
    widths = {"SUM_BITS": bits, "ACC_BITS": bits + more, "SATURATE": saturate}
    return Case(name, "matrix_unit", product, {"ROWS": rows, "COLS": cols, "MODE": mode, **widths}, seed=seed)


def cases() -> list[Case]:
    """Each size, each multiplier on one odd size, each kind of overflow, and some again with other random tiles."""
    kinds = list(PRODUCTS)
    by_size = [(f"{r}x{c}", kinds[i % len(kinds)], (r, c), TOTALS[i % 2]) for i, (r, c) in enumerate(SIZES)]
    by_kind = [(kind, kind, (3, 4), TOTALS[i % 2]) for i, kind in enumerate(kinds)]
    by_total = [(f"totals_{more}_{saturate}", "uneven", (3, 2), (more, saturate)) for more, saturate in TOTALS]
    again = [(f"again_{number}", kinds[number], (2, 3), TOTALS[number]) for number in range(4)]
    return [case(*choice, seed=seed) for seed, choice in enumerate(by_size + by_kind + by_total + again)]


NAMES = [case.name for case in cases()]


@pytest.fixture(scope="module")
def results(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    found = array_regression.run(cases(), tmp_path_factory.mktemp(simulator), simulator)
    return {result.name: result for result in found}


@EACH
@pytest.mark.parametrize("name", NAMES)
def test_every_total_at_its_edge(name: str, results: dict[str, Result]) -> None:
    assert results[name].difference is None and results[name].cycles > 100


@EACH
def test_every_case_has_a_result(results: dict[str, Result]) -> None:
    assert list(results) == NAMES and len(set(NAMES)) == len(NAMES)


def test_a_simulation_is_built_once_and_run_again(tmp_path: Path) -> None:
    installed("icarus")
    one = [case("one", "uneven", (1, 2), (1, 0), seed=1)]
    found = array_regression.run(one, tmp_path, "icarus")
    marks = {mark: mark.stat().st_mtime_ns for mark in tmp_path.glob("*/built")}
    assert len(marks) == 1 and found[0].difference is None
    assert array_regression.run(one, tmp_path, "icarus") == found
    assert {mark: mark.stat().st_mtime_ns for mark in tmp_path.glob("*/built")} == marks
    other = [case("one", "uneven", (1, 2), (2, 0), seed=1)]
    assert array_regression.run(other, tmp_path, "icarus")[0].difference is None
    assert len(list(tmp_path.glob("*/built"))) == 2
