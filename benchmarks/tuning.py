"""Measures the rates in agn_hw/kernels/choice.py: one core, every instruction set of this processor.

Prints the table as choice.py holds it and writes `tuning.csv`. Each figure is the best of several interleaved runs.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch

from agn_hw.kernels import choice, native
from benchmarks.operands import Shape, real_operands

DEPTH, ROWS, FEW_ROWS = 512, 4096, 64
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("reports/kernels"), help="folder of tuning.csv")
    output = parser.parse_args().output
    torch.set_num_threads(1)
    before = native.isa()
    rates = {}
    for isa in native.ISAS:
        try:
            native.use_isa(isa)
        except ValueError as error:
            print(f"left out: {error}")
            continue
        rates[isa] = measure()
        print(f'    "{isa}": {rates[isa]},')
    native.use_isa(before)
    output.mkdir(parents=True, exist_ok=True)
    with (output / "tuning.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["isa", "work", "width", "picoseconds"])
        for isa, row in rates.items():
            for work in ("term", "row", "build"):
                writer.writerows([isa, work, *pair] for pair in zip(choice.WIDTHS, getattr(row, work), strict=True))
            writer.writerows([[isa, "column", "", row.column], [isa, "panel", "", row.panel]])
    print(f"wrote {output / 'tuning.csv'}")


def measure() -> choice.Rates:
    """The rates of the instruction set in use."""
    exact, byte = one_term(), one_byte()
    term, row, build = [], [], []
    for width in choice.WIDTHS:
        per_row = best_time(exact, ROWS, width, native.ROW_ADD) / (ROWS * DEPTH)
        long, short = (best_time(byte, rows, width, native.ROW_ADD) / DEPTH for rows in (ROWS, FEW_ROWS))
        term.append(per_row)
        row.append((long - short) / (ROWS - FEW_ROWS))
        build.append(short - FEW_ROWS * row[-1])
    narrow, wide = (best_time(byte, 256, columns, native.COLUMNS) / (256 * DEPTH) for columns in (16, 128))
    column = (wide - narrow) / (128 - 16)
    rounded = [tuple(map(picoseconds, values)) for values in (term, row, build)]
    return choice.Rates(*rounded, picoseconds(column), picoseconds(narrow - 16 * column))  # type: ignore[arg-type]


def picoseconds(seconds: float) -> float:
    """To two digits."""
    return float(f"{max(seconds, 0.0) * 1e12:.2g}")


def one_term() -> torch.Tensor:
    """A table that is one int8 product."""
    return (torch.arange(256)[:, None] * torch.arange(256, dtype=torch.uint8).view(torch.int8)[None, :]).int()


def one_byte() -> torch.Tensor:
    """A table that is one residual byte."""
    return torch.randint(0, 256, (256, 256), generator=torch.Generator().manual_seed(0), dtype=torch.int32)


def best_time(lut: torch.Tensor, rows: int, columns: int, kernel: int) -> float:
    """Seconds of a prepared product with real operands."""
    split = native.split(lut)
    x, w = real_operands(Shape(rows, DEPTH, columns, None), np.random.default_rng(0))
    packed = native.pack(split, w)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        native.matmul(split, packed, columns, x, None, kernel)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
