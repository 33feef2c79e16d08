"""`agn-hw verify`: a run's network on the array's RTL, as a user calls it."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from agn_hw import mapping, run_folder
from agn_hw.accelerator import tables, verification
from agn_hw.accelerator.config import LayerPlan, Plan
from agn_hw.cli import main
from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.quantize import quantize
from agn_hw.nn.compensation import compensate
from agn_hw.nn.layers import table_layers
from agn_hw.nn.overflow import set_accumulator
from agn_hw.stages import Stages
from agn_hw.zoo import data, models
from agn_hw.zoo.data import to_float
from sim import verilator
from sim.cosim import SystolicArray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(verilator.missing()), reason=f"this machine lacks {', '.join(verilator.missing())}"),
]
NAMES = ("kulkarni_4x4", "drum_8_k4", "truncated_4x3_d2")


def written(catalog, folder: Path, narrow: int | None = None) -> Path:
    """A run of an untrained ResNet-8 on digits, three multipliers on both ports; with narrow accumulators if asked."""
    splits = data.load("digits")
    x = to_float(splits.calibration.images[:32])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        quantized = quantize(models.build("resnet8", 1, 10).eval(), [x])
    choice = {}
    for i, (name, layer) in enumerate(table_layers(quantized).items()):
        multiplier = catalog[NAMES[i % len(NAMES)]]
        choice[name] = multiplier, mapping.default(multiplier, "ab"[i % 2], codes=layer.in_codes[0])
    network = compensate(approximate(quantized, choice), [x])
    if narrow:
        set_accumulator(network, narrow, rows=4)
    layers = [
        LayerPlan(name, "Conv2d", 1, multiplier.name, 100.0, "uniform", tables.describe(own), {}, None)
        for name, (multiplier, own) in choice.items()
    ]
    plan = Plan("resnet8", {"name": "digits", "seed": 0, "classes": 10, "image": [1, 8, 8]}, layers, {}, {}, [], {})
    run_folder.write_run(folder, plan, network, choice, Stages())
    return folder


@pytest.fixture(scope="module")
def builds(tmp_path_factory) -> Path:
    """Where simulations are built, once for all tests."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture
def run(catalog, tmp_path, monkeypatch, builds) -> Path:
    monkeypatch.setattr("agn_hw.report.draw", lambda plan: b"")
    monkeypatch.setattr("agn_hw.verify_command.BUILDS", builds)
    return written(catalog, tmp_path / "run")


def verify(catalog, run: Path, *others: str) -> int:
    return main(["verify", str(run), "--catalog", str(catalog.path), "--images", "3", "--array", "4x8", *others])


def test_both_views_are_the_tables(catalog, run, capfd, tmp_path):
    for view in ("bitsliced", "rtl"):
        assert verify(catalog, run, "--view", view, "-o", str(tmp_path / f"{view}.csv")) == 0
        assert "equal: every sum, output code and logit" in capfd.readouterr().out
    fast, plain = (pd.read_csv(tmp_path / f"{view}.csv") for view in ("bitsliced", "rtl"))
    shared = [name for name in plain if name not in ("view", "period_ns")]
    assert (fast["period_ns"] > 1).all() and plain["period_ns"].isna().all()
    pd.testing.assert_frame_equal(fast[shared], plain[shared])
    assert (fast["sums"] > 0).all() and (fast["images"] == 3).all() and (fast["utilization"] <= 1).all()
    assert (fast[["multiplier_fj", "accumulator_fj", "registers_fj", "clock_fj"]] > 0).all(axis=None)
    layers = table_layers(run_folder.load_network(run))
    assert list(fast["layer"]) == list(layers)


def test_some_layers(catalog, run, capfd, tmp_path):
    layer = next(iter(table_layers(run_folder.load_network(run))))
    assert verify(catalog, run, "--layers", layer, "-o", str(tmp_path / "some.csv")) == 0
    assert list(pd.read_csv(tmp_path / "some.csv")["layer"]) == [layer]


def test_narrow_accumulators(catalog, run, tmp_path, capfd):
    """Saturating ones of 12 bits: the network says what the array does, on an array of as many rows."""
    narrow = written(catalog, tmp_path / "narrow", narrow=12)
    assert verify(catalog, narrow) == 0
    assert "12" in capfd.readouterr().out
    assert main(["verify", str(narrow), "--catalog", str(catalog.path), "--images", "1", "--array", "8x8"]) == 2
    assert "an array of 4 rows" in capfd.readouterr().err


def test_a_difference_is_told_down_to_the_tile(catalog, run, capfd, monkeypatch, builds):
    """A table that is not the circuit's: as if the silicon were another."""
    first = next(iter(table_layers(run_folder.load_network(run))))
    build = SystolicArray.build

    def other(circuit, shape, *given, **named):
        """The array of an exact multiplier instead of the first one."""
        if len(circuit.netlist.a) == 4 and len(circuit.netlist.b) == 4:
            circuit = dataclasses.replace(circuit, netlist=catalog["exact_4x4"].netlist)
            shape = dataclasses.replace(shape, sum_bits=16, acc_bits=24)
        return build(circuit, shape, *given, **named)

    monkeypatch.setattr(verification.SystolicArray, "build", other)
    assert verify(catalog, run) == 1
    output = capfd.readouterr()
    assert f"NOT EQUAL: layer {first} (kulkarni_4x4)" in output.err
    assert all(text in output.err for text in ("image 0", "K tile", "N tile", "activations [", "weights     ["))
    waveform = builds / f"run-{first}.vcd"
    assert str(waveform) in output.err and "$enddefinitions" in waveform.read_text()
    assert "equal: every" not in output.out


def test_mistakes_are_explained(catalog, run, capfd, tmp_path):
    assert verify(catalog, run, "--layers", "nothing") == 2
    assert "layers out of" in capfd.readouterr().err
    assert verify(catalog, tmp_path / "no-run") == 2
    assert "plan.json" in capfd.readouterr().err
    other = tmp_path / "catalog"
    shutil.copytree(catalog.path, other)
    index = pd.read_csv(other / "index.csv", keep_default_na=False, dtype=str)
    index[index["name"] != "drum_8_k4"].to_csv(other / "index.csv", index=False)
    assert main(["verify", str(run), "--catalog", str(other)]) == 2
    assert "'drum_8_k4' of layer" in capfd.readouterr().err
    swapped = json.loads((run / "plan.json").read_text())
    swapped["layers"][0]["multiplier"] = "drum_8_k4"
    (run / "plan.json").write_text(json.dumps(swapped))
    assert verify(catalog, run) == 2
    assert np.char.find(capfd.readouterr().err, "agn-hw codesign") >= 0
    with pytest.raises(SystemExit):
        verify(catalog, run, "--array", "0x8")
