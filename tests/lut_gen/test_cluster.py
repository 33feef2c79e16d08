"""The same jobs on a Dask cluster: a real scheduler and two worker processes, one of them killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import rtl
from lut_gen import cluster
from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design, gather
from lut_gen.errors import ToolError
from tests.lut_gen.test_interruption import tree

pytestmark = pytest.mark.slow


@dataclass
class Machines:
    """A scheduler's address and its workers' processes."""

    address: str
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    where = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(where), "--no-dashboard", "--host", "127.0.0.1"]
    processes = [start("scheduler", *common, "--port", "0")]
    try:
        while not (where.exists() and where.read_text().endswith("}")):
            assert processes[0].poll() is None
            time.sleep(0.05)
        workers = [start("worker", *common, "--no-nanny", "--nthreads", "1") for _ in range(2)]
        processes += workers
        yield Machines(json.loads(where.read_text())["address"].removeprefix("tcp://"), processes[0], workers)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def start(role: str, *options: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(rtl.ROOT.parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "dask", role, *options],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def some_designs() -> list[Design]:
    return [design for design in gather([rtl.MULTIPLIERS]) if "4x" in design.name or "3x3" in design.name]


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(machines, some_designs, tmp_path):
    assert len(some_designs) > 12
    finished = []
    for outcome in build(some_designs, tmp_path / "far", cluster=machines.address):
        assert outcome.error is None
        finished.append(outcome.design.name)
        if len(finished) == 4:
            machines.workers[0].send_signal(signal.SIGKILL)
    assert sorted(finished) == sorted(design.name for design in some_designs)
    assert machines.workers[0].wait() == -signal.SIGKILL
    assert all(outcome.error is None for outcome in build(some_designs, tmp_path / "here", jobs=2))
    assert tree(tmp_path / "far") == tree(tmp_path / "here")


def test_a_failed_design_comes_back_with_its_log(machines, some_designs, tmp_path):
    source = tmp_path / "broken.v"
    source.write_text("module broken (input [3:0] a, b, output [7:0] y);\n  assign y = a * ;\nendmodule\n")
    broken = Design("broken", "user", (source,), "broken")
    outcomes = {o.design.name: o for o in build([broken, *some_designs[:2]], tmp_path / "c", cluster=machines.address)}
    assert [name for name, outcome in outcomes.items() if outcome.error] == ["broken"]
    error = outcomes["broken"].error
    assert "broken.v:2" in str(error) and "syntax error" in str(error)
    assert error.log == tmp_path / "c" / "failed" / "broken" / "yosys.log" and "syntax error" in error.log.read_text()


def test_a_lost_scheduler_is_said_for_each_design(machines, some_designs, tmp_path):
    outcomes = []
    for outcome in build(some_designs, tmp_path / "c", cluster=machines.address):
        outcomes.append(outcome)
        if len(outcomes) == 2:
            machines.scheduler.kill()
    assert sorted(o.design.name for o in outcomes) == sorted(design.name for design in some_designs)
    lost = [outcome for outcome in outcomes if outcome.error]
    assert lost and all("scheduler was lost" in str(outcome.error) for outcome in lost)
    assert all(outcome.error is None for outcome in build(some_designs, tmp_path / "c"))  # the rest, here


def test_no_scheduler_there(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_S", 1)
    with pytest.raises(ToolError, match=r"(?s)a Dask scheduler at 127.0.0.1:1.*dask scheduler"):
        list(build(gather([rtl.MULTIPLIERS])[:1], tmp_path / "c", cluster="127.0.0.1:1"))
    assert not (tmp_path / "c").exists()


def test_sources_keep_their_folders(machines, tmp_path):
    text = '`include "sub/k.vh"\nmodule m (input [1:0] a, b, output [3:0] y); assign y = a * `FACTOR; endmodule\n'
    headers = {"sub/k.vh": "`define FACTOR b\n", "other/k.vh": "`define FACTOR 0\n"}
    for name, content in {"m.v": text, **headers}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    files = tuple(tmp_path / name for name in ("m.v", "other/k.vh", "sub/k.vh"))
    [outcome] = build([Design("m", "user", files, "m")], tmp_path / "c", cluster=machines.address)
    assert outcome.error is None
    assert Catalog.load(tmp_path / "c")["m"].lut.tolist() == [[a * b for b in range(4)] for a in range(4)]
