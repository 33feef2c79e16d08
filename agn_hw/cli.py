"""`agn-hw`: the command line. Parses, calls, prints; everything else is elsewhere.

Exit status: 0 done, 1 some designs or jobs failed (or `doctor` misses a tool), 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agn_hw import (
    arguments,
    catalog_commands,
    codesign_command,
    pareto_command,
    sweep_command,
    train_command,
    verify_command,
)
from lut_gen.errors import AgnError

CATALOG = Path("build/catalog")


def main(given: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    options = _parser().parse_args(given)
    try:
        return options.run(options)
    except AgnError as error:
        print(f"agn-hw: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("agn-hw: stopped; finished multipliers and trained networks are kept for the next time", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agn-hw",
        description="Approximate multipliers for neural-network accelerators: from Verilog to a catalog of "
        "multipliers, from a network to the multiplier of each layer.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="tools found, their versions, what is missing and how to get it")
    doctor.set_defaults(run=_doctor)

    luts = commands.add_parser(
        "luts",
        help="Verilog -> catalog: table, area, energy, delay and error of each multiplier",
        description="Synthesises each design, evaluates all operand pairs and writes the catalog. Stopped or killed, "
        "the same command goes on where it was; what is already there and unchanged is not done again.",
    )
    luts.add_argument(
        "designs",
        nargs="*",
        type=Path,
        metavar="DIR|FILE",
        help="lists of designs (.toml), Verilog files, or folders of either; default: the built-in list",
    )
    luts.add_argument("-o", "--output", type=Path, default=CATALOG, metavar="CATALOG", help="default: %(default)s")
    luts.add_argument(
        "--liberty",
        type=Path,
        metavar="FILE",
        help="cell library (.lib or .lib.gz); default: the built-in SKY130 figures",
    )
    luts.add_argument("--jobs", type=arguments.positive, default=0, metavar="N", help="processes; default: one a core")
    luts.add_argument(
        "--cluster",
        metavar="HOST:PORT",
        help="a Dask scheduler whose workers do the work (pip install 'agn-hw[cluster]')",
    )
    luts.set_defaults(run=_luts)

    catalog_commands.add(commands, CATALOG)
    train_command.add(commands)

    codesign_command.add(commands, CATALOG)
    pareto_command.add(commands, CATALOG)
    sweep_command.add(commands, CATALOG)
    verify_command.add(commands, CATALOG)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from agn_hw import doctor

    return doctor.report()


def _luts(options: argparse.Namespace) -> int:
    import rtl
    from agn_hw import catalog_view
    from lut_gen.design import gather
    from lut_gen.library import liberty

    notes: list[str] = []
    designs = gather(options.designs or [rtl.MULTIPLIERS], notes)
    for line in notes:
        print(f"note: {line}", file=sys.stderr)
    library = options.liberty or liberty.BUILT_IN
    return catalog_view.build_with_progress(designs, options.output, library, options.jobs, options.cluster)


if __name__ == "__main__":
    sys.exit(main())
