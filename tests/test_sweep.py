"""Sweeps: what is written when, what is not done again, what a failure costs; one real sweep over two seeds."""

import csv
import json
import multiprocessing
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agn_hw import sweep_jobs
from agn_hw.cli import main
from agn_hw.search.comparison import Row
from agn_hw.settings import Settings
from agn_hw.sweep import SweepError, read_rows, sweep
from agn_hw.sweep_jobs import Answer, Asked
from lut_gen import workers
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError, CatalogError
from lut_gen.library import liberty
from tests.lut_gen.test_cluster import machines  # noqa: F401
from tests.small_catalog import FEW, build_few

ROW = Row("kl", None, 1.0, False, 0.123456789, 0.98, 0.5, 0.1, 0.9, True, 3, 2.5, 4.5)
ASKED = Asked(("kl",), (1.0,))
REAL = ("--seeds", "0", "1", "--strategies", "uniform", "kl", "--types", "1", "--no-retrain")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with a small catalog, where caches grow."""
    folder = tmp_path_factory.mktemp("workplace")
    build_few(folder / "catalog")
    return folder


@pytest.fixture
def cases(workplace, tmp_path) -> list[Settings]:
    settings = Settings("resnet8", "digits", workplace / "catalog", tmp_path / "out", retrain=False)
    return [replace(settings, seed=seed) for seed in range(3)]


@pytest.fixture
def done(monkeypatch) -> list[int]:
    """Seeds in the order in which they are worked on; done at once, in this process. Seed 1 fails while it is listed
    in `done.failing`."""

    class Done(list):
        failing: tuple[int, ...] = ()

    seeds = Done()

    def run(work, jobs, processes, wanted):
        for case, (settings, asked, catalog, _) in jobs:
            assert case == settings and len(catalog) == 64 and f"seed {case.seed}" in wanted(case)
            seeds.append(case.seed)
            error = AgnError("a network", "it diverged", "train longer") if case.seed in seeds.failing else None
            rows = [] if error else [replace(ROW, strategy=name).as_dict() for name in asked.strategies]
            yield case, Answer(rows, error, [{"stage": "float network", "seconds": 1.0}], 2.0)

    monkeypatch.setattr(workers, "run", run)
    return seeds


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]


def test_every_finished_job_is_on_disk_before_the_next(cases, done, tmp_path):
    for number, outcome in enumerate(sweep(cases, ASKED, tmp_path), start=1):
        assert outcome.error is None and not outcome.reused
        assert [row["seed"] for row in table(tmp_path)] == ["0", "1", "2"][:number]
        assert len(log(tmp_path)) == number
    row = table(tmp_path)[0]
    assert (row["model"], row["data"], row["types"], row["energy_relative"]) == ("resnet8", "digits", "", "0.123457")
    assert log(tmp_path)[0]["stages"] == [{"stage": "float network", "seconds": 1.0}]


def test_stopped_and_begun_again_only_the_rest_is_done(cases, done, tmp_path):
    begun = sweep(cases, ASKED, tmp_path)
    next(begun)
    begun.close()
    assert done == [0]
    again = list(sweep(cases, ASKED, tmp_path))
    assert done == [0, 1, 2] and [outcome.reused for outcome in again] == [True, False, False]
    before = (tmp_path / "sweep.csv").stat().st_mtime_ns
    assert all(outcome.reused and len(outcome.rows) == 1 for outcome in sweep(cases, ASKED, tmp_path))
    assert done == [0, 1, 2] and (tmp_path / "sweep.csv").stat().st_mtime_ns == before


def test_a_failed_job_stops_no_other_and_is_tried_again(cases, done, tmp_path):
    done.failing = (1,)
    outcomes = list(sweep(cases, ASKED, tmp_path))
    assert [outcome.error is not None for outcome in outcomes] == [False, True, False]
    assert [row["seed"] for row in table(tmp_path)] == ["0", "2"]
    assert ["error" in line for line in log(tmp_path)] == [False, True, False]
    assert "it diverged" in log(tmp_path)[1]["error"]
    done.failing = ()
    assert all(outcome.error is None for outcome in sweep(cases, ASKED, tmp_path))
    assert done == [0, 1, 2, 1] and [row["seed"] for row in table(tmp_path)] == ["0", "1", "2"]


@pytest.mark.parametrize("change", ["strategies", "max_drops", "types", "retrain", "energy_model", "model", "catalog"])
def test_what_decides_the_rows_is_done_anew_and_older_rows_stay(cases, done, change, tmp_path):
    list(sweep(cases[:1], ASKED, tmp_path / "out"))
    case, asked = cases[0], ASKED
    if change == "catalog":
        shutil.copytree(case.catalog, tmp_path / "other")
        index = (tmp_path / "other" / "index.csv").read_text().splitlines(keepends=True)
        (tmp_path / "other" / "index.csv").write_text("".join(line for line in index if "drum" not in line))
        case = replace(case, catalog=tmp_path / "other")
    elif change in ("strategies", "max_drops", "types"):
        asked = replace(asked, **{change: {"strategies": ("kl", "fisher"), "max_drops": (2.0,), "types": (1,)}[change]})
    else:
        case = replace(case, **{change: {"retrain": True, "energy_model": "uniform", "model": "resnet20"}[change]})
    first = table(tmp_path / "out")
    assert [outcome.reused for outcome in sweep([case], asked, tmp_path / "out")] == [False]
    assert done == [0, 0] and table(tmp_path / "out")[:1] == first
    assert len({row["identity"] for row in table(tmp_path / "out")}) == 2


def test_the_catalogs_place_decides_nothing(cases, done, tmp_path):
    list(sweep(cases[:1], ASKED, tmp_path / "out"))
    shutil.copytree(cases[0].catalog, tmp_path / "moved")
    [outcome] = sweep([replace(cases[0], catalog=tmp_path / "moved")], ASKED, tmp_path / "out")
    assert outcome.reused


def test_a_folder_of_something_else_is_left_alone(cases, done, tmp_path):
    (tmp_path / "sweep.csv").write_text("thesis,chapter\n1,2\n")
    with pytest.raises(SweepError, match="thesis"):
        list(sweep(cases, ASKED, tmp_path))
    assert done == [] and (tmp_path / "sweep.csv").read_text() == "thesis,chapter\n1,2\n"


def test_trouble_in_a_job_is_an_answer(cases, monkeypatch):
    catalog = sweep_jobs.index_hash(cases[0].catalog)
    monkeypatch.setattr(sweep_jobs, "open_study", lambda *_: [][0])
    answer = sweep_jobs.here(cases[0], ASKED, catalog, 0)
    assert "IndexError" in str(answer.error) and "open_study" in answer.traceback and answer.rows == []
    answer = sweep_jobs.here(cases[0], ASKED, "another", 0)
    assert isinstance(answer.error, CatalogError) and "built anew" in str(answer.error) and answer.traceback == ""


def test_the_parcel_holds_the_catalog_and_the_library(cases, monkeypatch):
    given = []
    monkeypatch.setattr(sweep_jobs, "here", lambda *arguments, **_: given.append(arguments))
    parcel = sweep_jobs.pack(cases[0].catalog, liberty.BUILT_IN)
    for case in cases[:2]:
        sweep_jobs.far(parcel, replace(case, liberty=liberty.BUILT_IN), ASKED, "hash")
    first, second = given[0][0], given[1][0]
    assert first.catalog == second.catalog != cases[0].catalog and first.cache == second.cache != cases[0].cache
    assert sweep_jobs.index_hash(first.catalog) == sweep_jobs.index_hash(cases[0].catalog)
    assert [m.contents() for m in Catalog.load(first.catalog)] == [m.contents() for m in Catalog.load(cases[0].catalog)]
    assert liberty.read_bytes(first.liberty) == liberty.read_bytes(liberty.BUILT_IN)


def run(folder: Path, *options: str) -> int:
    return main(["sweep", "--catalog", str(folder / "catalog"), "-o", str(folder / "out"), *options])


@pytest.fixture(scope="module")
def finished(workplace) -> Path:
    """A real sweep in two processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert run(workplace, "--jobs", "2", *REAL) == 0
    return workplace / "out"


@pytest.mark.slow
def test_a_real_sweep(finished, workplace, done, monkeypatch, capsys):
    rows = table(finished)
    kinds = [("uniform", ""), ("kl", ""), ("kl", "1")]
    assert [(row["seed"], row["strategy"], row["types"]) for row in rows] == [
        (s, *kind) for s in "01" for kind in kinds
    ]
    assert all(0 < float(row["energy_relative"]) <= 1 and float(row["accuracy"]) > 0.9 for row in rows)
    assert all(row["types_used"] == "1" for row in rows if row["strategy"] == "uniform" or row["types"] == "1")
    assert Counter(line["seed"] for line in log(finished)) == {0: 1, 1: 1}
    assert log(finished)[0]["stages"][0]["stage"] == "float network"
    assert multiprocessing.active_children() == []
    monkeypatch.chdir(workplace)
    before = (finished / "sweep.csv").read_bytes()
    assert run(workplace, *REAL) == 0
    out = capsys.readouterr().out
    assert done == [] and (finished / "sweep.csv").read_bytes() == before
    assert "means over seeds 0, 1" in out and "2 were there" in out and "uniform" in out
    mean = sum(100 * float(row["energy_relative"]) for row in rows if row["strategy"] == "uniform") / 2
    assert f"{mean:.1f} %" in out


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows(finished, workplace, machines, tmp_path):  # noqa: F811
    options = ["--catalog", str(workplace / "catalog"), "-o", str(tmp_path), "--cluster", machines.address]
    assert main(["sweep", *options, *REAL]) == 0
    timed = {"proposing": "", "trying": ""}
    here, there = ([{**row, **timed} for row in read_rows(folder)] for folder in (finished, tmp_path))
    assert here == there


def test_a_failure_is_said_and_the_status_is_1(workplace, done, tmp_path, capsys):
    done.failing = (0,)
    options = ["--catalog", str(workplace / "catalog"), "-o", str(tmp_path), "--seeds", "0", "1"]
    assert main(["sweep", *options, "--strategies", "kl"]) == 1
    said = capsys.readouterr()
    assert "it diverged" in said.err and "1 jobs done, 0 were there, 1 failed" in said.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--models", "resnet9"], "did you mean resnet"),
        (["--data", "digits", "cifar10"], "files of cifar10"),
        (["--catalog", "nowhere"], "agn-hw luts"),
        (["--max-drops", "200"], "max-drops"),
        (["--strategies", "best"], "strategies"),
        (["--seeds", "-1"], "seeds"),
        (["--data-root", "somewhere"], "built in"),
        (["--liberty", "nowhere.lib"], "nowhere.lib"),
    ],
)
def test_bad_input(workplace, done, tmp_path, capsys, options, said):
    status = 2
    with suppress(SystemExit):
        status = main(["sweep", "--catalog", str(workplace / "catalog"), "-o", str(tmp_path / "out"), *options])
    assert status == 2 and said in capsys.readouterr().err
    assert done == [] and not (tmp_path / "out").exists()


def test_a_catalog_without_the_reference(workplace, done, tmp_path, capsys):
    shutil.copytree(workplace / "catalog", tmp_path / "catalog")
    index = (tmp_path / "catalog" / "index.csv").read_text().splitlines(keepends=True)
    (tmp_path / "catalog" / "index.csv").write_text("".join(line for line in index if not line.startswith(FEW[0])))
    assert run(tmp_path) == 2
    assert "exact_8x8" in capsys.readouterr().err and not (tmp_path / "out").exists()
