"""Training runs on disk: a killed one goes on to the same bits, another one's folder is left alone."""

import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from agn_hw import checkpoint, train
from agn_hw.conversion.approximate import approximate
from agn_hw.nn.coded import learn_steps
from agn_hw.recipe import Recipe
from tests.agn_hw.networks import quantized_resnet, small_resnet
from tests.agn_hw.tables import multiplier, truncated_lut
from tests.agn_hw.training_case import RECIPE, SPLITS, changed, from_files, log_of, network, same, some_splits

ROOT = Path(__file__).resolve().parents[2]


class Stopped(Exception):
    """Stands for any sudden end within the process."""


def stop_at_step(monkeypatch, number: int) -> None:
    learn = train._Run.learn

    def counted(run, x, y):
        if run.step == number:
            raise Stopped
        learn(run, x, y)

    monkeypatch.setattr(train._Run, "learn", counted)


def begun(folder: Path, monkeypatch, step: int = 9, **others) -> None:
    """Leaves the folder of a run that stopped before this step."""
    with monkeypatch.context() as patch:
        stop_at_step(patch, step)
        with pytest.raises(Stopped):
            train.fit(network(), SPLITS, RECIPE, folder=folder, checkpoint_seconds=0, **others)


def float_case() -> tuple[nn.Module, Recipe, nn.Module | None]:
    return network(), replace(RECIPE, distill=0.5), network(seed=1)


def quantized_case() -> tuple[nn.Module, Recipe, nn.Module | None]:
    model = quantized_resnet()
    learn_steps(model)
    return model, replace(RECIPE, peak_rate=0.01, distill=0.5), small_resnet()


def table_case() -> tuple[nn.Module, Recipe, nn.Module | None]:
    model = approximate(quantized_resnet(), multiplier(truncated_lut(5)))
    return model, replace(RECIPE, peak_rate=0.01, schedule="cosine"), None


CASES: dict[str, Callable[[], tuple[nn.Module, Recipe, nn.Module | None]]] = {
    "float": float_case,
    "quantized": quantized_case,
    "tables": table_case,
}


OTHER_PROCESS = """
import sys, types
root, folder, *cases = sys.argv[1:]
tests = sys.modules["tests"] = types.ModuleType("tests")  # other packages install a `tests` too
tests.__path__ = [f"{root}/tests"]
from tests.agn_hw.test_checkpoint import run_with_kills
for case in cases:
    run_with_kills(case, f"{folder}/{case}", 8)
"""


def run_with_kills(case: str, folder: str, kills: int) -> None:
    """In a process of its own: trains in children that kill themselves (SIGKILL) at random places - before and after
    steps, flushes and renames - until one gets through; prints how many were killed."""
    import random
    import signal

    torch.set_num_threads(1)
    model, recipe, teacher = CASES[case]()
    draw = random.Random(case)
    for killed in range(kills + 1):
        lifetime = draw.randrange(5, 35) if killed < kills else 10**9
        child = os.fork()
        if child == 0:
            die_after(lifetime)
            train.fit(model, SPLITS, recipe, teacher=teacher, folder=folder, checkpoint_seconds=0)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            assert status == 0, f"{case}: {status}"
            print(killed)
            return


def die_after(events: int) -> None:
    """Kills this process at the `events`-th of: a step begins, a flush begins, a rename begins, a rename is done."""
    import signal

    left = events

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable, after: bool) -> Callable:
        def call(*arguments: object) -> object:
            count()
            result = function(*arguments)
            if after:
                count()
            return result

        return call

    os.replace, os.fsync = counted(os.replace, True), counted(os.fsync, False)
    train._Run.learn = counted(train._Run.learn, False)  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A folder with the run of each case, killed several times."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", OTHER_PROCESS, str(ROOT), str(folder), *CASES]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert min(map(int, done.stdout.split())) >= 3
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_again_and_again_ends_in_the_same_bits(case, killed, tmp_path):
    model, recipe, teacher = CASES[case]()
    history = train.fit(model, SPLITS, recipe, teacher=teacher, folder=tmp_path)
    again, recipe, teacher = CASES[case]()
    resumed = train.fit(again, SPLITS, recipe, teacher=teacher, folder=killed / case)
    assert same(again, model) and not again.training and not same(model, CASES[case]()[0])
    assert log_of(killed / case) == log_of(tmp_path)
    assert [epoch.step for epoch in resumed] == [epoch.step for epoch in history] == [6, 12, 15]


def test_without_a_folder_the_bits_are_the_same(tmp_path):
    one, other = network(), network()
    train.fit(one, SPLITS, RECIPE)
    train.fit(other, SPLITS, RECIPE, folder=tmp_path, validate=False, checkpoint_seconds=0)
    assert same(one, other)


def test_a_finished_run_returns_at_once(tmp_path, monkeypatch):
    model, again = network(), network()
    history = train.fit(model, SPLITS, RECIPE, folder=tmp_path)
    monkeypatch.setattr(train._Run, "learn", None)  # no step from here on
    assert train.fit(again, SPLITS, RECIPE, folder=tmp_path) == history and same(model, again)
    assert train.fit(model, SPLITS, RECIPE, folder=tmp_path) == history


def test_the_previous_checkpoint_stands_in_for_a_damaged_one(tmp_path, monkeypatch, caplog):
    whole = network()
    train.fit(whole, SPLITS, RECIPE)
    begun(tmp_path, monkeypatch)
    path = tmp_path / checkpoint.CHECKPOINT
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    resumed = network()
    with monkeypatch.context() as patch:  # the whole one must not be replaced by the damaged one
        patch.setattr(checkpoint, "write_tensors", lambda *arguments: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            train.fit(network(), SPLITS, RECIPE, folder=tmp_path, checkpoint_seconds=0)
    train.fit(resumed, SPLITS, RECIPE, folder=tmp_path)
    assert same(whole, resumed) and "checkpoint.pt is damaged" in caplog.text


def test_damaged_checkpoints_are_an_error(tmp_path, monkeypatch):
    begun(tmp_path, monkeypatch)
    for name in (checkpoint.CHECKPOINT, checkpoint.PREVIOUS):
        (tmp_path / name).write_bytes(b"torn")
    with pytest.raises(checkpoint.CheckpointError, match="all are damaged"):
        train.fit(network(), SPLITS, RECIPE, folder=tmp_path)


def test_a_torn_log_is_made_whole(tmp_path, monkeypatch):
    train.fit(network(), SPLITS, RECIPE, folder=tmp_path / "whole")
    begun(tmp_path / "torn", monkeypatch)
    log = tmp_path / "torn" / "log.jsonl"
    log.write_text(log.read_text() + log.read_text()[:-20])
    train.fit(network(), SPLITS, RECIPE, folder=tmp_path / "torn")
    assert log_of(tmp_path / "torn") == log_of(tmp_path / "whole")
    log.write_text(log.read_text()[:-20])  # the run is finished by now
    train.fit(network(), SPLITS, RECIPE, folder=tmp_path / "torn")
    assert log_of(tmp_path / "torn") == log_of(tmp_path / "whole")


def test_a_kill_at_the_end_of_an_epoch_loses_no_epoch(tmp_path, monkeypatch):
    whole = network()
    train.fit(whole, SPLITS, RECIPE, folder=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(train, "accuracy", lambda *arguments: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            train.fit(network(), SPLITS, RECIPE, folder=tmp_path / "stopped", checkpoint_seconds=0)
    resumed = network()
    train.fit(resumed, SPLITS, RECIPE, folder=tmp_path / "stopped")
    assert same(resumed, whole) and log_of(tmp_path / "stopped") == log_of(tmp_path / "whole")


def test_a_folder_with_another_log_is_left_alone(tmp_path):
    (tmp_path / "log.jsonl").write_text("{}\n")
    with pytest.raises(checkpoint.CheckpointError, match=r"holds a log\.jsonl"):
        train.fit(network(), SPLITS, RECIPE, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_tensorboard_gets_each_epoch_once(tmp_path, monkeypatch):
    written: dict[int, dict[str, float]] = {}

    class Writer:
        """Of torch.utils.tensorboard, which may not be installed."""

        def __init__(self, folder: str, purge_step: int) -> None:
            assert folder == str(tmp_path / "tensorboard")
            for step in [step for step in written if step >= purge_step]:
                del written[step]

        def __enter__(self) -> "Writer":
            return self

        def __exit__(self, *error: object) -> None: ...

        def add_scalar(self, name: str, value: float, step: int) -> None:
            assert name not in written.setdefault(step, {})
            written[step][name] = value

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    begun(tmp_path, monkeypatch, tensorboard=True)
    train.fit(network(), SPLITS, RECIPE, folder=tmp_path, tensorboard=True)
    lines = log_of(tmp_path)
    assert written == {line["step"]: {name: line[name] for name in checkpoint.FIGURES} for line in lines}


def narrower() -> nn.Module:
    model = network()
    model[0] = nn.Conv2d(3, 6, 1)
    return model


def with_table(value: int) -> nn.Module:
    model = network()
    model.register_buffer("lut", torch.full((4,), value))
    return model


@pytest.mark.parametrize(("change", "named"), [
    ({"recipe": replace(RECIPE, peak_rate=0.06)}, "recipe"),
    ({"splits": changed("train", 0)}, "training images"),
    ({"splits": changed("train", 129, "labels")}, "training images"),
    ({"splits": changed("validation", 17)}, "validation images"),
    ({"splits": from_files(SPLITS, "0123")}, "training images"),
    ({"splits": some_splits(150)}, "data set"),
    ({"model": narrower()}, "model"),
    ({"model": with_table(2)}, "tables or scales"),
    ({"teacher": network(seed=1), "recipe": replace(RECIPE, distill=0.5)}, "teacher"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_another_runs_folder_is_refused(change, named, tmp_path):
    start = with_table(1) if named.startswith("tables") else network()
    train.fit(start, SPLITS, replace(RECIPE, epochs=0.1), folder=tmp_path)
    arguments = {"model": with_table(1) if named.startswith("tables") else network(), "splits": SPLITS,
                 "recipe": replace(RECIPE, epochs=0.1), **change}
    with pytest.raises(checkpoint.CheckpointError, match=f"another .*{named} \\("):
        train.fit(**arguments, folder=tmp_path)


@pytest.mark.parametrize("steps", [9, 15])
def test_another_start_network_is_refused(steps, tmp_path, monkeypatch):
    other, before = network(seed=1), network(seed=1)
    begun(tmp_path, monkeypatch, steps) if steps < 15 else train.fit(network(), SPLITS, RECIPE, folder=tmp_path)
    content = (tmp_path / checkpoint.CHECKPOINT).read_bytes()
    with pytest.raises(checkpoint.CheckpointError, match=r"(?s)other weights than this run.*another folder"):
        train.fit(other, SPLITS, RECIPE, folder=tmp_path)
    assert same(other, before) and content == (tmp_path / checkpoint.CHECKPOINT).read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_the_checkpoints_own_weights_go_on_and_the_start_still_does(case, tmp_path, monkeypatch):
    (model, recipe, teacher), whole = CASES[case](), CASES[case]()[0]
    train.fit(whole, SPLITS, recipe, teacher=teacher)
    for step in (9, 11):  # the second time the model holds the checkpoint's weights
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            stop_at_step(patch, step)
            train.fit(model, SPLITS, recipe, teacher=teacher, folder=tmp_path, checkpoint_seconds=0)
    for again in (CASES[case]()[0], whole):
        train.fit(again, SPLITS, recipe, teacher=teacher, folder=tmp_path)
        assert same(again, whole)
    with pytest.raises(checkpoint.CheckpointError, match="other weights"):  # the checkpoint is further on
        train.fit(model, SPLITS, recipe, teacher=teacher, folder=tmp_path)


@pytest.mark.parametrize("change", [{"identity": None}, {"start": None}, {"machine": 1}, {"state": []}], ids=str)
def test_a_checkpoint_with_other_entries_is_damaged(change, tmp_path):
    entries = {"schema": checkpoint.SCHEMA, "identity": {}, "start": "", "machine": {}, "state": {}}
    checkpoint.write_tensors(tmp_path / checkpoint.CHECKPOINT, {**entries, **change})
    with pytest.raises(checkpoint.CheckpointError, match="it is no checkpoint"):
        train.fit(network(), SPLITS, RECIPE, folder=tmp_path)


def test_a_checkpoint_of_an_older_schema_is_refused(tmp_path):
    entries = {"schema": 1, "identity": {}, "machine": {}, "state": {}}
    checkpoint.write_tensors(tmp_path / checkpoint.CHECKPOINT, entries)
    with pytest.raises(checkpoint.CheckpointError, match="schema 1, not 2"):
        train.fit(network(), SPLITS, RECIPE, folder=tmp_path)


def test_another_number_of_threads_is_reported(tmp_path, monkeypatch, caplog):
    begun(tmp_path, monkeypatch)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    train.fit(network(), SPLITS, RECIPE, folder=tmp_path)
    assert "threads 1, now 77" in caplog.text
