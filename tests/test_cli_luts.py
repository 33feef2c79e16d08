"""`agn-hw luts`, `catalog` and `doctor` as a user meets them: words, exit codes, nothing half-written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from agn_hw import cli
from lut_gen.catalog import COLUMNS, Catalog

ROOT = Path(__file__).resolve().parent.parent
GOOD = "module m (input [1:0] a, input [1:0] b, output [3:0] y);\n  assign y = a * b;\nendmodule\n"
needs_simulators = pytest.mark.skipif(not (ROOT / "sim" / "simulators.py").exists(), reason="no sim.simulators yet")


def agn_hw(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Runs `agn-hw` in a process of its own."""
    command = [sys.executable, "-m", "agn_hw.cli", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a source and its catalog, and the command's result."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "two.v").write_text(GOOD)
    return folder, agn_hw("luts", folder / "two.v", "-o", folder / "c", "--jobs", "1")


@pytest.fixture
def main(capsys, tmp_path, monkeypatch):
    """Runs the command line in this process, in an empty folder; returns (status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return run


@pytest.mark.parametrize("command", [[], ["doctor"], ["luts"], ["catalog"]])
def test_help(main, command):
    status, output, _ = main(*command, "--help")
    assert status == 0 and "usage: agn-hw" in output


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["luts", "x.v", "--jobs", "0"], ["luts", "x.v", "--jobs", "two"]]
)
def test_wrong_use(main, arguments):
    status, _, errors = main(*arguments)
    assert status == 2 and "usage: agn-hw" in errors


def test_luts_takes_the_built_in_list_by_default(main, monkeypatch):
    taken = []
    monkeypatch.setattr("agn_hw.catalog_view.build_with_progress", lambda designs, *_: taken.extend(designs) or 0)
    assert main("luts")[0] == 0
    assert len(taken) >= 60 and {"exact_8x8", "drum_8_k4"} <= {design.name for design in taken}


def test_luts_builds_a_catalog(built):
    folder, result = built
    assert result.returncode == 0, result.stderr
    assert f"{folder / 'c'}: 1 built, 0 unchanged, 0 failed" in result.stdout
    assert "Traceback" not in result.stderr
    assert Catalog.load(folder / "c")["two"].lut[3, 3] == 9


def test_luts_a_second_time_has_nothing_to_do(built, main):
    folder, _ = built
    status, output, _ = main("luts", folder / "two.v", "-o", folder / "c")
    assert status == 0 and "0 built, 1 unchanged, 0 failed" in output


def test_one_failed_design_gives_status_1_and_its_message(built, main, tmp_path):
    folder, _ = built
    catalog = shutil.copytree(folder / "c", tmp_path / "c")
    bad = tmp_path / "bad.v"
    bad.write_text(GOOD.replace("a * b", "a * x"))
    status, output, errors = main("luts", folder / "two.v", bad, "-o", catalog)
    assert status == 1 and "0 built, 1 unchanged, 1 failed" in output
    assert "bad: wanted" in errors and "log: " in errors and "Traceback" not in errors
    assert "two" in Catalog.load(catalog) and "bad" not in Catalog.load(catalog)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.v"], "missing.v"),
        (["missing.toml"], "missing.toml"),
        (["empty"], "no .toml list and no .v file"),
        (["bad.toml"], "bad.toml"),
        (["bad_name.toml"], "'../x' came"),
        (["bad.vhd"], "is VHDL"),
        (["good.v", "good.v"], "'good' stands twice"),
        (["good.v", "--liberty", "missing.lib"], "missing.lib"),
        (["good.v", "--liberty", "good.v"], "a Liberty library in good.v"),
        (["good.v", "-o", "good.v/c"], "good.v"),
    ],
)
def test_bad_input_gives_status_2_and_writes_nothing(main, tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "good.v").write_text(GOOD)
    (tmp_path / "bad.vhd").write_text("entity e is end;")
    (tmp_path / "bad.toml").write_text("[[design]]\nname = 3\n")
    (tmp_path / "bad_name.toml").write_text('[[design]]\nname = "../x"\nfiles = ["good.v"]\ntop = "m"\n')
    before = sorted(tmp_path.rglob("*"))
    status, output, errors = main("luts", *arguments)
    assert (status, output) == (2, "")
    assert "agn-hw: wanted" in errors and words in errors and "to mend: " in errors
    assert "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_no_traceback_from_the_real_process(tmp_path):
    result = agn_hw("luts", tmp_path / "missing.v", "-o", tmp_path / "c")
    assert result.returncode == 2 and "Traceback" not in result.stderr and not (tmp_path / "c").exists()
    result = agn_hw("luts", built_source(tmp_path), "-o", tmp_path / "c", AGN_HW_YOSYS="/nonexistent")
    assert result.returncode == 2 and "'/nonexistent', which is no program" in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "c").exists()


def built_source(folder: Path) -> Path:
    (folder / "two.v").write_text(GOOD)
    return folder / "two.v"


def test_catalog_prints_the_table(built, main):
    folder, _ = built
    status, output, _ = main("catalog", folder / "c")
    assert status == 0 and "unsigned 2x2 multipliers of" in output and "two" in output and "fJ" in output


def test_catalog_as_csv(built, main, tmp_path):
    folder, _ = built
    status, output, _ = main("catalog", folder / "c", "--csv", "--family", "user")
    (tmp_path / "out.csv").write_text(output)
    assert status == 0 and tuple(pd.read_csv(tmp_path / "out.csv").columns) == (*COLUMNS, "variance", "front")


def test_catalog_of_an_unknown_family_or_of_nothing(built, main, tmp_path):
    folder, _ = built
    status, output, errors = main("catalog", folder / "c", "--family", "nope")
    assert (status, output) == (2, "") and "'nope' came; it has user" in errors
    status, output, errors = main("catalog", tmp_path)
    assert (status, output) == (2, "") and "there is no catalog.json" in errors


def test_all_designs_failed_gives_status_2(main, tmp_path):
    (tmp_path / "bad.v").write_text(GOOD.replace("a * b", "a * x"))
    status, output, errors = main("luts", "bad.v", "-o", "c")
    assert status == 2 and "0 built, 0 unchanged, 1 failed" in output and "x in m has none" in errors


@needs_simulators
def test_doctor_here():
    result = agn_hw("doctor")
    assert result.returncode == 0, result.stdout
    assert "everything is there" in result.stdout and "yosys" in result.stdout and "Traceback" not in result.stderr


@needs_simulators
def test_doctor_on_an_empty_path_says_how_to_get_each(tmp_path):
    result = agn_hw("doctor", PATH="", AGN_HW_YOSYS=str(tmp_path / "yosys"))
    assert result.returncode == 1 and "Traceback" not in result.stderr
    missing = [line for line in result.stdout.splitlines() if line.startswith("MISSING")]
    for tool in ("yosys", "C++", "make", "perl"):
        assert any(tool in line for line in missing), tool
    assert all("install" in line for line in missing)
    assert f"{len(missing)} missing" in result.stdout


@pytest.mark.parametrize("command", ["luts", "catalog", "doctor"])
def test_no_torch_is_loaded(built, command):
    if command == "doctor" and not (ROOT / "sim" / "simulators.py").exists():
        pytest.skip("no sim.simulators yet")
    folder, _ = built
    catalog = str(folder / "c")
    arguments = {"luts": [str(folder / "two.v"), "-o", catalog], "catalog": [catalog], "doctor": []}[command]
    code = f"import sys; from agn_hw import cli; cli.main({[command, *arguments]!r}); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert result.stdout.splitlines()[-1] == "False", result.stderr
