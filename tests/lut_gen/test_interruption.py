"""Builds that are killed, stopped or run twice at once: the catalog ends up as if nothing had happened."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import rtl

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
DESIGNS = [
    ("exact_array_multiplier", {"A_BITS": 2, "B_BITS": 2}), ("exact_array_multiplier", {"A_BITS": 3, "B_BITS": 2}),
    ("exact_array_multiplier", {"A_BITS": 3, "B_BITS": 3}), ("exact_array_multiplier", {"A_BITS": 4, "B_BITS": 2}),
    ("baugh_wooley_multiplier", {"A_BITS": 3, "B_BITS": 3, "DROP": 0}),
    ("truncated_multiplier", {"A_BITS": 3, "B_BITS": 3, "DROP": 2}),
    ("kulkarni_multiplier", {"A_BITS": 2, "B_BITS": 2}), ("kulkarni_multiplier", {"A_BITS": 4, "B_BITS": 4}),
]
MARK = "AGN_HW_TEST_MARK"


class Builder:
    """Starts `agn-hw luts` on a list of small designs; finds its processes again by a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.list = folder / "list.toml"
        entries = []
        for i, (top, parameters) in enumerate(DESIGNS):
            names = (top, "carry_save_reducer", "full_adder_cell")
            sources = [str(rtl.ROOT / "multipliers" / f"{name}.v") for name in names]
            values = ", ".join(f"{key} = {value}" for key, value in parameters.items())
            head = f'[[design]]\nname = "d{i}"\nfiles = {sources}\ntop = "{top}"\n'
            entries.append(head + f"parameters = {{ {values} }}\n")
        self.list.write_text("\n".join(entries))

    def start(self, catalog: Path, output: int = subprocess.PIPE) -> subprocess.Popen:
        command = [sys.executable, "-m", "agn_hw.cli", "luts", str(self.list), "-o", str(catalog), "--jobs", "2"]
        environment = {**os.environ, MARK: self.mark}
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, start_new_session=True,
            stdout=output, stderr=output,
        )

    def finish(self, catalog: Path) -> None:
        process = self.start(catalog)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors

    def alive(self) -> dict[int, str]:
        """Command lines of all processes that come from this builder, by process id."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def assert_all_gone(self) -> None:
        deadline = time.monotonic() + 30  # they need less than a second where the machine is idle
        while left := self.alive():
            if time.monotonic() > deadline:
                for process in left:
                    os.kill(process, signal.SIGKILL)
                pytest.fail(f"still there: {left}")
            time.sleep(0.05)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Content of every file (None for a folder) by path, hidden ones included."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc to see what a killed build leaves behind")
    return Builder(tmp_path_factory.mktemp("builder"))


@pytest.fixture(scope="module")
def reference(builder, tmp_path_factory):
    """An undisturbed build's content and how long it took."""
    catalog = tmp_path_factory.mktemp("reference") / "c"
    started = time.monotonic()
    builder.finish(catalog)
    duration = time.monotonic() - started
    assert len(list((catalog / "luts").iterdir())) == len(DESIGNS)
    return tree(catalog), duration


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(builder, reference, tmp_path):
    content, duration = reference
    moments = [(kill + random.Random(kill).random()) / KILLS * duration for kill in range(KILLS)]
    random.Random(0).shuffle(moments)
    catalog = tmp_path / "c"
    killed = 0
    for moment in moments:
        process = builder.start(catalog, subprocess.DEVNULL)
        try:
            assert process.wait(timeout=moment) == 0
        except subprocess.TimeoutExpired:
            process.kill()  # the main process only; its workers are still there when the next build starts
            process.wait()
            killed += 1
            continue
        assert tree(catalog) == content  # it was quicker than the kill
        shutil.rmtree(catalog)
    assert killed >= KILLS // 4
    builder.assert_all_gone()
    builder.finish(catalog)
    assert tree(catalog) == content
    builder.assert_all_gone()


def rows(catalog: Path) -> int:
    index = catalog / "index.csv"
    return index.read_text().count("\n") - 1 if index.exists() else 0


def test_a_long_yosys_run_goes_with_the_build_that_started_it(builder, tmp_path, monkeypatch):
    program, started = tmp_path / "endless-yosys", tmp_path / "started"
    program.write_text(f"#!/bin/sh\n[ $1 = -V ] && echo 'Yosys 0.1' && exit\ntouch '{started}'\nsleep 600 & wait\n")
    program.chmod(0o755)
    monkeypatch.setenv("AGN_HW_YOSYS", str(program))
    process = builder.start(tmp_path / "c", subprocess.DEVNULL)
    while process.poll() is None and not started.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    builder.assert_all_gone()


@pytest.mark.slow
def test_an_interrupt_ends_it_with_a_word_and_what_was_done_stays(builder, reference, tmp_path):
    content, _ = reference
    catalog = tmp_path / "c"
    process = builder.start(catalog)
    while process.poll() is None and rows(catalog) == 0:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does it
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "are kept for the next time" in errors
    assert "Traceback" not in errors
    builder.assert_all_gone()
    assert rows(catalog) > 0
    builder.finish(catalog)
    assert tree(catalog) == content


@pytest.mark.slow
def test_two_builds_at_once_do_not_disturb_each_other(builder, reference, tmp_path):
    content, _ = reference
    catalog = tmp_path / "c"
    both = [builder.start(catalog), builder.start(catalog)]
    texts = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert sorted(f"{n} unchanged" in texts[0][0] + texts[1][0] for n in (0, len(DESIGNS))) == [True, True]
    assert tree(catalog) == content
