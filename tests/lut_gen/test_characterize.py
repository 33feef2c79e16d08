"""Building a catalog: what is reused, what is rebuilt, what a failure costs. (Kills: test_interruption.py.)"""

import shutil
import sys
from pathlib import Path

import pytest

import rtl
from lut_gen import yosys
from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design
from lut_gen.errors import CatalogError, DesignError, LibertyError, ToolError
from lut_gen.library import liberty

MODULE = "module m (input [{a}:0] a, input [{b}:0] b, output [{y}:0] y);\n  assign y = a * b;\nendmodule\n"


def write_design(folder: Path, name: str, a: int, b: int) -> Design:
    """A behavioural multiplier in a file of its own."""
    source = folder / f"{name}.v"
    source.write_text(MODULE.format(a=a - 1, b=b - 1, y=a + b - 1))
    return Design(name, "test", (source,), "m")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Content of every file (None for a folder) by path, hidden ones included."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file: what is written again, even with the same bytes, differs."""
    stats = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def outcomes(designs, catalog, **kwargs):
    """Name -> 'built', 'reused' or the error."""
    kwargs = {"jobs": 1, **kwargs}
    return {
        outcome.design.name: outcome.error or ("reused" if outcome.reused else "built")
        for outcome in build(designs, catalog, **kwargs)
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Three sources and the catalog made of them."""
    folder = tmp_path_factory.mktemp("finished")
    designs = [write_design(folder, name, a, b) for name, a, b in (("p", 2, 2), ("q", 3, 2), ("r", 3, 3))]
    assert outcomes(designs, folder / "c") == {"p": "built", "q": "built", "r": "built"}
    return folder


@pytest.fixture
def place(finished, tmp_path):
    """A copy of sources and catalog: designs, catalog."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    designs = [Design(name, "test", (tmp_path / f"{name}.v",), "m") for name in "pqr"]
    return designs, tmp_path / "c"


@pytest.fixture
def no_yosys(tmp_path, monkeypatch):
    """A Yosys of the right version that fails, and tells that it ran."""
    ran = tmp_path / "yosys_ran"
    program = tmp_path / "no-yosys"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -V ] && echo 'Yosys {yosys.version()}' && exit\ntouch '{ran}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("AGN_HW_YOSYS", str(program))
    return ran


def test_only_whole_files_lie_in_a_finished_catalog(finished):
    names = {f"luts/{name}.npz" for name in "pqr"} | {f"netlists/{name}.json" for name in "pqr"}
    assert set(tree(finished / "c")) == names | {"catalog.json", "index.csv", "luts", "netlists"}
    assert [multiplier.name for multiplier in Catalog.load(finished / "c")] == ["p", "q", "r"]


def test_a_second_run_does_nothing(place, no_yosys):
    designs, catalog = place
    before = identities(catalog)
    assert outcomes(designs, catalog) == {"p": "reused", "q": "reused", "r": "reused"}
    assert identities(catalog) == before and not no_yosys.exists()


def test_a_moved_catalog_and_moved_sources_are_still_good(place, no_yosys, tmp_path):
    designs, catalog = place
    catalog.rename(tmp_path / "moved")
    (tmp_path / "sources").mkdir()
    for name in "pqr":
        (tmp_path / f"{name}.v").rename(tmp_path / "sources" / f"{name}.v")
    moved = [Design(design.name, "test", (tmp_path / "sources" / f"{design.name}.v",), "m") for design in designs]
    assert set(outcomes(moved, tmp_path / "moved").values()) == {"reused"}


def test_a_changed_source_and_a_damaged_table_are_done_again_and_nothing_else(place):
    designs, catalog = place
    before, contents = identities(catalog), tree(catalog)
    (catalog / "luts" / "p.npz").write_bytes(b"damaged")
    designs[1].files[0].write_text(designs[1].files[0].read_text().replace("a * b", "a & b"))
    assert outcomes(designs, catalog) == {"r": "reused", "p": "built", "q": "built"}
    after = identities(catalog)
    untouched = {name for name in before if before[name] == after[name]}
    assert untouched == {"catalog.json", "luts/r.npz", "netlists/r.json"}
    assert tree(catalog)["luts/p.npz"] == contents["luts/p.npz"]
    assert Catalog.load(catalog)["q"].lut[3, 2] == 2 and Catalog.load(catalog)["r"].lut[3, 2] == 6
    assert [multiplier.name for multiplier in Catalog.load(catalog)] == ["p", "q", "r"]


def test_missing_files_rows_and_foreign_files(place):
    designs, catalog = place
    contents = tree(catalog)
    (catalog / "luts" / "q.npz").unlink()
    (catalog / "netlists" / "stray.json").write_text("{}")
    (catalog / "luts" / ".p.npz.77.tmp").write_bytes(b"half")
    (catalog / ".index.csv.77.tmp").write_bytes(b"half")
    (catalog / ".work" / "77" / "q").mkdir(parents=True)
    index = (catalog / "index.csv").read_text().splitlines(keepends=True)
    (catalog / "index.csv").write_text("".join(index[:-1]))
    assert outcomes(designs, catalog) == {"p": "reused", "q": "built", "r": "built"}
    assert tree(catalog) == contents


@pytest.mark.parametrize("text", ["", "\0", "name\np\n", "no,columns\n1,2\n"])
def test_a_damaged_index_is_no_index(place, text, no_yosys):
    designs, catalog = place
    (catalog / "index.csv").write_text(text)
    results = outcomes(designs, catalog)
    assert all(isinstance(error, ToolError) for error in results.values()) and no_yosys.exists()


def test_a_failing_design_stops_no_other_and_leaves_its_log(place):
    designs, catalog = place
    text = designs[1].files[0].read_text()
    designs[1].files[0].write_text("module m (input a;\nendmodule\n")
    missing = Design("s", "test", (catalog / "none.v",), "m")
    new = write_design(catalog.parent, "t", 2, 3)
    result = outcomes([*designs, missing, new], catalog)
    assert (result["p"], result["r"], result["t"]) == ("reused", "reused", "built")
    assert isinstance(result["q"], DesignError) and "q.v:1: ERROR" in str(result["q"])
    assert result["q"].log == catalog / "failed" / "q" / "yosys.log" and result["q"].log.is_file()
    assert {"script.ys", "source_0.v", "cells.lib"} <= {path.name for path in result["q"].log.parent.iterdir()}
    assert isinstance(result["s"], DesignError) and "none.v" in str(result["s"])
    assert [multiplier.name for multiplier in Catalog.load(catalog)] == ["p", "r", "t"]  # q's old figures are gone
    assert not (catalog / "luts" / "q.npz").exists() and not (catalog / ".work").exists()
    designs[1].files[0].write_text(text)
    assert outcomes(designs, catalog) == {"p": "reused", "q": "built", "r": "reused"}
    assert [multiplier.name for multiplier in Catalog.load(catalog)] == ["p", "q", "r", "t"]
    assert not (catalog / "failed").exists()


@pytest.fixture
def murderous_yosys(tmp_path, monkeypatch):
    """Works, but for designs whose source says so it kills the worker that started it."""
    program = tmp_path / "murderous-yosys"
    code = "from pyosys import libyosys as ys; ys.run_pass('script script.ys', ys.Design())"
    program.write_text(f"""#!/bin/sh
[ "$1" = -V ] && echo 'Yosys {yosys.version()}' && exit
grep -q kill_the_worker source_0.v && kill -9 $PPID && exit 1
exec '{sys.executable}' -c "{code}"
""")
    program.chmod(0o755)
    monkeypatch.setenv("AGN_HW_YOSYS", str(program))


def test_a_worker_that_dies_costs_its_design_only(finished, tmp_path, murderous_yosys):
    designs = []
    for name, deadly in (("p", False), ("k", True), ("q", False), ("l", True)):
        designs.append(write_design(tmp_path, name, 3 if name == "q" else 2, 2))
        if deadly:
            source = designs[-1].files[0]
            source.write_text(source.read_text().replace("endmodule", "wire kill_the_worker;\nendmodule"))
    result = outcomes(designs, tmp_path / "new")
    assert (result["p"], result["q"]) == ("built", "built")
    for name in "kl":
        assert isinstance(result[name], ToolError) and "worker process ended" in str(result[name])
        assert (tmp_path / "new" / "failed" / name / "script.ys").is_file()
    assert not (tmp_path / "new" / ".work").exists()
    for name in "pq":
        assert tree(tmp_path / "new")[f"luts/{name}.npz"] == tree(finished / "c")[f"luts/{name}.npz"]


def test_designs_of_another_list_stay(place, tmp_path):
    _, catalog = place
    new = write_design(tmp_path, "a", 2, 2)
    assert outcomes([new], catalog) == {"a": "built"}
    assert [multiplier.name for multiplier in Catalog.load(catalog)] == ["a", "p", "q", "r"]
    assert Catalog.load(catalog)["r"].lut[7, 7] == 49


def test_another_technology_does_not_mix(place, tmp_path):
    designs, catalog = place
    before = identities(catalog)
    other = tmp_path / "other.lib"
    other.write_bytes(liberty.BUILT_IN.read_bytes() + b"/* another */\n")
    with pytest.raises(CatalogError, match=r"(?s)technology other.lib.*built with sky130hd_tt.lib"):
        outcomes(designs, catalog, library=other)
    assert identities(catalog) == before


@pytest.mark.parametrize("text", ["", "library (l) { nom_voltage : 1; cell (c) { area : 1; } }"])
def test_an_unusable_library_writes_nothing(tmp_path, text):
    library = tmp_path / "bad.lib"
    library.write_text(text)
    with pytest.raises(LibertyError):
        outcomes([write_design(tmp_path, "p", 2, 2)], tmp_path / "new", library=library)
    assert not (tmp_path / "new").exists()


def test_no_yosys_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("AGN_HW_YOSYS", "/nonexistent")
    with pytest.raises(ToolError):
        outcomes([write_design(tmp_path, "p", 2, 2)], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "luts").mkdir()
    (tmp_path / "luts" / "my_own.txt").write_text("precious")
    with pytest.raises(CatalogError, match="it holds luts"):
        outcomes([write_design(tmp_path, "p", 2, 2)], tmp_path)
    assert (tmp_path / "luts" / "my_own.txt").read_text() == "precious" and not (tmp_path / "index.csv").exists()


@pytest.mark.parametrize("below", ["", "c"])
def test_a_file_where_the_folder_should_be(tmp_path, below):
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(CatalogError, match=r"a folder at|a catalog|sound catalog\.json"):
        outcomes([write_design(tmp_path, "p", 2, 2)], path / below if below else path)
    assert path.read_text() == "precious"


@pytest.mark.slow
def test_the_same_bytes_with_any_number_of_workers(tmp_path):
    names = ("exact_array_multiplier", "carry_save_reducer", "full_adder_cell")
    sources = tuple(rtl.ROOT / "multipliers" / f"{name}.v" for name in names)
    sizes = [{"A_BITS": bits, "B_BITS": 2} for bits in (4, 2, 5, 3)]
    designs = [Design(f"e{size['A_BITS']}", "exact", sources, names[0], size) for size in sizes]
    for jobs in (1, 3):
        assert set(outcomes(designs, tmp_path / str(jobs), jobs=jobs).values()) == {"built"}
    assert tree(tmp_path / "1") == tree(tmp_path / "3")
    half = tmp_path / "half"
    outcomes(designs[2:], half)
    outcomes(designs, half, jobs=2)
    assert tree(half) == tree(tmp_path / "1")


def test_a_folder_with_an_index_of_something_else_is_left_alone(tmp_path):
    folder = tmp_path / "d"
    (folder / "failed").mkdir(parents=True)
    (folder / "index.csv").write_text("precious\n")
    (folder / "failed" / "thesis.tex").write_text("more precious\n")
    with pytest.raises(CatalogError, match="but no catalog"):
        outcomes([write_design(tmp_path, "p", 2, 2)], folder)
    assert (folder / "index.csv").read_text() == "precious\n" and (folder / "failed" / "thesis.tex").exists()


def test_a_path_that_a_tools_script_would_misread_is_refused(tmp_path):
    with pytest.raises(CatalogError, match="without quotes"):
        outcomes([write_design(tmp_path, "p", 2, 2)], tmp_path / "quo'te")
    assert not (tmp_path / "quo'te").exists()
