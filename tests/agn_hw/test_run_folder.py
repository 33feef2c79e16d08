"""A run's choices: tables, mappings and compensation as they were written."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from agn_hw import report, run_folder
from agn_hw.accelerator import tables
from agn_hw.accelerator.config import LayerPlan, Plan, PlanError
from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.quantize import quantize
from agn_hw.mapping import default
from agn_hw.nn.compensation import compensate
from agn_hw.nn.layers import table_layers
from agn_hw.stages import Stages
from agn_hw.zoo import models
from lut_gen.files import npz_bytes, sha256
from tests.agn_hw.networks import images
from tests.agn_hw.tables import multiplier, truncated_lut

X = images(24)


@pytest.fixture(scope="module")
def network() -> torch.fx.GraphModule:
    """An untrained zoo network with a table everywhere, compensated; operand order and pre-scale differ by layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        quantized = quantize(models.build("resnet8", 3, 5).eval(), [X])
    return compensate(approximate(quantized, choice(quantized)), [X])


def choice(model: torch.nn.Module) -> dict:
    made = multiplier(truncated_lut(5))
    return {
        name: (made, default(made, "ab"[i % 2], 1 + i / 10, layer.in_codes[0], layer.largest_weight))
        for i, (name, layer) in enumerate(table_layers(model).items())
    }


@pytest.fixture
def run(network, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("agn_hw.report.draw", lambda plan: b"")
    layers = [
        LayerPlan(name, "Conv2d", 1, pick[0].name, 1.0, "uniform", tables.describe(pick[1]), {}, None)
        for name, pick in choice(network).items()
    ]
    plan = Plan("resnet8", {}, layers, {}, {}, [], {})
    run_folder.write_run(tmp_path / "run", plan, network, choice(network), Stages())
    return tmp_path / "run"


def check(found: dict, network: torch.nn.Module) -> None:
    layers = table_layers(network)
    assert list(found) == list(layers)
    for name, table in found.items():
        layer = layers[name]
        assert np.array_equal(table.table8(), layer.lut.numpy()) and table.multiplier == "made_up"
        assert np.array_equal(table.channel_gain, layer.channel_gain.numpy()) and table.channel_gain.std() > 0
        assert np.array_equal(table.channel_offset, layer.channel_offset.numpy())


def test_choices_are_those_that_were_made(run, network):
    found = run_folder.choices(run)
    check(found, network)
    assert all(float(table_layers(network)[name].gain) == table.mapping.gain for name, table in found.items())


def test_network_comes_back(run, network):
    assert torch.equal(run_folder.load_network(run)(X), network(X))


def rewrite(run: Path, change) -> None:
    """Changes tables.npz and makes the plan's hash fit."""
    with np.load(run / "tables.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    (run / "tables.npz").write_bytes(npz_bytes(**arrays))
    plan = json.loads((run / "plan.json").read_text())
    plan["provenance"]["files"]["tables.npz"] = sha256((run / "tables.npz").read_bytes())
    (run / "plan.json").write_text(json.dumps(plan))


def test_older_runs_have_their_compensation_in_the_network(run, network):
    def older(arrays: dict) -> None:
        for key in list(arrays):
            if key.rpartition("/")[2] in ("gain", "channel_gain", "channel_offset", "activation_negative"):
                del arrays[key]

    rewrite(run, older)
    check(run_folder.choices(run), network)
    assert torch.equal(run_folder.load_network(run)(X), network(X))


def test_damaged_runs(run):
    content = (run / "tables.npz").read_bytes()
    (run / "tables.npz").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PlanError, match=r"tables\.npz is not the file"):
        run_folder.choices(run)
    (run / "tables.npz").write_bytes(content)
    rewrite(run, lambda arrays: arrays.pop("lut/made_up"))
    for read in (run_folder.choices, run_folder.load_network):
        with pytest.raises(PlanError, match="KeyError"):
            read(run)


@pytest.mark.parametrize(
    "damage",
    [
        lambda plan: plan["layers"][0].update(energy_fj="cheap"),
        lambda plan: plan["layers"][0].update(macs=None),
        lambda plan: plan["layers"][0].update(mapping=[]),
        lambda plan: plan.update(data=[]),
    ],
)
def test_types_in_a_plan_are_checked(run, damage):
    content = json.loads((run / "plan.json").read_text())
    damage(content)
    (run / "plan.json").write_text(json.dumps(content))
    with pytest.raises(PlanError, match="TypeError"):
        Plan.load(run)


def test_compensation_that_is_not_the_networks(run):
    rewrite(run, lambda arrays: arrays.update({"fc/channel_gain": arrays["fc/channel_gain"] * 2}))
    with pytest.raises(PlanError, match=r"layer fc: the channel_gain of tables\.npz"):
        run_folder.load_network(run)


def test_older_and_committed_plans_are_readable():
    """The older one has no intervals, no strategy and uniform energies."""
    here = Path(__file__).parent
    for folder in (here / "older_run", here.parents[1] / "reports" / "codesign" / "resnet8-shapes"):
        plan = Plan.load(folder)
        assert plan.layers[0].mapping["encoding"] == "sign_magnitude"
        assert report.draw(plan)[:4] == b"\x89PNG"
        report.print_plan(plan, Console(file=(said := io.StringIO())))
        assert plan.array or "arrays of" not in said.getvalue()  # older ones do not know them
