"""The bus of `sim.array_cases` under cocotb: drives one case after the other, and keeps what each came to.

AGN_HW_REGRESSION_JOB names the folder of a job: `cases.json` and `table_0.npy` ... come in, `result_0.json` ...
go out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cocotb.triggers import Timer


class Difference(Exception):
    """Hardware and model differ; says where."""


class Bus:
    """One case of the simulation.

    parameters: of the module; table: int64 [2**x_bits, 2**w_bits]; seed: of what is driven; cycles: driven so far.
    """

    def __init__(self, dut: Any, number: int, case: Mapping[str, Any], table: np.ndarray) -> None:
        self.dut, self.number = dut, number
        self.parameters: dict[str, int] = case["parameters"]
        self.inputs: list[tuple[str, int]] = case["inputs"]
        self.outputs: list[tuple[str, int]] = case["outputs"]
        self.seed: int = case["seed"]
        self.table = table
        self.cycles = 0

    async def cycle(self, values: Mapping[str, int]) -> dict[str, int | None]:
        """Drives all inputs at a falling edge, returns the outputs just before the rising edge that takes the inputs.

        An output is None where one of its bits is x or z.
        """
        assert values.keys() == dict(self.inputs).keys(), "other ports"
        pattern = place = 0
        for name, bits in self.inputs:
            assert 0 <= values[name] < 1 << bits, f"{name} = {values[name]} in {bits} bits"
            pattern |= values[name] << place
            place += bits
        self.dut.clk.value = 0
        self.dut.selected.value = self.number
        self.dut.inputs.value = pattern
        await Timer(1, "step")
        found = str(self.dut.outputs.value)
        self.dut.clk.value = 1
        await Timer(1, "step")
        self.cycles += 1
        return self._fields(found)

    def _fields(self, text: str) -> dict[str, int | None]:
        """Values by port of the bus' bits, the last of which are the first port's."""
        fields: dict[str, int | None] = {}
        end = len(text)
        for name, bits in self.outputs:
            digits = text[end - bits : end]
            fields[name] = int(digits, 2) if set(digits) <= {"0", "1"} else None
            end -= bits
        return fields


async def run(dut: Any, top: str, check: Callable[[Bus], Awaitable[None]]) -> None:
    """Has `check` run each case of this top, and keeps cycles and first difference; at least one must be there."""
    job = Path(os.environ["AGN_HW_REGRESSION_JOB"])
    ran = 0
    for number, case in enumerate(json.loads((job / "cases.json").read_text())):
        if case["top"] != top:
            continue
        bus = Bus(dut, number, case, np.load(job / f"table_{number}.npy", allow_pickle=False))
        difference = None
        try:
            await check(bus)
        except Difference as found:
            difference = str(found)
        (job / f"result_{number}.json").write_text(json.dumps({"cycles": bus.cycles, "difference": difference}))
        ran += 1
    assert ran > 0, f"no case with the top {top}"
