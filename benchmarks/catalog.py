"""What a catalog costs to build, stage by stage: `python -m benchmarks.catalog --help`.

The yardstick is one plain Yosys run of the same design (read, synth, abc to the library) in a fresh process: what a
script of one's own starts with, before any table, energy, delay or error figure.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/catalog.py`

import rtl
from lut_gen import figures, synthesis, yosys
from lut_gen.design import Design, gather
from lut_gen.library import liberty_reader
from lut_gen.library.liberty import Technology

OUT = Path("reports/catalog")
STAGES = {
    "Yosys, three mappings": (synthesis.yosys, "run"),
    "reading the netlists": (synthesis, "from_yosys"),
    "all operand pairs, energy": (figures, "_cheapest"),
    "sign logic": (figures, "_sign_logic"),
    "critical path": (figures.timing, "delay_ns"),
    "error metrics": (figures, "error_metrics"),
    "packing the table": (figures.files, "npz_bytes"),
}
"""Stage -> the function that does it."""
YARDSTICK = "yardstick: one plain Yosys run"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every tenth design, no whole build; writes nothing")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    options = parser.parse_args()
    designs = gather([rtl.MULTIPLIERS])
    table = stages(designs[::10] if options.quick else designs)
    show(table)
    summary: dict[str, Any] = {"designs": len(designs), "stages": table["ms"].round(1).to_dict()}
    if not options.quick:
        summary |= whole_build()
        table.to_csv(options.out / "stages.csv", float_format="%.4g")
        (options.out / "build.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary))
    return 0


def stages(designs: list[Design]) -> pd.DataFrame:
    """Mean seconds of computing a design for each stage and the yardstick, one design after the other: columns ms
    (processor time, children included) and to_yardstick."""
    technology = liberty_reader.load()
    seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as name:
        for design in track(designs, "designs", console=Console(stderr=True)):
            for whole in (YARDSTICK, "all stages"):
                folder = Path(name) / whole.split()[0] / design.name
                with timed(seconds, whole), ExitStack() as stack:
                    if whole == YARDSTICK:
                        plain_yosys(design, technology, folder)
                        continue
                    for stage, (owner, function) in STAGES.items():
                        replaced = measured(getattr(owner, function), seconds, stage)
                        stack.enter_context(mock.patch.object(owner, function, replaced))
                    figures.characterise(design, technology, folder)
                shutil.rmtree(folder, ignore_errors=True)
    table = pd.DataFrame({"ms": {stage: 1e3 * spent / len(designs) for stage, spent in seconds.items()}})
    table["to_yardstick"] = table["ms"] / table.loc[YARDSTICK, "ms"]
    return table.loc[[*STAGES, "all stages", YARDSTICK]].rename_axis("stage")


def plain_yosys(design: Design, technology: Technology, folder: Path) -> None:
    """One synthesis as a script of one's own would do it."""
    folder.mkdir(parents=True)
    for number, path in enumerate(design.files):
        shutil.copy(path, folder / f"source_{number}.v")
    (folder / "cells.lib").write_bytes(technology.gate_text)
    sources = " ".join(f"source_{number}.v" for number in range(len(design.files)))
    chosen = [f"chparam -set {key} {value} {design.top}" for key, value in design.parameters.items()]
    lines = [f"read_verilog {sources}", *chosen, f"synth -flatten -top {design.top}"]
    yosys.run("\n".join([*lines, "abc -liberty cells.lib", "stat -liberty cells.lib"]) + "\n", folder)


def measured(function: Callable[..., Any], seconds: dict[str, float], stage: str) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        with timed(seconds, stage):
            return function(*arguments, **options)

    return run


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    before = computing()
    yield
    seconds[stage] += computing() - before


def computing() -> float:
    """Processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def whole_build() -> dict[str, float]:
    """The command as users run it: seconds of the first and the second time, and seconds x cores a design."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "agn_hw.cli", "luts", str(rtl.MULTIPLIERS), "-o", f"{name}/catalog"]
        spent = []
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            spent.append(time.perf_counter() - started)
    cores, designs = os.cpu_count() or 1, len(gather([rtl.MULTIPLIERS]))
    return {
        "cores": cores,
        "cold_s": round(spent[0], 1),
        "cold_core_s_a_design": round(spent[0] * cores / designs, 3),
        "warm_s": round(spent[1], 2),
    }


def show(table: pd.DataFrame) -> None:
    printed = Table(title="processor time a design")
    for heading in ("stage", "ms", "/ yardstick"):
        printed.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, row in table.iterrows():
        printed.add_row(str(stage), f"{row['ms']:.1f}", f"{row['to_yardstick']:.2f}")
    Console().print(printed)


if __name__ == "__main__":
    sys.exit(main())
