"""The network benchmark on tiny networks: what is timed, its ratios, its file and its line of JSON."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from agn_hw.nn.layers import table_layers
from benchmarks import network
from benchmarks.operands import TABLES, error_rank
from benchmarks.operands import exact as exact_table

INFERENCE, TRAINING = network.Task("resnet8", 5, 8, 2), network.Task("resnet8", 5, 8, 2, trains=True)
FORMS = ["fp32", "fake_quant", *network.TABLES]
TRAINED = [*FORMS, "fake_quant, learned steps", *(f"or_adder_array, {kind}" for kind in network.GRADIENTS)]
BRIEF = network.Effort(0.0, (1, 2))


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(network, "TASKS", (INFERENCE, TRAINING))
    monkeypatch.setattr(network, "FULL", BRIEF)
    monkeypatch.setattr(network, "QUICK", BRIEF)


def test_tables_are_of_low_and_of_high_rank():
    low, high, random = (error_rank(TABLES[name][0]()) for name in network.TABLES)
    assert 0 < low <= 4 and high > 30 and random > 200


def test_every_form_computes_what_its_name_says():
    made = network.forms(INFERENCE)
    assert list(made) == FORMS
    x = network.images(4, 8, seed=9)
    with torch.no_grad():
        logits = {form: model(x) for form, model in made.items()}
        for layer in table_layers(made["broken_array"]).values():
            layer.set_table(exact_table().astype(np.int32))
        assert torch.equal(made["broken_array"](x), logits["fake_quant"])
    assert (logits["fake_quant"] - logits["fp32"]).std() < 0.2 * logits["fp32"].std()
    for name in network.TABLES:
        assert not torch.equal(logits[name], logits["fake_quant"])
        assert all(layer.lut.shape == (256, 256) for layer in table_layers(made[name]).values())
    assert not any(layer.lut.numel() for layer in table_layers(made["fake_quant"]).values())


def test_networks_and_images_are_the_same_every_time():
    once, again = (network.float_network(INFERENCE).state_dict() for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert torch.equal(network.images(2, 8, seed=1), network.images(2, 8, seed=1))
    assert not torch.equal(network.images(2, 8, seed=1), network.images(2, 8, seed=2))


def test_inference_has_no_gradients_and_no_batch_statistics():
    model = network.float_network(INFERENCE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = network.inference(model.train(), network.images(2, 8, seed=1))()
    assert not logits.requires_grad
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("form", TRAINED)
def test_a_training_step_changes_every_parameter(form):
    model = network.forms(TRAINING)[form]
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert any(name.endswith("out_scale") for name in trained) == ("learned" in form)
    before = {name: value.detach().clone() for name, value in trained.items()}
    step = network.training_step(model, network.images(2, 8, seed=1), torch.tensor([0, 3]))
    assert model.training and torch.isfinite(step())
    changed = [name for name, value in trained.items() if not torch.equal(before[name], value)]
    assert changed == list(trained) if "learned" not in form else len(changed) > 0.8 * len(trained)


def test_entries_run_in_turn_until_time_is_up(monkeypatch):
    order: list[str] = []
    clock = iter(range(1000))
    monkeypatch.setattr(network.time, "perf_counter", lambda: next(clock))
    entries = [network.Entry(name, lambda name=name: order.append(name)) for name in "abc"]
    network.race(entries, network.Effort(8, (2, 5)), 1)
    rounds = [order[start : start + 3] for start in range(0, len(order), 3)]
    assert len(rounds) == 1 + 3 and all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert [entry.times for entry in entries] == [[1, 1, 1]] * 3


def test_ratios_are_those_of_times_within_a_group():
    def row(form: str, batch: int, seconds: float) -> dict[str, object]:
        return {"model": "m", "task": "inference", "batch": batch, "threads": 1, "form": form, "seconds": seconds}

    one = [row("fp32", 1, 2.0), row("fake_quant", 1, 4.0), row("broken_array", 1, 3.0)]
    eight = [row("broken_array", 8, 6.0), row("fp32", 8, 4.0), row("fake_quant", 8, 3.0)]
    found = network.with_ratios(pd.DataFrame([*one, *eight]))
    assert found["to_fp32"].tolist() == [1, 2, 1.5, 1.5, 1, 0.75]
    assert found["to_fake_quant"].tolist() == [0.5, 1, 0.75, 2, 4 / 3, 1]
    last = json.loads(network.summary(found))
    assert last["m inference 1"]["broken_array"] == {"to_fp32": 1.5, "to_fake_quant": 0.75}


def test_quick_writes_a_file_and_ends_in_a_line_of_json(short, tmp_path, capsys):
    network.main(["--quick", "--output", str(tmp_path / "new")])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(last) == ["resnet8 inference 2", "resnet8 training 2"]
    assert [list(ratios) for ratios in last.values()] == [FORMS, TRAINED]
    written = pd.read_csv(tmp_path / "new" / "network.csv")
    assert len(written) == len(FORMS) + len(TRAINED) and set(written["threads"]) == {1}
    assert set(written["torch"]) == {torch.__version__} and written["cpu"].notna().all()
    assert (written["seconds"] > 0).all() and (written["seconds"] <= written["median_seconds"]).all()


def test_threads_are_set_and_put_back(short):
    before = torch.get_num_threads()
    found = network.measure([1, 2], BRIEF, Console(quiet=True))
    assert torch.get_num_threads() == before
    assert sorted(found.groupby(network.GROUP).size()) == [len(FORMS)] * 2 + [len(TRAINED)] * 2
    network.show(found, Console(quiet=True))
