"""The whole front: every distinct assignment that strategies propose, and how some of them fare on validation images.

    FOLDER/pareto.csv   a row a proposal, from the safest to the cheapest of each strategy
    FOLDER/pareto.png   energy against validation loss, a line a strategy
    FOLDER/log.jsonl    one line a stage: seconds and facts

Nothing here comes from the test split, and nothing is chosen: `codesign` does that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from agn_hw.search.front import Front
from agn_hw.search.selection import Names, Trial
from agn_hw.search.strategies import Target
from agn_hw.search.study import Study
from agn_hw.stages import Stages
from lut_gen.files import remove_leftovers, write_atomically

ENERGY = "multiplication energy"
FILES = ("pareto.csv", "pareto.png", "log.jsonl")
STYLES = {
    "kl": ("#d1495b", "D"),
    "fisher": ("#edae49", "^"),
    "exact-narrow": ("#2f6db3", "s"),
    "uniform": ("#9a9a9a", "o"),
    "agn": ("#3a7d44", "v"),
    "evolution": ("#7b4b94", "P"),
}
"""Colour and marker of each strategy."""


@dataclass(frozen=True)
class Proposal:
    """One assignment (multiplier by layer) of a strategy.

    energy_relative: of what the study counts, over the reference. area_um2: of one multiplier of each type.
    predicted_loss (nats) and gap (how far the optimum could at most be below): of strategies that solve; else None.
    trial: on the validation split, if it was tried.
    """

    strategy: str
    names: Names
    energy_relative: float
    area_um2: float
    predicted_loss: float | None = None
    gap: float | None = None
    trial: Trial | None = None

    def as_dict(self) -> dict[str, Any]:
        """A row of pareto.csv."""
        trial = self.trial
        return {
            "strategy": self.strategy,
            "energy_relative": self.energy_relative,
            "area_um2": self.area_um2,
            "types": len(set(self.names.values())),
            "predicted_loss": self.predicted_loss,
            "gap": self.gap,
            "validation_accuracy": trial and trial.accuracy,
            "drop_points": trial and trial.lost.points,
            "drop_error": trial and trial.lost.error,
            "divergence": trial and trial.divergence,
            "multipliers": json.dumps(self.names),
        }


def front(study: Study, target: Target, points: int) -> list[Proposal]:
    """All distinct proposals of the target's strategy from the safest to the cheapest, `points` of them tried.

    Those are spread evenly over the order, both ends among them. Raises what Study.propose raises.
    """
    proposals = study.propose(target).proposals
    found: dict[tuple[str, ...], Proposal] = {}
    with study.stages.stage(f"{target.strategy}: front", len(proposals)) as stage:
        for number in range(len(proposals)):
            proposal = _proposal(study, target, proposals, number)
            found.setdefault(study.trials.key(proposal.names), proposal)
            stage.step()
        stage.facts = {"distinct": len(found)}
    ordered = list(found.values())
    chosen = {round(place) for place in np.linspace(0, len(ordered) - 1, min(points, len(ordered)))}
    with study.stages.stage(f"{target.strategy}: trials", len(chosen)) as stage:
        for number in sorted(chosen):
            ordered[number] = replace(ordered[number], trial=study.trials.run(ordered[number].names))
            stage.step()
        stage.facts = {"trials": len(chosen)}
    return ordered


def _proposal(study: Study, target: Target, proposals: Sequence[Names], number: int) -> Proposal:
    loss = gap = None
    if isinstance(proposals, Front):
        solved = proposals.at(number)
        names, loss, gap = solved.choice, solved.loss, solved.gap
    else:
        names = proposals[number]
    options = study.options
    return Proposal(target.strategy, names, options.relative_energy(names), options.area_of(names), loss, gap)


def write(
    folder: Path, proposals: Sequence[Proposal], title: str, max_drop: float, stages: Stages, counted: str = ENERGY
) -> None:
    """Writes the three files, each whole or not at all; `max_drop` (points) is a line in the picture, `counted` says
    what energies are of."""
    table = pd.DataFrame([proposal.as_dict() for proposal in proposals])
    contents = {
        "log.jsonl": stages.lines().encode(),
        "pareto.png": draw(proposals, title, max_drop, counted),
        "pareto.csv": table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode(),
    }
    if folder.is_dir():
        remove_leftovers(folder)
    for name, data in contents.items():
        write_atomically(folder / name, data)


def draw(proposals: Sequence[Proposal], title: str, max_drop: float, counted: str = ENERGY) -> bytes:
    """Energy against accuracy lost on the validation split, as PNG."""
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for strategy in dict.fromkeys(proposal.strategy for proposal in proposals):
        tried = [(p.energy_relative, p.trial.lost) for p in proposals if p.strategy == strategy and p.trial]
        colour, marker = STYLES[strategy]
        axes.errorbar(
            [100 * energy for energy, _ in tried],
            [lost.points for _, lost in tried],
            [lost.error for _, lost in tried],
            marker=marker,
            color=colour,
            ms=4,
            lw=1,
            elinewidth=0.6,
            label=strategy,
        )
    axes.axhline(max_drop, color="black", lw=0.8, ls=":", label=f"--max-drop {max_drop:g}")
    lost = [proposal.trial.lost.points for proposal in proposals if proposal.trial]
    top = 6 * max(max_drop, 0.5)  # what is lost at the cheap end would hide all else
    axes.set_ylim(max(min(0.0, *lost), -top / 4) - top / 20, min(1.1 * max(max_drop, *lost) + top / 20, top))
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    energies = [100 * proposal.energy_relative for proposal in proposals]
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if min(energies) / 1.5 <= tick <= 1.5 * max(energies)]
    axes.set_xticks(ticks, [f"{tick} %" for tick in ticks])
    axes.set_xlabel(f"{counted}, exact 8-bit = 100 %")
    axes.set_ylabel("validation accuracy lost, points (bars: standard error)")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, metadata={"Software": None})
    return picture.getvalue()
