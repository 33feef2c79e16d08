"""Outside tools stay within their limits and end with everything that they started."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lut_gen import child


def run_python(text: str, folder: Path, timeout_s: float = 60.0, **limits: int) -> tuple[int, str]:
    log = folder / "log"
    status = child.run([sys.executable, "-c", text], folder, log, timeout_s, **limits)
    return status, log.read_text()


def test_status_and_output_of_a_run_in_its_folder(tmp_path):
    text = "import os, sys; print(os.getcwd()); print('said', file=sys.stderr, flush=True); sys.exit(3)"
    status, log = run_python(text, tmp_path)
    assert status == 3 and str(tmp_path) in log and "said" in log


def test_memory_is_bounded(tmp_path):
    text = "import time; time.sleep(0.5); x = bytearray(2 << 30)"
    status, log = run_python(text, tmp_path, memory_bytes=1 << 30)
    assert status == 1 and "MemoryError" in log


def test_output_is_bounded(tmp_path):
    text = "import time; time.sleep(0.5)\nwhile True: print('x' * 1000)"
    status, log = run_python(text, tmp_path, output_bytes=1 << 20)
    assert status != 0 and len(log) <= 1 << 20


def test_time_is_bounded_and_nothing_lives_on(tmp_path):
    text = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid, flush=True)\nwhile True: pass"
    with pytest.raises(subprocess.TimeoutExpired):
        run_python(text, tmp_path, timeout_s=1.5)
    assert_ended(int((tmp_path / "log").read_text()))


def test_what_a_finished_run_left_behind_is_ended_too(tmp_path):
    text = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    status, log = run_python(text, tmp_path)
    assert status == 0
    assert_ended(int(log))


def assert_ended(process: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{process}/stat").exists() and " Z " not in Path(f"/proc/{process}/stat").read_text():
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)
