"""What holds for every simulator: products, unknown bits, and RTL that never settles or never ends."""

from pathlib import Path

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.design import Design
from lut_gen.errors import ToolError
from sim import process, regression, simulators, verilator, wrapper
from tests.sim.conftest import installed, instance

OSCILLATES = "  wire t = ~(t & (a == 5));\n  assign y = a * b ^ t;"
NEVER_ENDS = """  reg [4:0] sum;
  integer i;
  always @* begin
    sum = 0;
    for (i = 0; i < 8; i = i + (a != 3)) sum = sum + b;
  end
  assign y = sum;"""
UNKNOWN_AND_SLOW = """  wire [4:0] t;
  assign #700 t = a * b;
  assign #300 y[4:1] = a == 3 ? 4'bx : t[4:1];
  assign y[0] = b == 3 ? 1'bz : t[0];"""

EACH = pytest.mark.parametrize(
    "simulator", [pytest.param("verilator", marks=pytest.mark.slow), "icarus"], indirect=True
)


def test_the_first_simulator_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGN_HW_SIM", raising=False)
    assert simulators.chosen() == "verilator"
    monkeypatch.setenv("AGN_HW_SIM", "")  # as an empty SIM= of make leaves it
    assert simulators.chosen() == "verilator"
    monkeypatch.setenv("AGN_HW_SIM", "icarus")
    assert simulators.chosen() == "icarus"


def test_another_name_is_refused() -> None:
    with pytest.raises(ToolError, match="a simulator out of verilator, icarus") as caught:
        simulators.get("questa")
    assert "'questa' came" in caught.value.came


@EACH
def test_unknown_bits_and_delays(simulator: str, tmp_path: Path) -> None:
    """Verilator reads x and z as 0, as the netlist does; Icarus tells of them. Both wait for the gates."""
    slow = instance(tmp_path, UNKNOWN_AND_SLOW)
    [found] = simulators.get(simulator).products([slow], tmp_path / "job", process.LIMIT_S)
    expected = np.outer(range(8), range(4))
    if simulator == "verilator":
        expected[:, 3] &= ~1
        expected[3] &= 1
    else:
        expected[3], expected[:, 3] = wrapper.UNKNOWN, wrapper.UNKNOWN
    assert np.array_equal(found, expected)


@EACH
def test_rtl_that_oscillates(simulator: str, tmp_path: Path) -> None:
    """Verilator gives up by itself and names the loop; Icarus runs on at one instant until its time is over."""
    limit_s = process.LIMIT_S if simulator == "verilator" else 3.0
    with pytest.raises(ToolError) as caught:
        simulators.get(simulator).products([instance(tmp_path, OSCILLATES)], tmp_path / "job", limit_s)
    error = caught.value
    assert error.log is not None and error.log.exists() and "loop" in error.mend
    if simulator == "verilator":
        assert error.wanted == "products that settle" and "did not converge" in error.came
        assert "my multiplier.v:2:" in error.came and "Circular" in error.came
    else:
        assert error.wanted == "Icarus' simulation of 'mine' to finish" and "more than 3 s" in error.came


@EACH
def test_rtl_that_never_ends(simulator: str, tmp_path: Path) -> None:
    endless = instance(tmp_path, NEVER_ENDS)
    if simulator == "verilator":  # the limit is for the simulation; a build takes longer
        verilator._build([endless], tmp_path / "job", process.LIMIT_S)
    with pytest.raises(ToolError, match=r"simulation.* to finish") as caught:
        simulators.get(simulator).products([endless], tmp_path / "job", 3.0)
    assert "more than 3 s" in caught.value.came and "endless loop" in caught.value.mend
    assert caught.value.log is not None and caught.value.log.name == "run.log"


@pytest.mark.slow
def test_all_simulators_agree_on_a_small_design_of_each_family(
    designs: list[Design], catalog: Catalog, tmp_path: Path
) -> None:
    sample = {design.family: design for design in designs if catalog[design.name].lut.size <= 4096}
    instances = [regression.instance(design, catalog) for design in sample.values()]
    found = {
        name: simulators.get(installed(name)).products(instances, tmp_path / name, process.LIMIT_S)
        for name in simulators.SIMULATORS
    }
    for i, design in enumerate(sample.values()):
        for name, products in found.items():
            assert np.array_equal(products[i], catalog[design.name].lut), f"{design.name} in {name}"
