"""The Makefile's targets for a GPU, where what they want is not there."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_without_compute_sanitizer_one_line_says_where_it_comes_from(tmp_path):
    make = shutil.which("make")
    if make is None:
        pytest.skip("wants make")
    done = subprocess.run([make, "-s", "sanitize-cuda"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True,
                          text=True)
    said, *rest = done.stderr.splitlines()
    assert "wanted compute-sanitizer" in said and "comes with the CUDA toolkit" in said
    assert done.returncode and done.stdout == "" and len(rest) == 1 and rest[0].endswith("sanitize-cuda] Error 1")
