"""`agn-hw codesign`: network + catalog -> the multiplier of each layer."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from agn_hw import arguments
from agn_hw.settings import LEVELS, Settings

STRATEGIES = ("kl", "fisher", "exact-narrow", "uniform", "agn", "evolution")
"""As search/strategies.py has them, which needs torch; a test compares."""
ENERGY_MODELS = ("weight_stationary", "output_stationary", "uniform")


def add(commands: argparse._SubParsersAction, catalog: Path) -> None:
    """Adds the command to the command line; `catalog` is the default one."""
    parser = commands.add_parser(
        "codesign",
        help="network + catalog -> the multiplier of each layer, with the least energy at the accuracy asked for",
        description="Trains the network (or takes it from the cache), quantises it to 8 bit and gives each layer its "
        "multiplier; then looks whether retraining allows a cheaper choice. Writes plan, network, tables, log and "
        "picture to the run folder.",
    )
    arguments.add_network(parser)
    parser.add_argument(
        "--max-drop",
        type=arguments.points,
        default=1.0,
        metavar="POINTS",
        help="points lost against the float network, at most, of accuracy and of the true class's probability, on "
        "validation images and one standard error on the safe side; default: %(default)s",
    )
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="kl",
        help="kl: the optimum for measured losses; fisher: for losses from gradients, for large networks; "
        "exact-narrow: exact multipliers only; uniform: one multiplier; agn: learned noise; evolution: NSGA-II "
        "(pip install 'agn-hw[evolution]'). Default: %(default)s",
    )
    add_limits(parser)
    add_costs(parser, catalog)
    parser.add_argument(
        "--no-retrain", action="store_true", help="without retraining: minutes instead of tens of minutes"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="RUN", help="default: runs/MODEL-DATA")
    parser.set_defaults(run=_codesign)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """What is to be least, and what must be kept."""
    parser.add_argument(
        "--objective",
        choices=tuple(LEVELS),
        default="energy",
        help="what is to be least: the energy of multiplications alone, of processing elements (pe), of the whole "
        "array, or the multipliers' area; default: %(default)s",
    )
    parser.add_argument("--types", type=arguments.positive, metavar="N", help="at most so many different multipliers")
    parser.add_argument(
        "--max-area",
        type=arguments.above_zero,
        metavar="UM2",
        help="of one multiplier of each type in use together, sign logic included",
    )
    parser.add_argument(
        "--max-delay", type=arguments.above_zero, metavar="NS", help="slower multipliers, sign logic included, are out"
    )
    parser.add_argument(
        "--max-latency",
        type=arguments.above_zero,
        metavar="US",
        help="of one image by itself, microseconds, at the clock of the slowest array in use; on the safe side: each "
        "multiplier counts with sums as wide as all layers together would need",
    )
    arguments.add_array(parser)


def add_costs(parser: argparse.ArgumentParser, catalog: Path) -> None:
    """Where multipliers come from, and what a multiplication costs."""
    parser.add_argument("--catalog", type=Path, default=catalog, help="default: %(default)s")
    parser.add_argument(
        "--energy-model",
        choices=ENERGY_MODELS,
        default="weight_stationary",
        help="what a multiplication costs: under each layer's own operands in the array's data order, or under uniform "
        "ones (the catalog's figure; tables without netlists have no other). Default: %(default)s",
    )
    parser.add_argument("--liberty", type=Path, metavar="FILE", help="the catalog's cell library, if it is your own")


def settings(options: argparse.Namespace, run: Path, **others: Any) -> Settings:
    """What these arguments ask for, and `others`; model and data are checked before anything is loaded or written."""
    from agn_hw.zoo import data, models

    models.check(options.model)
    data.check(options.data, options.data_root, options.image_size)
    return Settings(
        options.model,
        options.data,
        options.catalog,
        run,
        options.max_drop,
        options.seed,
        data_root=options.data_root,
        image_size=options.image_size,
        objective=options.objective,
        types=options.types,
        max_area=options.max_area,
        max_delay=options.max_delay,
        max_latency=options.max_latency,
        array=options.array,
        energy_model=options.energy_model,
        liberty=options.liberty,
        **others,
    )


def wait_asleep() -> None:
    """Waiting threads sleep: spinning ones take many times longer beside another busy program (read by torch)."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def default_run(options: argparse.Namespace) -> Path:
    """runs/MODEL-DATA."""
    return Path("runs") / f"{options.model}-{options.data}".replace(":", "-")


def _codesign(options: argparse.Namespace) -> int:
    wait_asleep()
    from rich.console import Console

    from agn_hw import codesign, report
    from agn_hw.stages import Stages

    run = options.output or default_run(options)
    asked = settings(options, run, strategy=options.strategy, retrain=not options.no_retrain)
    plan = codesign.codesign(asked, Stages())
    report.print_plan(plan, Console(width=None if sys.stdout.isatty() else 120))
    print(f"written to {run}: plan.json, network.pt, tables.npz, energy_accuracy.png, log.jsonl")
    return 0
