"""What the simulation tests share: each simulator of this machine, and small RTL to run in it."""

from pathlib import Path

import pytest

from lut_gen.design import Design
from lut_gen.errors import ToolError
from sim import simulators
from sim.wrapper import Instance


def pytest_report_header() -> str:
    """The simulator that compares the whole catalog (`make cocotb SIM=...`), and its version."""
    name = simulators.chosen()
    try:
        return f"simulator: {name} {simulators.get(name).version()}"
    except ToolError as error:
        return f"simulator: {name}: {error.came}"


@pytest.fixture(scope="session", params=list(simulators.SIMULATORS))
def simulator(request: pytest.FixtureRequest) -> str:
    """Name of one simulator after the other."""
    return installed(request.param)


def installed(name: str) -> str:
    """The name. Skips where the machine lacks the simulator, or a part of it."""
    lacking = simulators.get(name).missing()
    if lacking:
        pytest.skip(f"{name}: this machine lacks {', '.join(lacking)}")
    return name


def instance(folder: Path, body: str) -> Instance:
    """A module with ports a[2:0], b[1:0] and unsigned y[4:0] around this text."""
    source = folder / "my multiplier.v"
    source.write_text(f"module mine (input [2:0] a, input [1:0] b, output [4:0] y);\n{body}\nendmodule\n")
    return Instance(Design("mine", "test", (source,), "mine"), 3, 2, 5, signed=False)
