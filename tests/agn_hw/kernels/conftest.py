"""Fixtures that run a test once for each back end of this machine."""

from collections.abc import Iterator

import pytest

from agn_hw.kernels import backend, native
from tests.agn_hw.kernels.operands import instruction_sets, using


@pytest.fixture(params=native.ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """An instruction set of the compiled kernels, in use."""
    if not native.available():
        pytest.skip("no compiled kernels here")
    if request.param not in instruction_sets():
        pytest.skip(f"this processor lacks {request.param}")
    with using(request.param):
        yield request.param


@pytest.fixture
def portable_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where the library was not built, without the warning."""
    monkeypatch.setattr(backend, "compiled", lambda: False)


@pytest.fixture(params=[*native.ISAS, "portable"])
def back_end(request: pytest.FixtureRequest) -> Iterator[str]:
    """An instruction set of the compiled kernels, or pure torch, behind every operator."""
    if request.param == "portable":
        request.getfixturevalue("portable_only")
        yield request.param
    elif request.param in instruction_sets():
        with using(request.param):
            yield request.param
    else:
        pytest.skip(f"{request.param}: no compiled kernels, or not this processor's")
