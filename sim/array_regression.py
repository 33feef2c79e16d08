"""The accelerator's Verilog against plain sums of table entries: processing elements and matrix units under cocotb.

The benches drive what `array_cases` wraps, and compare with models that know nothing of the Verilog: every output
register of an element after every edge, every total of a matrix unit and the edge at which it comes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lut_gen.errors import ToolError
from sim import array_cases, cocotb_bench, icarus, process, verilator
from sim.array_cases import Case

TOOLS = {"verilator": verilator.cocotb_tool, "icarus": icarus.cocotb_tool}
_BENCHES = {"pe": "sim.benches.pe", "matrix_unit": "sim.benches.array"}


@dataclass(frozen=True)
class Result:
    """One case: clock cycles that were driven, and the first difference in words, or None where there is none."""

    name: str
    cycles: int
    difference: str | None


def run(
    cases: list[Case], folder: Path, simulator: str = "verilator", limit_s: float = process.LIMIT_S
) -> list[Result]:
    """Simulates all cases, each by the bench of its top; one Result a case, in order.

    The simulation is built below `folder`, under a hash of all that goes into it, and found again there; it is run each
    time. Raises ToolError where a tool is missing, where build or simulation fail or take longer than `limit_s`
    seconds, or where a case has no result; AgnError for no cases, or too many. A difference is no error.
    """
    tool = TOOLS[simulator]()
    place = cocotb_bench.build(tool, array_cases.sources(cases), array_cases.TOP, folder.absolute(), limit_s)
    job = place / "job"
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir()
    (job / "cases.json").write_text(json.dumps([_described(case) for case in cases], indent=1))
    for number, case in enumerate(cases):
        np.save(job / f"table_{number}.npy", case.product.table.astype(np.int64))
    benches = sorted({_BENCHES[case.top] for case in cases})
    changes = {"AGN_HW_REGRESSION_JOB": str(job)}
    cocotb_bench.run(tool, place, array_cases.TOP, benches, job, limit_s, changes)
    return [_result(case, job / f"result_{number}.json") for number, case in enumerate(cases)]


def _described(case: Case) -> dict[str, object]:
    """What the benches are told of a case; `table_NUMBER.npy` lies beside it."""
    inputs, outputs = case.ports()
    described = {"top": case.top, "seed": case.seed, "parameters": case.all_parameters()}
    return {**described, "inputs": list(inputs.items()), "outputs": list(outputs.items())}


def _result(case: Case, path: Path) -> Result:
    """What the bench left of a case. Raises ToolError where it did not run."""
    found = json.loads(path.read_text()) if path.exists() else {}
    if not found.get("cycles"):
        wanted = f"the bench to run the case '{case.name}'"
        raise ToolError(wanted, "it did not", "see the log", path.parent / "run.log")
    return Result(case.name, found["cycles"], found["difference"])
