"""Speed of products on the array's Verilog: `python -m benchmarks.cosim --help`.

Writes one row a multiplier and view, beside the table kernel on the same operands in the same run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/cosim.py`

from agn_hw.kernels import op  # noqa: F401  registers torch.ops.agn_hw
from lut_gen.catalog import Catalog, Multiplier
from lut_gen.library import liberty_reader
from lut_gen.library.liberty import Technology
from sim.cosim import VIEWS, ArrayShape, Circuit, SystolicArray

ROOT = Path(__file__).resolve().parent.parent
CIRCUITS = ("exact_8x8", "truncated_8x8_d9", "ilm_8x8_c1")
"""The exact one, the smallest and the largest netlist of the built-in designs with operands of 8 bits."""
DEPTH, COLUMNS = 64, 64
ROWS = {"bitsliced": 16384, "bitsliced with toggles": 4096, "rtl": 512, "table": 16384}
"""Rows of activations by contestant: about a second of each."""
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cosim", description=__doc__)
    parser.add_argument("--catalog", type=Path, default=ROOT / "build" / "catalog")
    parser.add_argument("--circuits", nargs="*", default=CIRCUITS, help="names, with operands of 8 bits")
    parser.add_argument("--side", type=int, default=8, help="rows and columns of the array")
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "cosim", help="where arrays are built")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "hardware_loop" / "cosim.csv")
    arguments = parser.parse_args()
    catalog, technology = Catalog.load(arguments.catalog), liberty_reader.load()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in track(arguments.circuits, description="multipliers", console=Console(stderr=True)):
        rows += measured(catalog[name], technology, arguments.side, arguments.builds)
    table = pd.DataFrame(rows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.output, index=False, float_format="%.4g", lineterminator="\n")
    show(table)


def measured(multiplier: Multiplier, technology: Technology, side: int, folder: Path) -> list[dict[str, Any]]:
    """Rows of one multiplier; patterns are uniform. Every result is compared with the table kernel's, bit for bit."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (max(ROWS.values()), DEPTH), dtype=np.uint8)
    w = random.integers(0, 256, (COLUMNS, DEPTH), dtype=np.uint8)
    lut = torch.from_numpy(multiplier.lut.copy())
    expected = torch.ops.agn_hw.lut_matmul(torch.from_numpy(x), torch.from_numpy(w), lut).numpy()
    arrays, rows = {}, []
    for contestant in ROWS:
        if contestant != "table":
            start = time.perf_counter()
            arrays[contestant] = _array(multiplier, technology, side, contestant, folder)
            rows.append({"contestant": contestant, "build_seconds": time.perf_counter() - start})
            product = arrays[contestant].matmul(x[: ROWS[contestant]], w)
            if not np.array_equal(product.sums, expected[: ROWS[contestant]]):
                sys.exit(f"{multiplier.name}, {contestant}: other sums than the table's")
            rows[-1] |= {"cycles": product.cycles, "utilisation": product.macs / (product.cycles * side * side)}
    rows.append({"contestant": "table"})
    seconds = _seconds({name: _runner(name, arrays, x, w, lut) for name in ROWS})
    rates = {name: ROWS[name] * DEPTH * COLUMNS / seconds[name] for name in ROWS}
    return [
        {
            "multiplier": multiplier.name, "gates": len(multiplier.netlist.gates), "array": f"{side}x{side}", **row,
            "seconds": seconds[row["contestant"]], "million_macs_per_second": rates[row["contestant"]] / 1e6,
            "to_table": rates[row["contestant"]] / rates["table"],
        }
        for row in rows
    ]  # fmt: skip


def _array(multiplier: Multiplier, technology: Technology, side: int, contestant: str, folder: Path) -> SystolicArray:
    largest = int(np.abs(multiplier.lut.astype(np.int64)).max())
    shape = ArrayShape(side, side, (largest * side).bit_length() + 1, (largest * DEPTH).bit_length() + 1)
    circuit = Circuit(multiplier.netlist, bool(multiplier.signed), "a", technology)
    view = contestant.split()[0]
    assert view in VIEWS
    return SystolicArray.build(circuit, shape, view, folder, toggles="toggles" in contestant)


def _runner(
    contestant: str, arrays: dict[str, SystolicArray], x: np.ndarray, w: np.ndarray, lut: torch.Tensor
) -> Callable[[], object]:
    x = x[: ROWS[contestant]]
    if contestant != "table":
        return lambda: arrays[contestant].matmul(x, w)
    patterns, weights = torch.from_numpy(x), torch.from_numpy(w)
    return lambda: torch.ops.agn_hw.lut_matmul(patterns, weights, lut)


def _seconds(runners: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The best of the rounds; all run in turn."""
    best = dict.fromkeys(runners, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def show(table: pd.DataFrame) -> None:
    printed = Table(box=SIMPLE_HEAD)
    for heading in ("multiplier", "gates", "contestant", "build s", "M MAC/s", "to table"):
        printed.add_column(heading, justify="left" if heading in ("multiplier", "contestant") else "right")
    for row in table.to_dict("records"):
        built = "" if pd.isna(row["build_seconds"]) else f"{row['build_seconds']:.1f}"
        rate, ratio = f"{row['million_macs_per_second']:.1f}", f"{row['to_table']:.4f}"
        printed.add_row(row["multiplier"], str(row["gates"]), row["contestant"], built, rate, ratio)
    Console().print(printed)


if __name__ == "__main__":
    main()
