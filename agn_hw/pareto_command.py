"""`agn-hw pareto`: the whole front of assignments, of one strategy or several."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agn_hw import arguments, codesign_command

if TYPE_CHECKING:
    from rich.table import Table

    from agn_hw.pareto import Proposal


def add(commands: argparse._SubParsersAction, catalog: Path) -> None:
    """Adds the command to the command line; `catalog` is the default one."""
    parser = commands.add_parser(
        "pareto",
        help="network + catalog -> all assignments from the safest to the cheapest, as a table and a picture",
        description="Proposes assignments over the whole range of energies and tries some of them on validation "
        "images; without retraining, and without choosing. Writes pareto.csv, pareto.png and log.jsonl.",
    )
    arguments.add_network(parser)
    codesign_command.add_limits(parser)
    codesign_command.add_costs(parser, catalog)
    parser.add_argument(
        "--strategy",
        nargs="+",
        choices=codesign_command.STRATEGIES,
        default=["kl"],
        help="those of codesign, each with a line of its own; default: kl",
    )
    parser.add_argument(
        "--max-drop",
        type=arguments.points,
        default=1.0,
        metavar="POINTS",
        help="accuracy points lost, marked in the picture; default: %(default)s",
    )
    parser.add_argument(
        "--points",
        type=arguments.positive,
        default=12,
        metavar="N",
        help="assignments of each strategy tried on validation images; default: %(default)s",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: runs/MODEL-DATA-pareto")
    parser.set_defaults(run=_pareto)


def _pareto(options: argparse.Namespace) -> int:
    codesign_command.wait_asleep()
    from rich.console import Console

    from agn_hw import pareto
    from agn_hw.codesign import limits, open_study, target
    from agn_hw.report import COUNTED
    from agn_hw.run_folder import check_place
    from agn_hw.search.strategies import check
    from agn_hw.stages import Stages

    default = codesign_command.default_run(options)
    folder = options.output or default.with_name(f"{default.name}-pareto")
    settings = codesign_command.settings(options, folder)
    strategies = dict.fromkeys(options.strategy)
    for strategy in strategies:
        check(target(settings, strategy), further_limits=options.max_latency is not None)
    check_place(folder, pareto.FILES)
    study = open_study(settings, stages := Stages())
    within = limits(settings, study)
    targets = [replace(target(settings, strategy), limits=within) for strategy in strategies]
    proposals = [proposal for one in targets for proposal in pareto.front(study, one, options.points)]
    title = f"{options.model} on {options.data}: assignments tried, without retraining"
    pareto.write(folder, proposals, title, options.max_drop, stages, COUNTED[settings.level])
    Console(width=None if sys.stdout.isatty() else 120).print(_table(proposals))
    print(f"written to {folder}: {', '.join(pareto.FILES)}")
    return 0


def _table(proposals: Sequence[Proposal]) -> Table:
    """Those that were tried."""
    from rich.table import Table

    table = Table(title="tried on validation images (choosing is done by codesign)", title_justify="left")
    for heading in ("strategy", "energy", "area, um2", "types", "predicted loss", "KL", "accuracy", "lost, points"):
        table.add_column(heading, justify="left" if heading == "strategy" else "right")
    for proposal in proposals:
        trial = proposal.trial
        if trial is not None:
            table.add_row(
                proposal.strategy,
                f"{proposal.energy_relative:.1%}",
                f"{proposal.area_um2:,.0f}",
                str(len(set(proposal.names.values()))),
                "" if proposal.predicted_loss is None else f"{proposal.predicted_loss:.2g}",
                f"{trial.divergence:.2g}",
                f"{trial.accuracy:.2%}",
                f"{trial.lost.points:.2f} +- {trial.lost.error:.2f}",
            )
    return table
