"""What only a CUDA device can show. `make test-cuda` runs these, and asks for a device; elsewhere they are skipped.

Nothing of tests/conftest.py is needed: neither a catalog nor Yosys is there on a bare machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from agn_hw.kernels.cuda import compiler

WANTED = "AGN_HW_WANT_CUDA"
HERE = Path(__file__).parent
FILTERS = (
    "default",
    "error:agn-hw",
    "ignore:agn-hw has no compiled kernels:RuntimeWarning",  # of the processor, whose results are only the yardstick
)
"""Warnings of ours are errors; those of another torch, CUDA or NumPy than the tests grew up with are not."""


def found() -> torch.device | None:
    """The device that these tests run on."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else None


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get(WANTED) and found() is None:
        raise pytest.UsageError(
            f"wanted a CUDA device for tests/cuda, torch {torch.__version__} finds none: look at nvidia-smi, and "
            "whether this is a torch for CUDA"
        )
    if os.environ.get(WANTED) and compiler.missing():
        raise pytest.UsageError(f"wanted what compiles the CUDA kernels, but {compiler.missing()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.filterwarnings(*FILTERS))
    if ours and found() is None:  # one stands for all, or the summary would name each
        reason = f"no CUDA device here: {len(ours)} tests wait for one; with it: make test-cuda PYTHON=python3"
        ours[0].add_marker(pytest.mark.skip(reason))
        config.hook.pytest_deselected(items=ours[1:])
        items[:] = [item for item in items if item not in set(ours[1:])]


@pytest.fixture
def device() -> torch.device:
    where = found()
    if where is None:
        pytest.skip("no CUDA device here; with one: make test-cuda PYTHON=python3")
    return where


@pytest.fixture(autouse=True)
def whole_float32() -> Iterator[None]:
    """No TF32: gradients are compared with the processor's."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def no_waiting(device: torch.device) -> Iterator[None]:
    """Fails where the host waits for the device, as far as torch notices it."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")
