"""`agn-hw catalog`, `export`, `import` and `merge` as a user meets them."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agn_hw import cli
from lut_gen.catalog import COLUMNS, Catalog
from lut_gen.metrics import exact_table
from tests.lut_gen.tables_on_disk import catalog_of, entry

ROOT = Path(__file__).resolve().parent.parent
EXACT = exact_table(4, 4, False)


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


@pytest.fixture
def folder(tmp_path):
    """c: exact and cut 4x4 multipliers of 100, 60 and 61 fJ, an exact 2x2 of 20 fJ, and a signed one of 90 fJ."""
    entries = [
        entry("exact_4x4", EXACT, 100.0, family="exact"),
        entry("cut", EXACT & ~3, 60.0, family="cuts"),
        entry("bad", EXACT & ~7, 61.0, family="cuts"),
        entry("exact_2x2", exact_table(2, 2, False), 20.0, family="exact"),
        entry("bad_2x2", exact_table(2, 2, False) & ~1, 10.0),
        entry("signed_4x4", exact_table(4, 4, True), 90.0, signed=True, family="s"),
    ]
    catalog_of(tmp_path / "c", *entries)
    return tmp_path / "c"


def names(output):
    """Names in the first column of the printed tables."""
    return [line.split("│")[1].strip() for line in output.splitlines() if line.startswith("│")]


def test_the_front_is_shown_first(main, folder):
    status, output, _ = main("catalog", folder)
    assert status == 0 and names(output) == ["exact_2x2 *", "cut", "exact_4x4", "signed_4x4"]
    assert "unsigned 4x4 multipliers of" in output and "signed 4x4 multipliers of" in output and "--all" in output
    line = next(line for line in output.splitlines() if "exact_2x2" in line)
    error = (exact_table(2, 2, False)[np.ix_(np.arange(16) >> 2, np.arange(16) >> 2)] << 4) - EXACT
    assert f"{error.var():.3g}" in line and f"{100 * np.abs(error).mean() / 256:.3f}" in line


def test_all_rows_and_families(main, folder):
    status, output, _ = main("catalog", folder, "--all")
    assert status == 0 and "6 multipliers of" in output
    assert names(output) == ["bad_2x2", "exact_2x2", "cut", "bad", "signed_4x4", "exact_4x4"]
    assert names(main("catalog", folder, "--family", "cuts")[1]) == ["cut"]
    assert names(main("catalog", folder, "--family", "cuts", "--all")[1]) == ["cut", "bad"]
    status, output, errors = main("catalog", folder, "--family", "none")
    assert (status, output) == (2, "") and "'none' came; it has cuts, exact, s, test" in errors


def test_csv_holds_all(main, folder):
    status, output, _ = main("catalog", folder, "--csv")
    table = pd.read_csv(io.StringIO(output))
    assert status == 0 and tuple(table.columns) == (*COLUMNS, "variance", "front") and len(table) == 6
    cut = table.set_index("name").loc["cut"]
    assert cut.variance == pytest.approx(((EXACT & ~3) - EXACT).var())


@pytest.mark.parametrize(("options", "file"), [([], "p.png"), (["--signed"], "p.svg"), ([], "new/P.SVG")])
def test_plot(main, folder, tmp_path, options, file):
    status, output, _ = main("catalog", folder, "--plot", file, *options)
    assert (status, output) == (0, f"written to {file}\n")
    assert (tmp_path / file).read_bytes()[:4] in (b"\x89PNG", b"<?xm")


@pytest.mark.parametrize(
    ("file", "options", "words"),
    [
        ("p.pdf", [], ".png or .svg"),
        ("p", [], ".png or .svg"),
        ("folder.png", [], "to write folder.png"),
        ("file/p.png", [], "to write file/p.png"),
        ("p.png", ["--signed"], "no signed ones"),
    ],
)
def test_plot_that_cannot_be(main, tmp_path, file, options, words):
    catalog_of(tmp_path / "c", entry("exact", EXACT))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    status, output, errors = main("catalog", "c", "--plot", file, *options)
    assert (status, output) == (2, "") and words in errors and "to mend: " in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_export_import_and_back(main, folder, tmp_path):
    status, output, _ = main("export", "cut", "exact_2x2", "--catalog", folder, "--format", "csv", "h", "-o", "out")
    assert (status, output) == (0, "4 files written to out, [activation][weight]\n")
    assert sorted(p.name for p in Path("out").iterdir()) == ["cut.csv", "cut.h", "exact_2x2.csv", "exact_2x2.h"]
    with open("f.csv", "w", newline="") as sink:
        csv.writer(sink).writerows([("name", "energy_fj", "sign_energy_fj"), ("cut", 12, 3)])
    arguments = ["out/cut.csv", "out/exact_2x2.h", "--figures", "f.csv", "--technology", "ours", "-o", "back"]
    status, output, _ = main("import", *arguments)
    assert status == 0 and output.startswith("back: 2 tables (0 signed), without netlists\n1 have no energy")
    back = Catalog.load("back")
    assert np.array_equal(back["cut"].lut, EXACT & ~3) and back["cut"].sign_magnitude_energy_fj == 15
    status, output, _ = main("catalog", "back", "--all")
    assert status == 0 and names(output) == ["cut", "exact_2x2"] and "?" in output
    assert main("import", *arguments)[0] == 2  # the folder is there


def test_an_imported_catalog_without_figures_is_shown(main, folder):
    main("export", "--catalog", folder, "--format", "csv", "-o", "out")
    assert len(list(Path("out").iterdir())) == 6
    assert main("import", *Path("out").iterdir(), "-o", "back")[0] == 0
    status, output, _ = main("catalog", "back")
    assert status == 0 and "energies are not known" in output
    status, output, errors = main("catalog", "back", "--plot", "p.png")
    assert (status, output) == (2, "") and "no unsigned ones of known energy" in errors


def test_export_of_what_is_not_there(main, folder):
    status, output, errors = main("export", "nope", "--catalog", folder, "-o", "out")
    assert (status, output) == (2, "") and "no 'nope'" in errors and not Path("out").exists()
    assert main("export", "cut", "--catalog", folder)[0] == 2  # no folder given


def test_merge(main, folder, tmp_path):
    catalog_of(tmp_path / "d", entry("new", EXACT))
    status, output, _ = main("merge", "c", "d", "-o", "both")
    assert (status, output) == (0, "both: 7 multipliers\n") and len(Catalog.load("both")) == 7
    status, output, errors = main("merge", "c", "d", "-o", "both")
    assert (status, output) == (2, "") and "an empty or a new folder" in errors


@pytest.mark.parametrize("command", ["catalog", "export", "import", "merge"])
def test_help(main, command):
    status, output, _ = main(command, "--help")
    assert status == 0 and f"usage: agn-hw {command}" in output


def test_no_torch_is_loaded(folder, tmp_path):
    code = """
import sys
from agn_hw import cli
for arguments in (["catalog", "c"], ["catalog", "c", "--plot", "p.png"], ["export", "--catalog", "c", "-o", "o"],
                  ["import", "o/cut.npy", "-o", "i"], ["merge", "c", "-o", "m"]):
    assert cli.main(arguments) == 0, arguments
print({"torch", "pyosys", "pyverilog", "cocotb"} & set(sys.modules))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=120
    )
    assert result.stdout.splitlines()[-1:] == ["set()"], result.stdout + result.stderr
