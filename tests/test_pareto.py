"""The whole front on real digits with a small catalog, and what its command line says to bad input."""

import csv
import json
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from agn_hw.cli import main
from agn_hw.pareto import STYLES
from agn_hw.search.strategies import STRATEGIES
from lut_gen.catalog import Catalog
from tests.small_catalog import FEW, build_few

POINTS = 4
TOLD = ("predicted_loss", "gap")
TRIED = ("validation_accuracy", "drop_points", "drop_error", "divergence")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workplace")
    build_few(folder / "catalog")
    return folder


def run(folder: Path, name: str, *options: str) -> int:
    return main(["pareto", "--catalog", str(folder / "catalog"), "-o", str(folder / name), *options])


@pytest.fixture(scope="module")
def finished(workplace) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert run(workplace, "front", "--strategy", "kl", "uniform", "--points", str(POINTS)) == 0
    return workplace / "front"


def rows(folder: Path, strategy: str) -> list[dict[str, str]]:
    with (folder / "pareto.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["strategy"] == strategy]


def test_every_proposal_once_from_the_safest_to_the_cheapest(finished):
    kl = rows(finished, "kl")
    energies, losses = ([float(row[name]) for row in kl] for name in ("energy_relative", "predicted_loss"))
    assert energies == sorted(energies, reverse=True) and losses == sorted(losses)
    assert max(Counter(row["multipliers"] for row in kl).values()) == 1 and len(kl) > 20
    assert energies[0] > 0.9 and energies[-1] < 0.1 and all(row["gap"] == "0" for row in kl)
    uniform = rows(finished, "uniform")
    assert 2 < len(uniform) <= len(FEW) and all(row["types"] == "1" for row in uniform)
    assert all(row[name] == "" for row in uniform for name in TOLD)


def test_area_is_that_of_the_types_in_use(finished, workplace):
    catalog = Catalog.load(workplace / "catalog")
    for row in rows(finished, "kl"):
        names = set(json.loads(row["multipliers"]).values())
        area = sum(catalog[name].area_um2 + catalog[name].sign_area_um2 for name in names)
        assert float(row["area_um2"]) == pytest.approx(area, rel=1e-5) and row["types"] == str(len(names))


def test_some_are_tried_both_ends_among_them(finished):
    for strategy in ("kl", "uniform"):
        found = rows(finished, strategy)
        tried = [number for number, row in enumerate(found) if row["validation_accuracy"]]
        assert len(tried) == POINTS and tried[0] == 0 and tried[-1] == len(found) - 1
        gaps = [b - a for a, b in pairwise(tried)]
        assert max(gaps) - min(gaps) <= 1
        assert all(bool(row[name]) == (number in tried) for number, row in enumerate(found) for name in TRIED)
        first, last = found[0], found[-1]
        assert float(first["divergence"]) < float(last["divergence"])
        assert float(first["validation_accuracy"]) > 0.95 and float(first["drop_points"]) < 1.0


def test_picture_log_and_table(finished, workplace, monkeypatch, capsys):
    assert {path.name for path in finished.iterdir()} == {"pareto.csv", "pareto.png", "log.jsonl"}
    assert (finished / "pareto.png").stat().st_size > 10_000
    stages = [json.loads(line)["stage"] for line in (finished / "log.jsonl").read_text().splitlines()]
    assert stages[0] == "float network" and {"kl: front", "kl: trials", "uniform: trials"} <= set(stages)
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    monkeypatch.chdir(workplace)
    assert run(workplace, "front", "--strategy", "kl", "uniform", "--points", str(POINTS)) == 0
    after = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert all(before[name] == after[name] for name in ("pareto.csv", "pareto.png"))
    out = capsys.readouterr().out
    assert "written to" in out and out.count("│ kl") == out.count("│ uniform") == POINTS


def test_interrupted_it_leaves_the_old_files(finished, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    monkeypatch.setattr("agn_hw.pareto.draw", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert run(workplace, "front", "--strategy", "uniform", "--points", "1") == 130
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_every_strategy_has_a_style():
    assert set(STYLES) == set(STRATEGIES)
    assert (
        len({colour for colour, _ in STYLES.values()}) == len({marker for _, marker in STYLES.values()}) == len(STYLES)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--strategy", "kl", "agn", "--types", "2"], "or leave the limits out"),
        (["--strategy", "evolution", "--objective", "area"], "or leave the limits out"),
        (["--strategy", "best"], "strategy"),
        (["--points", "0"], "points"),
        (["--model", "resnet9"], "did you mean resnet"),
        (["--catalog", "nowhere"], "agn-hw luts"),
        (["--liberty", "nowhere.lib"], "nowhere.lib"),
    ],
)
def test_bad_input(workplace, tmp_path, capsys, monkeypatch, options, said):
    monkeypatch.chdir(workplace)
    monkeypatch.setattr("agn_hw.codesign.trained", lambda *_: pytest.fail("trained"))
    status = 2
    with suppress(SystemExit):
        status = main(["pareto", "--catalog", str(workplace / "catalog"), "-o", str(tmp_path / "out"), *options])
    assert status == 2 and said in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("strategy", ["kl", "uniform"])
def test_limits_that_leave_nothing(strategy, finished, workplace, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(workplace)
    options = ["--catalog", str(workplace / "catalog"), "-o", str(tmp_path / "out"), "--max-delay", "0.001"]
    assert main(["pareto", *options, "--strategy", strategy]) == 2
    said = capsys.readouterr().err
    assert "wanted" in said and "Traceback" not in said and not (tmp_path / "out").exists()


def test_places_of_other_things_are_refused(workplace, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("three years of work")
    for place in (tmp_path, tmp_path / "thesis.txt", tmp_path / "thesis.txt" / "front"):
        assert main(["pareto", "--catalog", str(workplace / "catalog"), "-o", str(place)]) == 2
        assert "wanted a new folder" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "three years of work" and len(list(tmp_path.iterdir())) == 1
