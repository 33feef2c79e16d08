"""cocotb's runner in a process of its own: `python -m sim.cocotb_job build|test ORDER.json`.

The order holds the simulator's name and the arguments of the runner's method. Ends with status 1 where the build
fails, or where no test ran or one failed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner


def build(order: dict[str, Any]) -> None:
    """Builds the simulation. Raises RuntimeError where a program fails."""
    get_runner(order.pop("simulator")).build(**order)


def test(order: dict[str, Any]) -> None:
    """Runs the bench. Raises RuntimeError where it does not pass; without a test cocotb itself would pass."""
    tests, failures = get_results(get_runner(order.pop("simulator")).test(**order))
    if tests == 0 or failures > 0:
        raise RuntimeError(f"of {tests} tests {failures} failed")


def main(step: str, order: str) -> None:
    """Does one step; a failure is said in one line, after what the programs said."""
    try:
        {"build": build, "test": test}[step](json.loads(Path(order).read_text()))
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
