"""The processing element's Verilog against a model, in every mode and with several multipliers and widths."""

from pathlib import Path

import pytest

from lut_gen.errors import AgnError, ToolError
from sim import array_cases, array_regression, process
from sim.array_cases import UNSIGNED, Case
from sim.array_regression import Result
from sim.array_sources import SIGN_MAGNITUDE, SIGNED
from tests.sim import products
from tests.sim.conftest import installed

EACH = pytest.mark.parametrize(
    "simulator", [pytest.param("verilator", marks=pytest.mark.slow), "icarus"], indirect=True
)
PRODUCTS = {
    "exact": (products.exact(4, 4), UNSIGNED),
    "exact_8x8": (products.exact(8, 8), SIGN_MAGNITUDE),
    "exact_1x1": (products.exact(1, 1), SIGN_MAGNITUDE),
    "exact_5x3": (products.exact(5, 3), SIGN_MAGNITUDE),
    "exact_signed": (products.exact_signed(3, 5), SIGNED),
    "uneven": (products.uneven(), SIGN_MAGNITUDE),
    "uneven_unsigned": (products.uneven(), UNSIGNED),
    "uneven_signed": (products.uneven_signed(), SIGNED),
    "lower_or": (products.published("loa_4x4_l4"), SIGN_MAGNITUDE),
    "lower_or_8x4": (products.published("loa_8x4_l6", swapped=True), SIGN_MAGNITUDE),
    "corrected": (products.published("truncated_4x4_d3_constant"), SIGN_MAGNITUDE),
    "drum": (products.published("drum_8_k4_signed"), SIGNED),
}
"""Multipliers by the names of their cases, and MODE."""
MORE_BITS = (3, 0, -1)
"""Width of the sums less that of the product: they wrap all the same."""


def cases() -> list[Case]:
    return [
        Case(f"{name}_{product.bits + more}", "pe", product, {"MODE": mode, "SUM_BITS": product.bits + more}, seed=seed)
        for seed, (name, (product, mode)) in enumerate(PRODUCTS.items())
        for more in MORE_BITS
        if product.bits + more >= 2
    ]


NAMES = [case.name for case in cases()]


@pytest.fixture(scope="module")
def results(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    found = array_regression.run(cases(), tmp_path_factory.mktemp(simulator), simulator)
    return {result.name: result for result in found}


@EACH
@pytest.mark.parametrize("name", NAMES)
def test_every_output_after_every_edge(name: str, results: dict[str, Result]) -> None:
    assert results[name].difference is None and results[name].cycles > 600


@EACH
def test_every_case_has_a_result(results: dict[str, Result]) -> None:
    assert list(results) == NAMES and len(set(NAMES)) == len(NAMES) >= 30


def test_a_bench_that_does_not_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cocotb itself passes when its filter leaves no test."""
    installed("icarus")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "no_such_test")
    monkeypatch.setattr(process, "KEPT", (*process.KEPT, "COCOTB_TEST_FILTER"))
    case = Case("one", "pe", products.exact(2, 2), {"MODE": UNSIGNED, "SUM_BITS": 6})
    with pytest.raises(ToolError, match="of 0 tests 0 failed"):
        array_regression.run([case], tmp_path, "icarus")


def test_verilog_that_does_not_compile(tmp_path: Path) -> None:
    installed("icarus")
    broken = array_cases.of_expression("x ** ", products.exact(2, 2).table, 4)
    case = Case("broken", "pe", broken, {"MODE": UNSIGNED, "SUM_BITS": 6})
    with pytest.raises(ToolError, match="Icarus Verilog's build to succeed") as caught:
        array_regression.run([case], tmp_path, "icarus")
    assert "case_0.v" in caught.value.came


def test_a_simulation_has_cases_and_not_too_many(tmp_path: Path) -> None:
    case = Case("one", "pe", products.exact(2, 2), {"MODE": UNSIGNED, "SUM_BITS": 6})
    for number in (0, array_cases.MOST_CASES + 1):
        with pytest.raises(AgnError, match=f"1 to {array_cases.MOST_CASES} cases"):
            array_cases.sources([case] * number)


def test_a_case_that_the_bench_left_out_is_an_error(tmp_path: Path) -> None:
    case = Case("left out", "pe", products.exact(2, 2), {"MODE": UNSIGNED, "SUM_BITS": 6})
    with pytest.raises(ToolError, match="the bench to run the case 'left out'"):
        array_regression._result(case, tmp_path / "result_0.json")
