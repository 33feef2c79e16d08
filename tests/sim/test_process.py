"""Limits of the simulators' processes, what they see, and what their failures say."""

import sys
from pathlib import Path

import pytest

from lut_gen.errors import ToolError
from sim import process


def run(folder: Path, code: str, limit_s: float = 60.0) -> str:
    return process.run("the program", [sys.executable, "-c", code], folder / "run.log", limit_s, {"EXTRA": "1"})


def test_output_is_the_log_and_the_folder_is_the_logs(tmp_path: Path) -> None:
    text = run(tmp_path, "import os; print(os.getcwd()); os.write(2, b'warned')")
    assert text == (tmp_path / "run.log").read_text() == f"{tmp_path}\nwarned" or text == f"warned{tmp_path}\n"


def test_the_environment_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCOTB_TEST_FILTER", "none")
    monkeypatch.setenv("A_TOKEN", "secret")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seen = eval(run(tmp_path, "import os; print(dict(os.environ))"))
    assert seen["EXTRA"] == "1" and seen["TMPDIR"] == str(tmp_path) and "PATH" in seen
    assert set(seen) <= {*process.KEPT, "EXTRA", "LC_CTYPE"}


def test_a_failure_has_status_and_last_lines(tmp_path: Path) -> None:
    with pytest.raises(process.Failed, match="the program to succeed") as caught:
        run(tmp_path, "print('/jobs/1/source_3.v:7: wrong'); raise SystemExit(5)")
    assert "status 5" in caught.value.came and caught.value.log == tmp_path / "run.log"
    renamed = caught.value.in_users_names({"source_3.v": "my file.v"})
    assert "| my file.v:7: wrong" in renamed.came and renamed.log == caught.value.log


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the program to finish") as caught:
        run(tmp_path, "import time; print('begun', flush=True); time.sleep(1000)", limit_s=1.0)
    assert "more than 1 s" in caught.value.came and "begun" in caught.value.came


def test_memory_has_a_limit(tmp_path: Path) -> None:
    with pytest.raises(process.Failed) as caught:
        run(tmp_path, f"import time; time.sleep(0.5); bytearray({process.MEMORY_BYTES})")
    assert "MemoryError" in caught.value.came


def test_a_signal_is_named(tmp_path: Path) -> None:
    with pytest.raises(process.Failed, match="signal SIGABRT"):
        run(tmp_path, "import os; os.abort()")


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the program to start"):
        process.run("the program", [str(tmp_path / "none")], tmp_path / "run.log", 60.0)
