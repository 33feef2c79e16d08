"""Source RTL against mapped netlists: every design of the list, and proof that a difference would be seen."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import rtl
from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design, gather
from lut_gen.errors import CatalogError, ToolError
from sim import process, regression, simulators, verilator, wrapper
from sim.regression import Result, compare
from tests.sim.conftest import installed

LIST = [Path(path) for path in os.environ.get("AGN_HW_DESIGNS", str(rtl.MULTIPLIERS)).split()]
NAMES = [design.name for design in gather(LIST)]

FAULT = ("{A_BITS{b[row]}}", "{A_BITS{b[0]}}")
"""With it the exact array multiplies by b[0] * (2**B_BITS - 1) instead of b."""

PORTS = """module swapped (w, p, x);
  input signed [1:0] w;
  input signed [2:0] x;
  output signed [4:0] p;
  assign #2 p = x * w + x;
endmodule
"""


@pytest.fixture(scope="module")
def results(designs: list[Design], catalog: Catalog) -> dict[str, Result]:
    folder = catalog.path.parent / "regression"
    found = regression.run(designs, catalog, folder, installed(simulators.chosen()))
    return {result.name: result for result in found}


@pytest.mark.slow
def test_every_design_has_a_result(results: dict[str, Result], designs: list[Design]) -> None:
    assert list(results) == NAMES == [design.name for design in designs]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_rtl_equals_netlist(name: str, results: dict[str, Result], catalog: Catalog) -> None:
    assert results[name] == Result(name, catalog[name].lut.size, mismatches=0, first=None)


@dataclass(frozen=True)
class Small:
    """Three designs, a right catalog of all, and a folder where their two simulations are built once."""

    designs: dict[str, Design]
    catalog: Catalog
    folder: Path

    def run(self, *designs: Design, simulator: str = "verilator") -> list[Result]:
        return regression.run(list(designs), self.catalog, self.folder, simulator)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """`right` is an exact array, `faulty` a copy with a fault, `swapped` signed with its own port names."""
    folder = tmp_path_factory.mktemp("small")
    names = ("exact_array_multiplier.v", "carry_save_reducer.v", "full_adder_cell.v")
    right = tuple(rtl.ROOT / "multipliers" / name for name in names)
    (folder / "faulty.v").write_text(_with_fault(right[0]))
    (folder / "swapped.v").write_text(f"{PORTS}// a cell that `right` has as well\n{right[2].read_text()}")
    widths = {"A_BITS": 3, "B_BITS": 2}
    ports = {"activation": "x", "weight": "w", "product": "p"}
    designs = [
        Design("right", "test", right, "exact_array_multiplier", widths),
        Design("faulty", "test", (folder / "faulty.v", *right[1:]), "exact_array_multiplier", widths),
        Design("swapped", "test", (folder / "swapped.v",), "swapped", ports=ports),
    ]
    errors = [outcome.error for outcome in build(designs, folder / "catalog", jobs=1) if outcome.error]
    assert not errors, errors[0]
    by_name = {design.name: design for design in designs}
    return Small(by_name, Catalog.load(folder / "catalog"), folder / "regression")


def _with_fault(source: Path) -> str:
    text = source.read_text()
    assert text.count(FAULT[0]) == 1
    return text.replace(*FAULT)


@pytest.mark.slow
def test_conflicting_modules_ports_and_signs(small: Small) -> None:
    """`right` and `faulty` define one module differently: compiled together, one of them would differ."""
    assert small.catalog["right"].lut[3, 2] == 6 and small.catalog["faulty"].lut[3, 2] == 0
    assert small.catalog["swapped"].signed
    designs = list(small.designs.values())
    found = small.run(*designs)
    assert found == [Result(name, 32, 0, None) for name in ("right", "faulty", "swapped")]
    marks = {mark: mark.stat().st_mtime_ns for mark in small.folder.glob("*/built")}
    assert len(marks) == 2
    assert small.run(*designs) == found
    assert json.loads((small.folder / "simulator.json").read_text()) == {
        "simulator": "verilator",
        "version": verilator.version(),
    }
    assert {mark: mark.stat().st_mtime_ns for mark in small.folder.glob("*/built")} == marks


def test_a_fault_in_the_source_is_found(small: Small, simulator: str) -> None:
    faulty = replace(small.designs["faulty"], name="right")  # the faulty source under the right one's table
    pairs = [(a, b, a * b, a * (b & 1) * 3) for a in range(8) for b in range(4)]
    differing = [pair for pair in pairs if pair[2] != pair[3]]
    assert small.run(faulty, simulator=simulator) == [Result("right", 32, len(differing), differing[0])]


def test_a_wrong_table_is_found(small: Small, simulator: str) -> None:
    """One entry of a signed table off by one: exactly that pair is reported, by its bit patterns."""
    multiplier = small.catalog["swapped"]
    lut = multiplier.lut.copy()
    lut[5, 2] += 1  # x = -3, w = -2
    wrong = replace(multiplier)
    wrong.__dict__["lut"] = lut
    tables = {"right": small.catalog["right"], "swapped": wrong}
    designs = [small.designs[name] for name in tables]
    found = regression.run(designs, cast(Catalog, tables), small.folder, simulator)
    assert found == [Result("right", 32, 0, None), Result("swapped", 32, 1, (5, 2, 4, 3))]


def test_a_source_that_does_not_compile(small: Small, tmp_path: Path) -> None:
    source = tmp_path / "my source.v"
    source.write_text(PORTS.replace("assign", "asign"))
    with pytest.raises(ToolError, match="Verilator's build") as caught:
        small.run(replace(small.designs["swapped"], files=(source,)))
    assert "my source.v:5:" in caught.value.came and "syntax error" in caught.value.came
    log = caught.value.log
    assert log is not None and "%Error" in log.read_text() and not (log.parent / "built").exists()


def test_missing_tools_stop_before_anything_is_built(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="lacks: perl"):
        regression.run([small.designs["right"]], small.catalog, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_folder_with_a_space_is_refused(small: Small, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"'.*/my runs/.*' has a space"):
        regression.run([small.designs["right"]], small.catalog, tmp_path / "my runs")
    assert not (tmp_path / "my runs").exists()


def test_a_bench_that_does_not_run_is_an_error(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """cocotb itself passes when its filter leaves no test."""
    monkeypatch.setenv("COCOTB_TEST_FILTER", "no_such_test")
    monkeypatch.setattr(process, "KEPT", (*process.KEPT, "COCOTB_TEST_FILTER"))
    with pytest.raises(ToolError, match="of 0 tests 0 failed"):
        small.run(small.designs["right"], small.designs["swapped"])


def test_a_design_that_is_not_in_the_catalog(small: Small) -> None:
    with pytest.raises(CatalogError, match="'other'"):
        small.run(replace(small.designs["right"], name="other"))


def test_no_designs_no_results(small: Small) -> None:
    assert small.run() == []


def test_compare_reports_the_first_pair_in_table_order() -> None:
    expected = np.arange(32, dtype=np.int32).reshape(8, 4)
    got = expected.copy()
    got[3, 1], got[2, 3] = -7, 100
    assert compare(expected, got) == (32, 2, (2, 3, 11, 100))
    assert compare(expected, expected) == (32, 0, None)


def test_an_unknown_product_is_a_mismatch_without_a_value() -> None:
    expected = np.zeros((8, 4), np.int32)
    got = expected.astype(np.int64)
    got[7, 3] = wrapper.UNKNOWN
    assert compare(expected, got) == (32, 1, (7, 3, 0, None))
