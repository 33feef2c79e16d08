"""The command line on arrays: what a plan says of them, objectives that count them, a limit on latency."""

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from agn_hw import report
from agn_hw.accelerator.config import Plan
from agn_hw.cli import main
from lut_gen.errors import ToolError
from tests.small_catalog import build_few


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workplace")
    build_few(folder / "catalog")
    return folder


def run(folder: Path, name: str, *options: str) -> int:
    return main(["codesign", "--catalog", str(folder / "catalog"), "-o", str(folder / name), "--no-retrain", *options])


@pytest.fixture(scope="module")
def finished(workplace) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert run(workplace, "first") == 0
    return workplace / "first"


def test_the_plan_knows_its_arrays(finished, capsys):
    plan = Plan.load(finished)
    array, chosen = plan.array, {layer.name: layer.multiplier for layer in plan.layers}
    assert (array["rows"], array["cols"]) == (8, 8) and list(array["levels"]) == ["multiplier", "element", "array"]
    multiplier, element, whole = (array["levels"][level]["energy_relative"] for level in array["levels"])
    assert multiplier < element < whole < 1  # what stands around cannot be saved with the multiplier
    assert {one["multiplier"] for one in array["arrays"]} == set(chosen.values())
    assert list(array["layers"]) == list(chosen)
    assert array["cycles"] == sum(layer["cycles"] for layer in array["layers"].values())
    spent = sum(layer.macs * sum(array["layers"][layer.name]["energy_fj"].values()) for layer in plan.layers)
    assert spent == pytest.approx(array["levels"]["array"]["energy_fj"], rel=1e-4)
    assert {"uniform", "exact_narrow"} <= set(array["others"])
    report.print_plan(plan, Console(width=120))
    said = capsys.readouterr().out
    assert f"{element:.1%}" in said and f"{whole:.1%}" in said and f"{array['cycles']:,} cycles" in said


@pytest.mark.parametrize("objective", ["pe", "array"])
def test_objectives_from_the_command_line(objective, finished, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    options = ("--objective", objective, "--array", "4x4", "--max-drop", "3")
    assert run(workplace, objective, *options) == 0
    plan = Plan.load(workplace / objective)
    assert (plan.array["rows"], plan.array["cols"]) == (4, 4) and plan.provenance["objective"] == objective
    assert all(option in plan.provenance["command"] for option in (f"--objective {objective}", "--array 4x4"))
    tried = next(point["energy_relative"] for point in plan.front if point["plan"])
    level = {"pe": "element", "array": "array"}[objective]
    assert tried == pytest.approx(plan.array["levels"][level]["energy_relative"], rel=0.1)
    stages = [json.loads(line) for line in (workplace / objective / "log.jsonl").read_text().splitlines()]
    assert [stage["level"] for stage in stages if stage["stage"] == "elements and arrays"] == [level]


def test_limit_on_latency_from_the_command_line(finished, workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    free = Plan.load(finished).array
    assert run(workplace, "slow", "--max-latency", "1") == 2
    said = capsys.readouterr().err
    assert f"{free['cycles']:,} cycles" in said and "--max-latency" in said and not (workplace / "slow").exists()
    least = float(re.search(r"take ([\d.]+) us", said)[1])
    limit = f"{1.02 * least:.4g}"
    assert run(workplace, "fast", "--max-latency", limit, "--max-drop", "20") == 0
    plan = Plan.load(workplace / "fast")
    assert least * 0.9 < plan.array["latency_us"] <= float(limit)
    assert plan.provenance["limits"]["latency_us"] == float(limit)
    assert f"--max-latency {limit}" in plan.provenance["command"]
    assert run(workplace, "agn", "--max-latency", limit, "--strategy", "agn") == 2
    assert "--strategy kl" in capsys.readouterr().err


def test_a_plan_stands_without_its_arrays(finished, workplace, monkeypatch, capsys):
    """A user's machine may have a catalog and no Yosys."""
    monkeypatch.chdir(workplace)

    def missing(*_: object) -> None:
        raise ToolError("Yosys", "it is not there", "install it")

    monkeypatch.setattr("lut_gen.element.synthesis.mapped", missing)
    assert run(workplace, "bare") == 0
    assert Plan.load(workplace / "bare").array == {} and "arrays of" not in capsys.readouterr().out
    assert run(workplace, "bare_pe", "--objective", "pe") == 2
    assert "install it" in capsys.readouterr().err
