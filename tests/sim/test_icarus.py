"""Icarus Verilog: finding it, reading its products, and errors that name the design."""

import os
from pathlib import Path

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.design import Design
from lut_gen.errors import ToolError
from sim import icarus, process, regression, wrapper
from tests.sim.conftest import installed, instance


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH: an `iverilog` that says a version, and a `vvp`."""
    _program(tmp_path / "iverilog", "echo 'Icarus Verilog version 12.0 (stable) ()'; echo 'for help' >&2")
    _program(tmp_path / "vvp", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AGN_HW_IVERILOG", raising=False)
    return tmp_path


def _program(path: Path, body: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_path_is_searched(tools: Path) -> None:
    assert (icarus.program(), icarus.version(), icarus.missing()) == (tools / "iverilog", "12.0", {})


def test_a_named_program_goes_first_with_the_runtime_beside_it(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = _program(tools / "own" / "iverilog-13", "echo 'Icarus Verilog version 13.0 (devel) (s20)'")
    monkeypatch.setenv("AGN_HW_IVERILOG", str(named))
    assert (icarus.program(), icarus.version()) == (named, "13.0")
    assert icarus._runtime() == tools / "vvp"
    beside = _program(tools / "own" / "vvp", "exit 0")
    assert icarus._runtime() == beside


def test_what_is_missing_is_named(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tools / "vvp").unlink()
    assert list(icarus.missing()) == ["vvp"]
    monkeypatch.setenv("PATH", "")
    assert list(icarus.missing()) == ["iverilog", "vvp"]
    with pytest.raises(ToolError, match=r"Icarus Verilog \(iverilog and vvp\)") as caught:
        icarus.version()
    assert "not on the PATH" in caught.value.came and "apt-get install iverilog" in caught.value.mend


def test_a_wrong_name_is_not_passed_over(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGN_HW_IVERILOG", str(tools / "nowhere"))
    with pytest.raises(ToolError, match=r"AGN_HW_IVERILOG names '.*nowhere', which is no program"):
        icarus.version()


def test_a_program_that_is_no_icarus(tools: Path) -> None:
    _program(tools / "iverilog", "echo hello")
    with pytest.raises(ToolError, match="said: hello"):
        icarus.version()


def test_cocotb_finds_it_by_its_usual_name(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = icarus.cocotb_tool().environment["PATH"].split(os.pathsep)
    assert path == [str(tools), str(tools), str(tools)]
    named = _program(tools / "own" / "iverilog-13", "echo 'Icarus Verilog version 13.0 (devel) (s20)'")
    monkeypatch.setenv("AGN_HW_IVERILOG", str(named))
    with pytest.raises(ToolError, match="a program called iverilog"):
        icarus.cocotb_tool()


def test_products_come_in_table_order(tmp_path: Path) -> None:
    """The bench drives Gray's order; 3 bits by 2 and a product that differs at each pair show a wrong place."""
    installed("icarus")
    [found] = icarus.products([instance(tmp_path, "  assign y = {a, b};")], tmp_path / "job", process.LIMIT_S)
    assert found.dtype == np.int64 and np.array_equal(found, np.arange(32).reshape(8, 4))


def test_negative_products(tmp_path: Path) -> None:
    installed("icarus")
    plain = instance(tmp_path, "  assign y = {a, b};")
    signed = wrapper.Instance(plain.design, 3, 2, 5, signed=True)
    [found] = icarus.products([signed], tmp_path / "job", process.LIMIT_S)
    assert found.ravel().tolist() == [*range(16), *range(-16, 0)]


def test_the_error_names_design_and_file(tmp_path: Path) -> None:
    installed("icarus")
    with pytest.raises(ToolError, match="Icarus' build of 'mine' to succeed") as caught:
        icarus.products([instance(tmp_path, "  asign y = a;")], tmp_path / "job", process.LIMIT_S)
    assert "my multiplier.v:2: " in caught.value.came and "error" in caught.value.came


def test_a_simulation_that_ends_early_is_an_error(tmp_path: Path) -> None:
    installed("icarus")
    early = instance(tmp_path, "  assign y = a * b;\n  always @(a) if (a == 5) $finish;")
    with pytest.raises(ToolError, match="32 products of 'mine' from Icarus") as caught:
        icarus.products([early], tmp_path / "job", process.LIMIT_S)
    assert "remove $finish" in caught.value.mend


def test_a_small_design_of_each_family_equals_its_table(
    designs: list[Design], catalog: Catalog, tmp_path: Path
) -> None:
    installed("icarus")
    sample = {design.family: design for design in designs if catalog[design.name].lut.size <= 1024}
    instances = [regression.instance(design, catalog) for design in sample.values()]
    for design, found in zip(sample.values(), icarus.products(instances, tmp_path, process.LIMIT_S), strict=True):
        assert np.array_equal(found, catalog[design.name].lut), design.name
