"""The simulators that can run the source RTL, behind one interface.

A new simulator is one module with the functions of `Simulator`, and its entry in SIMULATORS.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from lut_gen.errors import ToolError
from sim import icarus, verilator
from sim.wrapper import Instance


class Simulator(Protocol):
    """What a simulator's module offers."""

    def missing(self) -> dict[str, str]:
        """What this machine lacks: tool -> how to get it. Empty where all is there."""

    def version(self) -> str:
        """Version text. Raises ToolError where something is missing or too old."""

    def products(self, instances: list[Instance], folder: Path, limit_s: float) -> list[np.ndarray]:
        """Products of the RTL at all operand pairs, int64 [2**a_bits, 2**b_bits] a design, in order.

        They have the value of the product bits as the catalog's tables do, or wrapper.UNKNOWN. Whatever is kept
        stands below `folder`. Raises ToolError where a tool is missing, fails, or takes longer than `limit_s`.
        """


SIMULATORS: dict[str, Simulator] = {"verilator": verilator, "icarus": icarus}
"""By name; the first is the one that runs where none is named."""


def get(name: str) -> Simulator:
    """The simulator of that name. Raises ToolError for another name."""
    if name not in SIMULATORS:
        wanted = f"a simulator out of {', '.join(SIMULATORS)}"
        raise ToolError(wanted, f"{name!r} came", "correct SIM=... or AGN_HW_SIM")
    return SIMULATORS[name]


def chosen() -> str:
    """Name of the simulator that AGN_HW_SIM asks for; "verilator" where it asks for none."""
    return os.environ.get("AGN_HW_SIM") or next(iter(SIMULATORS))
