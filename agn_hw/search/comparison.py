"""All strategies on one study: what each needs for each loss allowed, before and after retraining.

Whatever a strategy proposes gets the same mappings, compensation, trials and retraining; the test split is run for
what was chosen, and only once for each network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from torch import fx

from agn_hw.search.behaviour import Answers, answers, drop
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.intervals import interval
from agn_hw.search.retraining import Retraining
from agn_hw.search.selection import Names
from agn_hw.search.solver.assignment import Limits
from agn_hw.search.strategies import Target
from agn_hw.search.study import Solution, Study

TYPED = ("kl",)
"""Strategies that are asked for few multiplier types, too."""


@dataclass(frozen=True)
class Row:
    """One strategy at one limit. energy_relative: of the multiplications, over the reference under the same operands.

    types: distinct multipliers allowed (None: any number) and `types_used`. accuracy, drop_points, drop_low, drop_high
    (95 % bootstrap interval of the loss against the float network, points): on the test split. within: whether it holds
    on the validation split; if not, it is the exact reference. proposing: seconds, of the first loss allowed, with
    measured losses that later strategies share. trying: seconds, evenly shared out; of a retrained row, of retraining.
    """

    strategy: str
    types: int | None
    max_drop: float
    retrained: bool
    energy_relative: float
    accuracy: float
    drop_points: float
    drop_low: float
    drop_high: float
    within: bool
    types_used: int
    proposing: float
    trying: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    study: Study,
    strategies: Sequence[str],
    max_drops: Sequence[float],
    types: Sequence[int | None] = (None,),
    retraining: Retraining | None = None,
) -> list[Row]:
    """A row for each strategy, limit of types (where it keeps one) and loss allowed; without a limit, one retrained.

    All trials of all strategies are made before any is judged, so that each is smoothed by all.
    """
    float_test = answers(study.network, study.splits.test)
    tested: dict[tuple[str, ...], Answers] = {}
    asked = list(targets(strategies, max_drops, types))
    proposing = [_seconds(partial(study.propose, target)) for target in asked]
    solutions: list[Solution] = []
    trying = _seconds(lambda: solutions.extend(study.solve_all(asked))) / len(asked)
    rows = []
    for solution, seconds in zip(solutions, proposing, strict=True):
        names = study.options.everywhere(REFERENCE) if solution.best is None else solution.best.names
        key = study.trials.key(names)
        if key not in tested:
            tested[key] = answers(study.trials.network(names), study.splits.test)
        spent = {layer: study.options.multiplications[layer][name] for layer, name in names.items()}
        energy = study.options.of_multiplications(spent)
        rows.append(_row(solution, names, energy, float_test, tested[key], (seconds, trying)))
        if retraining is not None and solution.target.limits.types is None:
            rows += _retrained(study, solution, retraining, float_test, rows[-1])
    return rows


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def targets(
    strategies: Sequence[str], max_drops: Sequence[float], types: Sequence[int | None]
) -> Iterator[Target]:
    """Every combination that makes sense."""
    for strategy in strategies:
        for most in types if strategy in TYPED else (None,):
            for points in max_drops:
                yield Target(points, strategy, limits=Limits(types=most))


def _retrained(
    study: Study, solution: Solution, retraining: Retraining, float_test: Answers, untrained: Row
) -> list[Row]:
    """The row after retraining; the untrained one again, so marked, where retraining found nothing cheaper."""
    seconds = _seconds(lambda: study.retrain(solution, retraining))
    if solution.retrained is None:
        return [replace(untrained, retrained=True, proposing=0.0, trying=seconds)]
    names = solution.retrained.names
    network: fx.GraphModule = retraining.network(names)
    energy = study.options.of_multiplications(study.final_energies(network, names))
    found = answers(network, study.splits.test)
    return [_row(solution, names, energy, float_test, found, (0.0, seconds), retrained=True)]


def _row(
    solution: Solution,
    names: Names,
    energy: float,
    float_test: Answers,
    found: Answers,
    seconds: tuple[float, float],
    retrained: bool = False,
) -> Row:
    target = solution.target
    low, high = interval(100 * (float_test.hits.double() - found.hits.double()))
    return Row(
        target.strategy,
        target.limits.types,
        target.max_drop,
        retrained,
        energy,
        found.accuracy,
        drop(float_test.hits, found.hits).points,
        low,
        high,
        retrained or solution.best is not None,
        len(set(names.values())),
        *seconds,
    )
