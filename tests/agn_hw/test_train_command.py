"""`agn-hw train` from the command line."""

import json

import pytest
import torch

from agn_hw import train
from agn_hw.cli import main
from agn_hw.zoo import data, models


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # runs/ and build/cache/ lie where the command is given


def test_train_writes_a_network_and_goes_on(tmp_path, capsys, monkeypatch):
    command = ["train", "--data", "digits", "--epochs", "1.5", "--seed", "1"]
    assert main(command) == 0
    folder = tmp_path / "runs" / "resnet8-digits-float"
    told = capsys.readouterr()
    assert "training in runs/resnet8-digits-float" in told.err and "the same command" in told.err
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [21, 32]
    model = models.build("resnet8", 1, 10)
    model.load_state_dict(torch.load(folder / "network.pt", weights_only=True))
    reached = train.accuracy(model.eval(), data.load("digits", 1).validation)
    assert reached == lines[-1]["validation_accuracy"] and f"{reached:.2%}" in told.out
    monkeypatch.setattr(train._Run, "learn", None)  # nothing is left to do
    assert main(command) == 0 and "going on" in capsys.readouterr().err


def test_another_runs_folder_is_refused(tmp_path, capsys):
    assert main(["train", "--epochs", "0.1", "-o", "here"]) == 0
    assert main(["train", "--epochs", "0.2", "-o", "here"]) == 2
    assert "another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--model", "resnet9"], "resnet8"),
    (["--data", "mnist"], "--data-root"),
], ids=["model", "data"])
def test_what_cannot_be_is_told(arguments, message, capsys):
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_epochs_are_more_than_none(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--epochs", "0"])
    assert "above 0" in capsys.readouterr().err
