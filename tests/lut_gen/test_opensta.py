"""OpenSTA: the whole catalog against it, libraries of all styles, and the tool missing, failing or hanging."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lut_gen import opensta, timing
from lut_gen.catalog import Catalog
from lut_gen.errors import ToolError
from lut_gen.library.liberty import Technology
from lut_gen.library.liberty_reader import load
from lut_gen.netlist import Gate, Netlist
from lut_gen.technologies.cut_liberty import PREFIX
from tests.lut_gen.oracles import CELLS
from tests.lut_gen.styles import GATES, STYLES, two_bit_multiplier

AGREEMENT = 1e-5
"""Relative; OpenSTA computes in 32-bit floats. The project asks for 0.02."""


@pytest.fixture
def installed() -> None:
    if opensta.command() is None:
        pytest.skip("OpenSTA (`sta`) is not installed")


def assert_agrees(netlists: dict[str, Netlist], technology: Technology, folder: Path) -> None:
    ours = np.array([timing.delay_ns(netlist, technology) for netlist in netlists.values()])
    theirs = np.array(opensta.delays_ns(list(netlists.values()), technology, folder))
    worst = int(np.argmax(np.abs(ours - theirs) / np.maximum(theirs, 1e-3)))
    assert ours == pytest.approx(theirs, rel=AGREEMENT, abs=1e-8), list(netlists)[worst]


def catalog_netlists(catalog: Catalog) -> dict[str, Netlist]:
    return {multiplier.name: multiplier.netlist for multiplier in catalog if multiplier.netlist_sha256}


def test_the_whole_catalog_agrees(installed, catalog, technology, tmp_path):
    netlists = catalog_netlists(catalog)
    assert len(netlists) >= 100
    assert_agrees(netlists, technology, tmp_path)
    delays = opensta.delays_ns(list(netlists.values()), technology, tmp_path / "again")
    assert [catalog[name].delay_ns for name in netlists] == pytest.approx(delays, rel=0.02)


def test_a_sample_agrees_with_the_original_library(installed, catalog, outside_liberty, tmp_path):
    """It has arcs for conditions and senses, loads for edges and seven points an axis."""
    sample = list(catalog_netlists(catalog).items())[::5]
    netlists = {name: renamed(netlist) for name, netlist in sample}
    assert_agrees(netlists, load(outside_liberty), tmp_path)


def renamed(netlist: Netlist) -> Netlist:
    gates = tuple(dataclasses.replace(gate, cell=PREFIX + gate.cell) for gate in netlist.gates)
    return dataclasses.replace(netlist, gates=gates)


def test_random_netlists_agree(installed, technology, tmp_path):
    """Any cell on any earlier nets, outputs that go nowhere, inputs that share a net; no constants."""
    rng = np.random.default_rng(7)
    assert_agrees({str(i): random_netlist(rng, technology) for i in range(150)}, technology, tmp_path)


def random_netlist(rng: np.random.Generator, technology: Technology) -> Netlist:
    known, gates = 6, []
    for name in rng.choice(CELLS, rng.integers(1, 25)):
        cell = technology.cells[name]
        inputs = {pin: int(rng.integers(2, known)) for pin in cell.inputs}
        gates.append(Gate(cell.name, inputs, {pin: known + i for i, pin in enumerate(sorted(cell.functions))}))
        known += len(cell.functions)
    return Netlist((2, 3), (4, 5), tuple(int(net) for net in rng.integers(2, known, 3)), tuple(gates))


@pytest.mark.parametrize("style", STYLES)
def test_libraries_of_all_styles_agree(installed, style, tmp_path):
    path = tmp_path / "style.lib"
    path.write_text(STYLES[style]())
    netlists = {"multiplier": two_bit_multiplier()}
    for name, (pins, *_) in GATES.items():
        gates = [Gate(name, {pin: 2 + i for i, pin in enumerate(pins.split())}, {"Y": 4})]
        gates += [Gate(name, {pin: 4 - i for i, pin in enumerate(pins.split())}, {"Y": 5})]
        netlists[name] = Netlist((2,), (3,), (5,), tuple(gates))
    assert_agrees(netlists, load(path), tmp_path)


def test_wires_and_constants(installed, technology, tmp_path):
    wires = Netlist((2,), (3,), (2, 3), ())
    constants = Netlist((2,), (3,), (0, 1), ())
    still = Netlist((2,), (3,), (4,), (Gate("inv_1", {"A": 1}, {"Y": 4}),))
    blocked = Netlist((2,), (3,), (4,), (Gate("and2_0", {"A": 2, "B": 0}, {"X": 4}),))
    mux = Gate("mux2_1", {"A0": 2, "A1": 0, "S": 3}, {"X": 4})  # can only fall when S rises
    select = Netlist((2,), (3,), (5,), (mux, Gate("inv_1", {"A": 4}, {"Y": 5})))
    adder = Netlist((2,), (3,), (4, 5), (Gate("fa_1", {"A": 2, "B": 3, "CIN": 0}, {"COUT": 4, "SUM": 5}),))
    held = {"blocked": blocked, "select": select}
    netlists = {"wires": wires, "constants": constants, "still": still, "adder": adder, **held}
    assert_agrees(netlists, technology, tmp_path)
    assert opensta.delays_ns([], technology, tmp_path / "none") == []


def test_wire_loads_of_the_library_are_left_out(installed, technology, tmp_path):
    """With them, fanout would add the capacitance of wires that do not exist."""
    wires = 'wire_load ("long") { capacitance : 9; resistance : 1; slope : 9; fanout_length (1, 90); }'
    path = tmp_path / "wires.lib"
    head, rest = technology.text().decode().split("lu_table_template", 1)
    path.write_text(f'{head} {wires} default_wire_load : "long" ; lu_table_template{rest}')
    netlist = Netlist((2,), (3,), (4,), (Gate("inv_1", {"A": 2}, {"Y": 4}),))
    assert_agrees({"inverter": netlist}, load(path), tmp_path)


def test_version(installed):
    assert opensta.version()[0].isdigit()


def fake(tmp_path, monkeypatch, script: str) -> None:
    program = tmp_path / "fake_sta"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("AGN_HW_OPENSTA", str(program))


NOTHING = Netlist((2,), (3,), (2,), ())


def test_reports_are_told_apart(technology, tmp_path, monkeypatch):
    reports = "netlist 0\n   1.5   data arrival time\n  -1.5   data arrival time\nnetlist 1\nNo paths found."
    fake(tmp_path, monkeypatch, f"printf '%s\\n' '{reports}'")
    assert opensta.delays_ns([NOTHING, NOTHING], technology, tmp_path / "run") == [1.5, 0.0]
    assert (tmp_path / "run" / "script.tcl").exists() and (tmp_path / "run" / "opensta.log").exists()


@pytest.mark.parametrize(
    ("script", "came"),
    [
        ("echo 'Error: script.tcl, 1 it is broken'", "it is broken"),
        ("echo of no avail; exit 3", "status 3:\n    \\| of no avail"),
        ("echo netlist 0; echo something else", "something else"),
        ("true", "no output"),
        ("sleep 60", "more than 1 s"),
    ],
)
def test_a_tool_that_fails(technology, tmp_path, monkeypatch, script, came):
    fake(tmp_path, monkeypatch, script)
    monkeypatch.setattr(opensta, "TIMEOUT_S", 1.0)
    with pytest.raises(ToolError, match=came):
        opensta.delays_ns([NOTHING], technology, tmp_path / "run")


def test_a_missing_tool(technology, tmp_path, monkeypatch):
    monkeypatch.setenv("AGN_HW_OPENSTA", "no_such_program")
    assert opensta.command() is None
    with pytest.raises(ToolError, match="'no_such_program', which is no program"):
        opensta.version()
    monkeypatch.delenv("AGN_HW_OPENSTA")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="apt install opensta"):
        opensta.delays_ns([NOTHING], technology, tmp_path / "run")


def test_a_program_that_is_another(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "echo hello")
    with pytest.raises(ToolError, match=r"OpenSTA's version(.|\n)*hello"):
        opensta.version()
