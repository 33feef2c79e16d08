"""The CUDA benchmark of networks, on a processor and tiny ones: its forms, files and line of JSON."""

import csv
import json

import pytest
import torch

from agn_hw.nn.layers import table_layers
from benchmarks.cuda import networks
from benchmarks.cuda.networks import Task
from benchmarks.cuda.timing import Effort
from lut_gen.errors import ToolError

CPU = torch.device("cpu")
FORMS = ["fp32", "exact", "broken_array", "or_adder_array", "quantised, no table", "bf16"]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(networks, "NETWORKS", {"resnet50": "resnet8"})
    for name in ("FULL", "QUICK"):
        monkeypatch.setattr(networks, name, Effort(0.0, (1, 1)))


def test_the_networks_are_those_asked_for():
    assert networks.NETWORKS == {"resnet50": "torchvision:resnet50", "vgg16": "torchvision:vgg16"}


def test_forms_compute_what_their_names_say():
    task = Task("resnet8", 2, 16, 10)
    made = networks.forms(task, CPU, compiles=False)
    assert list(made) == FORMS
    logits = {name: make()() for name, make in made.items()}
    assert torch.equal(logits["exact"], logits["quantised, no table"])
    assert not torch.equal(logits["exact"], logits["broken_array"])
    assert logits["bf16"].dtype == torch.bfloat16 and not logits["fp32"].requires_grad
    assert (logits["exact"] - logits["fp32"]).std() < 0.2 * logits["fp32"].std()


@pytest.mark.parametrize("form", FORMS)
def test_a_training_step_learns(form):
    task = Task("resnet8", 4, 16, 10, trains=True)
    step = networks.forms(task, CPU, compiles=False)[form]()
    losses = [float(step().detach()) for _ in range(6)]
    assert losses[-1] != losses[0] and all(torch.isfinite(torch.tensor(losses)))


def test_tables_are_in_every_layer_of_a_copy():
    _, quantised = networks.networks("resnet8", 16, 10, CPU)
    made = networks.with_table(quantised, "broken_array")
    assert all(layer.lut.shape == (256, 256) for layer in table_layers(made).values())
    assert not any(layer.lut.numel() for layer in table_layers(quantised).values())


def test_files_and_the_line_of_json(tiny, tmp_path, capsys):
    arguments = ["--quick", "--device", "cpu", "--batch", "2", "--side", "16", "--models", "resnet50"]
    networks.main([*arguments, "--output", str(tmp_path)])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [answer["wanted"] for answer in last.values()] == ["<= 1.5", "<= 1.5", "<= 1.3"]
    assert [answer["met"] == "not measured" for answer in last.values()] == [False, True, False]
    with (tmp_path / "networks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["form"] for row in rows] == FORMS * 2 and {row["batch"] for row in rows} == {"2"}
    low, fp32 = (next(row for row in rows if row["form"] == form) for form in ("broken_array", "fp32"))
    ratio = float(low["median_seconds"]) / float(fp32["median_seconds"])
    assert float(low["to_fp32"]) == pytest.approx(ratio, rel=1e-3)
    assert "resnet50 training step" in (tmp_path / "networks.md").read_text()


def test_a_form_that_fails_is_named_and_the_others_measured(tiny, tmp_path, monkeypatch, capsys):
    original = networks.with_table

    def failing(quantised, name):
        if name == "or_adder_array":
            raise ToolError("a kernel", "NVRTC: x[/i] [bold]:x:[/bold]", "report it")
        return original(quantised, name)

    monkeypatch.setattr(networks, "with_table", failing)
    arguments = ["--quick", "--device", "cpu", "--batch", "2", "--side", "16", "--output", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"failed, see above: resnet50 inference or_adder_array, resnet50 training"):
        networks.main([*arguments, "--models", "resnet50"])
    assert capsys.readouterr().out.count("NVRTC: x[/i] [bold]:x:[/bold]") == 2  # brackets and colons as they are
    with (tmp_path / "networks.csv").open() as file:
        assert sum(1 for _ in csv.DictReader(file)) == 2 * (len(FORMS) - 1)
