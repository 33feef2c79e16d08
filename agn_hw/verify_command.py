"""`agn-hw verify`: a run's network with its layers' products on the array's RTL, against the tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agn_hw import arguments
from agn_hw.codesign_command import wait_asleep
from agn_hw.train_command import CACHE

if TYPE_CHECKING:
    from rich.table import Table

    from agn_hw.accelerator.verified import Asked, Verification

VIEWS = ("bitsliced", "rtl")
BUILDS = Path("build/cosim")
"""Where simulations are built and kept."""


def add(commands: argparse._SubParsersAction, catalog: Path) -> None:
    """Adds the command to the command line; `catalog` is the default one."""
    parser = commands.add_parser(
        "verify",
        help="a plan on the array's Verilog: every sum, code and logit against the tables",
        description="Simulates a systolic array for each multiplier of the plan (Verilator) and runs the network with "
        "its layers' products on them. Compares every sum, output code and logit with what the tables give; tells "
        "cycles, utilisation and the energy of what really switched. Ends with status 1 where anything differs, and "
        "keeps a waveform of the tile.",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="what `agn-hw codesign` wrote")
    parser.add_argument(
        "--images", type=arguments.positive, default=100, metavar="N", help="test images; default: %(default)s"
    )
    parser.add_argument(
        "--view",
        choices=VIEWS,
        default=VIEWS[0],
        help="bitsliced: made of the mapped netlist of a whole element, fast, counts what switches; rtl: the plain "
        "Verilog. Default: %(default)s",
    )
    parser.add_argument("--layers", nargs="+", default=[], metavar="NAME", help="these layers only; default: all")
    arguments.add_array(parser)
    parser.add_argument("--catalog", type=Path, default=catalog, help="where the netlists are; default: %(default)s")
    parser.add_argument("--liberty", type=Path, metavar="FILE", help="the catalog's cell library, if it is your own")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where the files of the plan's data set are")
    parser.add_argument("-o", "--output", type=Path, metavar="CSV", help="the table as a file, too")
    parser.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    wait_asleep()
    from rich.console import Console

    from agn_hw.accelerator import verification, verified
    from agn_hw.stages import Stages
    from lut_gen.files import write_atomically

    found = verification.verify(_asked(options), Stages())
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(_table(found))
    status = _verdict(found)
    if options.output is not None:
        write_atomically(options.output, verified.frame(found).to_csv(index=False).encode())
        print(f"written to {options.output}")
    return status


def _asked(options: argparse.Namespace) -> Asked:
    from agn_hw.accelerator.verified import Asked

    rows, cols = options.array
    return Asked(
        options.run_folder,
        options.catalog,
        options.images,
        options.view,
        rows,
        cols,
        tuple(dict.fromkeys(options.layers)),
        BUILDS,
        CACHE,
        options.data_root,
        options.liberty,
    )


def _table(found: Verification) -> Table:
    from rich.markup import escape
    from rich.table import Table

    rows, cols = found.asked.rows, found.asked.cols
    title = f"{found.asked.run} on arrays of {rows}x{cols}, view {found.asked.view}; fJ of one multiplication"
    table = Table(title=escape(title), title_justify="left")
    left = ("layer", "multiplier", "equal")
    for heading in ("layer", "multiplier", "bits", "cycles/image", "utilised", "sums", "equal", "plan, weights held",
                    "predicted", "measured", "whole element"):  # fmt: skip
        table.add_column(heading, justify="left" if heading in left else "right")
    for layer in found.layers:
        checked, shape = layer.checked, layer.array.shape
        element = "" if layer.energy is None else f"{sum(layer.energy.values()) / checked.macs:.0f}"
        table.add_row(
            layer.name,
            layer.multiplier,
            f"{shape.sum_bits}/{shape.acc_bits}",
            f"{checked.cycles / checked.images:,.0f}",
            f"{layer.utilization:.0%}",
            f"{checked.sums:,}",
            "yes" if checked.equal else f"no: {checked.differing:,} sums",
            f"{layer.plan_fj:.1f}",
            "" if layer.predicted_fj is None else f"{layer.predicted_fj:.1f}",
            "" if layer.measured_fj is None else f"{layer.measured_fj:.1f}",
            element,
        )
    return table


def _verdict(found: Verification) -> int:
    from agn_hw.accelerator import mismatch

    latency = ""
    if found.period_ns is not None:
        latency = f", {found.cycles * found.period_ns / 1000:,.0f} us at {found.period_ns:.1f} ns"
    some = "" if len(found.layers) == len(found.plan.layers) else " in these layers"
    print(f"{found.cycles:,.0f} cycles an image{some}{latency}")
    print(f"{found.logits:,} logits, {found.logits_differ:,} differ")
    if found.equal:
        print("equal: every sum, output code and logit is the tables'")
        if found.asked.view != "rtl":
            print("the first vectors of every layer, on the plain RTL: the same sums in the same cycles")
        return 0
    for layer in found.layers:
        if layer.checked.first is not None:
            where = mismatch.locate(layer.array, layer.lut, layer.checked.first)
            path = found.asked.folder / f"{found.asked.run.name}-{layer.name}.vcd"
            lines = [*where.lines(), mismatch.kept(layer.array, where, path)]
            print("\n    ".join([f"NOT EQUAL: layer {layer.name} ({layer.multiplier})", *lines]), file=sys.stderr)
        elif layer.checked.views_differ:
            print(f"NOT EQUAL: layer {layer.name} ({layer.multiplier}): the plain RTL gives other sums or cycles than "
                  f"the view made of its mapped element, {layer.checked.views_differ} times in the first vectors",
                  file=sys.stderr)  # fmt: skip
    return 1
