"""The house's rules that a machine can check: imports run one way, files stay small, no drawer for odds and ends."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "rtl": set(),
    "lut_gen": {"rtl"},
    "sim": {"rtl", "lut_gen"},
    "agn_hw": {"rtl", "lut_gen", "sim"},
}
"""What each of our packages may import of the others."""
LONGEST = 350
SOURCES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
ALL_FILES = SOURCES + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    assert not any(name.startswith(".") for name in names), f"{path} imports by a relative name"
    return {name.split(".")[0] for name in names}


def test_the_packages_are_there():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} >= {"rtl", "lut_gen", "agn_hw"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    forbidden = {*MAY_IMPORT, "tests", "benchmarks"} - MAY_IMPORT[package] - {package}
    found = {
        str(path.relative_to(ROOT)): names
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == package and (names := imported(path) & forbidden)
    }
    assert found == {}


@pytest.mark.parametrize("package", ["rtl", "lut_gen", "sim"])
def test_the_circuit_side_knows_no_torch(package):
    found = [str(path) for path in (ROOT / package).rglob("*.py") if imported(path) & {"torch", "torchvision"}]
    assert found == []


def test_nothing_imports_the_command_line():
    found = []
    for path in SOURCES:
        text = ast.unparse(ast.parse(path.read_text()))
        if path != ROOT / "agn_hw" / "cli.py" and ("agn_hw.cli" in text or "from agn_hw import cli" in text):
            found.append(str(path))
    assert found == []


def test_files_stay_small():
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in ALL_FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_module_for_odds_and_ends():
    names = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [str(path) for path in ALL_FILES if path.name in names] == []
