"""The whole way on real digits with a small catalog, and what its command line says to bad input."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from agn_hw import codesign_command, report, run_folder, settings
from agn_hw.accelerator import system
from agn_hw.accelerator.config import Plan, PlanError
from agn_hw.cli import main
from agn_hw.nn.layers import table_layers
from agn_hw.search import strategies, study
from agn_hw.search.behaviour import answers
from agn_hw.search.pairs import energies
from agn_hw.zoo import data
from lut_gen.catalog import Catalog
from lut_gen.library import liberty
from tests.small_catalog import FEW, build_few


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with a small catalog and, after one run, trained networks in its cache."""
    folder = tmp_path_factory.mktemp("workplace")
    build_few(folder / "catalog")
    return folder


def run(folder: Path, name: str, *options: str) -> int:
    arguments = ["codesign", "--data", "digits", "--catalog", str(folder / "catalog"), "-o", str(folder / name)]
    return main([*arguments, *options])


@pytest.fixture(scope="module")
def finished(workplace) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert run(workplace, "first") == 0
    return workplace / "first"


def cut(catalog: Path, place: Path, *names: str) -> Path:
    """A copy with these multipliers only."""
    shutil.copytree(catalog, place)
    first, *rows = (place / "index.csv").read_text().splitlines(keepends=True)
    (place / "index.csv").write_text("".join([first, *(row for row in rows if row.split(",")[0] in names)]))
    return place


def hashes(folder: Path, *names: str) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]


def test_plan_is_whole(finished):
    plan = Plan.load(finished)
    assert plan.model == "resnet8" and plan.data["name"] == "digits"
    assert len(plan.layers) == 10 and {layer.multiplier for layer in plan.layers} <= set(FEW)
    assert {layer.type for layer in plan.layers} == {"Conv2d", "Linear"}
    energy = sum(layer.macs * layer.energy_fj for layer in plan.layers)
    assert energy == pytest.approx(plan.totals["energy_fj"], rel=1e-4)
    by_layer = plan.provenance["reference"]["energy_fj_by_layer"]
    reference = sum(layer.macs * by_layer[layer.name] for layer in plan.layers)
    assert energy / reference == pytest.approx(plan.totals["energy_relative"], rel=1e-4)
    assert plan.totals["energy_relative"] < 0.5  # the point of it all
    assert plan.totals["energy_relative"] <= min(b["energy_relative"] for b in plan.baselines.values())
    assert plan.totals["accuracy_float"] > 0.95
    assert plan.totals["drop_points"] <= 1.0 + 3 * plan.totals["drop_standard_error"] + 0.5
    low, high = plan.totals["drop_interval"]
    assert low <= plan.totals["drop_points"] <= high and plan.totals["within_max_drop"]
    assert plan.provenance["solver_gap"] <= 1e-6 and plan.provenance["strategy"] == "kl"
    assert {layer.energy_model for layer in plan.layers} == {"weight_stationary"}
    assert {point["kind"] for point in plan.front} == {"plan", "exact_narrow", "uniform"}
    assert (finished / "energy_accuracy.png").stat().st_size > 10_000
    stages = [json.loads(line)["stage"] for line in (finished / "log.jsonl").read_text().splitlines()]
    strategies = ("kl", "exact-narrow", "uniform")
    tried = [f"{name}: {what}" for what in ("proposals", "trials") for name in strategies] + ["all: further trials"]
    retrained = ["kl: retraining", "exact-narrow: retraining"]
    first, last = ["float network", "8-bit network", "mappings and energies"], ["arrays", "test split"]
    assert stages == [*first, *tried, *retrained, *last]


def test_network_comes_back_with_the_reported_accuracy(finished):
    plan, network = Plan.load(finished), run_folder.load_network(finished)
    assert all(layer.lut.numel() for layer in table_layers(network).values())
    hits = answers(network, data.load("digits").test).hits
    assert float(hits.double().mean()) == pytest.approx(plan.totals["accuracy_approximate"], abs=1e-6)


def test_same_input_same_bytes_and_the_cache_is_used(finished, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.setattr("agn_hw.zoo.train.train", lambda *a, **k: pytest.fail("trained again"))
    assert run(workplace, "second") == 0
    names = ("plan.json", "tables.npz", "energy_accuracy.png")
    assert hashes(workplace / "second", *names) == hashes(finished, *names)


def test_quantisation_alone_loses_more_than_allowed(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    honest = study.quantize

    def coarse(model, loader):
        quantized = honest(model, loader)
        for layer in table_layers(quantized).values():
            layer.out_scale *= 40  # as if calibration had gone wrong
        return quantized

    monkeypatch.setattr(study, "quantize", coarse)
    assert run(workplace, "coarse", "--max-drop", "0.5") == 2
    said = capsys.readouterr().err
    assert "quantisation alone" in said and "--max-drop" in said and "Traceback" not in said
    assert not (workplace / "coarse").exists()


def test_the_command_line_offers_what_there_is():
    assert set(codesign_command.STRATEGIES) == set(strategies.STRATEGIES)
    assert set(codesign_command.ENERGY_MODELS) == set(energies.ENERGY_MODELS)
    assert set(settings.LEVELS.values()) == set(system.LEVELS) == set(report.COUNTED)


def test_limits_from_the_command_line(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    limits = ("--types", "2", "--max-delay", "3", "--max-area", "1500", "--no-retrain")
    assert run(workplace, "limited", "--strategy", "exact-narrow", *limits) == 0
    plan = Plan.load(workplace / "limited")
    assert plan.totals["multiplier_types"] <= 2 and not plan.totals["retrained"]
    assert all(layer.multiplier.startswith("exact") for layer in plan.layers)
    assert all(option in plan.provenance["command"] for option in limits)


def test_a_baseline_that_cannot_keep_the_limits_is_left_out(workplace, tmp_path, monkeypatch):
    """Exact ones are too slow for this delay, the truncated one is not."""
    monkeypatch.chdir(workplace)
    other = cut(workplace / "catalog", tmp_path / "catalog", "exact_8x8", "truncated_8x8_d8")
    options = ("--max-delay", "6", "--max-drop", "5", "--no-retrain", "-o", str(tmp_path / "run"))
    assert main(["codesign", "--catalog", str(other), *options]) == 0
    plan = Plan.load(tmp_path / "run")
    assert {layer.multiplier for layer in plan.layers} == {"truncated_8x8_d8"}
    assert "exact_narrow" not in plan.baselines and plan.provenance["limits"]["delay_ns"] == 6.0
    assert plan.totals["multiplier_delay_ns"] <= 6


def test_no_plan_breaks_its_limits(workplace, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    other = cut(workplace / "catalog", tmp_path / "catalog", "exact_8x8", "exact_2x2")
    options = ("--max-area", "100", "--max-drop", "0.3", "--no-retrain", "-o", str(tmp_path / "run"))
    assert main(["codesign", "--catalog", str(other), *options]) == 2
    assert "loosen the limits" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_imported_tables(workplace, tmp_path, monkeypatch, capsys):
    """They have no netlists: uniform energies only, and that is said before a network is trained."""
    monkeypatch.chdir(workplace)
    catalog = Catalog.load(workplace / "catalog")
    names = ("exact_8x8", "truncated_8x8_d8", "exact_4x4")
    np.savez(tmp_path / "t.npz", **{name: catalog[name].lut for name in names})
    rows = [f"{name},{catalog[name].energy_fj},0\n" for name in names]
    (tmp_path / "costs.csv").write_text("".join(["name,energy_fj,sign_energy_fj\n", *rows]))
    place = str(tmp_path / "theirs")
    costs = ("--figures", str(tmp_path / "costs.csv"), "--technology", "45 nm")
    assert main(["import", str(tmp_path / "t.npz"), *costs, "-o", place]) == 0
    run = ("codesign", "--catalog", place, "--no-retrain", "-o", str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr("agn_hw.codesign.trained", lambda *_: pytest.fail("trained"))
        assert main([*run]) == 2
    assert "--energy-model uniform" in capsys.readouterr().err
    uniform = (*run, "--energy-model", "uniform")
    for asked in (("--objective", "pe"), ("--objective", "array"), ("--max-latency", "1000")):
        assert main([*uniform, *asked]) == 2
        assert "bare tables" in (said := capsys.readouterr().err) and "--objective energy" in said
    assert main([*uniform]) == 0
    plan = Plan.load(tmp_path / "run")
    assert plan.array == {} and "arrays of" not in capsys.readouterr().out
    assert plan.totals["energy_relative"] < 1 and plan.totals["multiplier_area_um2"] is None
    assert {layer.energy_model for layer in plan.layers} == {"uniform"}


def test_another_library_than_the_catalogs(workplace, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    other = tmp_path / "other.lib"
    other.write_text(liberty.BUILT_IN.read_text() + "/* changed */\n")
    assert run(workplace, "liberty", "--liberty", str(other)) == 2
    assert "other.lib is another one" in capsys.readouterr().err


def test_limits_that_leave_nothing(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    assert run(workplace, "nothing", "--max-delay", "0.01") == 2
    said = capsys.readouterr().err
    assert "delay" in said and "Traceback" not in said
    assert run(workplace, "nothing", "--strategy", "agn", "--types", "2") == 2
    assert "--strategy kl" in capsys.readouterr().err
    assert not (workplace / "nothing").exists()


@pytest.mark.parametrize("seed", ["-1", "99999999999", "x"])
def test_senseless_seed(seed, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["codesign", "--seed", seed])
    assert stop.value.code == 2 and "seed" in capsys.readouterr().err


@pytest.mark.parametrize("points", ["-1", "101", "nan", "much"])
def test_senseless_max_drop(points, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["codesign", "--max-drop", points, "-o", str(tmp_path / "run")])
    assert stop.value.code == 2 and "max-drop" in capsys.readouterr().err


def test_no_catalog_and_no_reference(workplace, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["codesign", "--catalog", str(tmp_path / "none"), "-o", str(tmp_path / "run")]) == 2
    assert "agn-hw luts" in capsys.readouterr().err
    other = tmp_path / "catalog"
    shutil.copytree(workplace / "catalog", other)
    index = (other / "index.csv").read_text().splitlines(keepends=True)
    (other / "index.csv").write_text("".join(line for line in index if not line.startswith("exact_8x8")))
    assert main(["codesign", "--catalog", str(other), "-o", str(tmp_path / "run")]) == 2
    assert "exact_8x8" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_places_of_other_things_are_refused(workplace, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(workplace)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("three years of work")
    (tmp_path / "work" / "plan.json").write_text('{"terraform": 1}')
    for place in (tmp_path / "work", tmp_path / "work" / "thesis.txt", tmp_path / "work" / "thesis.txt" / "run"):
        assert main(["codesign", "--catalog", str(workplace / "catalog"), "-o", str(place)]) == 2
        assert "wanted a new folder" in capsys.readouterr().err
    assert main(["codesign", "--catalog", str(workplace / "catalog"), "-o", "/dev/null"]) == 2
    assert (tmp_path / "work" / "thesis.txt").read_text() == "three years of work"
    assert not Path("/dev/null").is_file() and not Path("/dev/null").is_dir()


def test_a_new_nested_place_and_a_link_are_fine(finished, tmp_path):
    run_folder.check_place(tmp_path / "new" / "nested" / "run")
    assert not (tmp_path / "new").exists()
    (tmp_path / "link").symlink_to(finished)
    run_folder.check_place(tmp_path / "link")


def test_damaged_runs(finished, tmp_path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(finished, tmp_path / name))

    other = copy("version")
    content = json.loads((other / "plan.json").read_text())
    (other / "plan.json").write_text(json.dumps({**content, "schema_version": 99}))
    with pytest.raises(PlanError, match="version 99"):
        run_folder.load_network(other)
    other = copy("truncated")
    (other / "plan.json").write_bytes((other / "plan.json").read_bytes()[:100])
    with pytest.raises(PlanError, match=r"plan\.json"):
        Plan.load(other)
    other = copy("network")
    bytes_ = bytearray((other / "network.pt").read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    (other / "network.pt").write_bytes(bytes_)
    with pytest.raises(PlanError, match=r"network\.pt"):
        run_folder.load_network(other)
    other = copy("missing")
    (other / "tables.npz").unlink()
    with pytest.raises(PlanError, match=r"tables\.npz"):
        run_folder.load_network(other)


@pytest.mark.parametrize(
    "damage",
    [
        lambda plan: plan["layers"][0].update(multiplier="nothing"),
        lambda plan: plan["layers"][0].update(name="nothing"),
        lambda plan: plan["layers"][1]["mapping"].update(gain=17.0),
        lambda plan: plan["layers"][1]["mapping"].pop("encoding"),
        lambda plan: plan.update(model="nothing"),
        lambda plan: plan.update(layers=[]),
        lambda plan: plan["provenance"].pop("files"),
    ],
)
def test_an_edited_plan(finished, tmp_path, damage):
    other = Path(shutil.copytree(finished, tmp_path / "run"))
    plan = json.loads((other / "plan.json").read_text())
    damage(plan)
    (other / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanError):
        run_folder.load_network(other)


def test_a_table_that_is_not_its_multipliers(finished, tmp_path):
    """Tables are folded anew when a run is read: a network saved with another table is refused."""
    other = Path(shutil.copytree(finished, tmp_path / "run"))
    state = torch.load(other / "network.pt", weights_only=True)
    state["stage1.conv1.lut"][3, 5] += 1
    torch.save(state, other / "network.pt")
    plan = json.loads((other / "plan.json").read_text())
    plan["provenance"]["files"]["network.pt"] = hashes(other, "network.pt")[0]
    (other / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanError, match=r"stage1\.conv1"):
        run_folder.load_network(other)


def test_interrupted_write_leaves_the_old_run(finished, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    before = hashes(finished, "plan.json", "network.pt")
    monkeypatch.setattr("agn_hw.report.draw", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert run(workplace, "first") == 130
    assert hashes(finished, "plan.json", "network.pt") == before
    assert np.all([not path.name.endswith(".tmp") for path in workplace.iterdir()])
