"""Kernels on an emulated device: their tests run anywhere."""

from collections.abc import Iterator

import pytest
import torch

from agn_hw.kernels.cuda import launch
from tests.agn_hw.kernels.cuda.emulator.runner import COMPILER, Emulator


@pytest.fixture
def emulated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Launches go to the emulator, and torch.empty is full of garbage, as a device's memory is.

    Threads run shuffled, or in the order that a test is parametrised with:

    @pytest.mark.parametrize("emulated", ORDERS, indirect=True)
    """
    if not COMPILER:
        pytest.skip("the emulator needs a C++ compiler")
    emulator = Emulator(getattr(request, "param", "shuffled"))
    monkeypatch.setattr(launch, "launch", emulator.launch)
    monkeypatch.setattr(launch, "facts", emulator.facts)
    torch.use_deterministic_algorithms(True)  # fills what torch.empty makes with the largest numbers, or NaN
    yield emulator
    torch.use_deterministic_algorithms(False)
