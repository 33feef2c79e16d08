"""Ways to assign multipliers, behind one interface: each proposes assignments, from the safest to the cheapest.

    kl            least energy (or area) within a budget of loss, proven optimal; losses measured (sensitivity.py)
    fisher        the same with losses from gradients (fisher.py): for networks too large to measure
    exact-narrow  the same as kl with exact multipliers of 2..8 bits only: the honest baseline
    uniform       one multiplier in all layers
    agn           learned Gaussian noise (noise.py)
    evolution     NSGA-II on the measured behaviour of whole networks (evolution.py)

Whatever proposes, the same mappings, compensation, trials and criterion follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from agn_hw.search import evolution, noise
from agn_hw.search.front import Front
from agn_hw.search.pairs.losses import Losses, Step
from agn_hw.search.pairs.sensitivity import screen
from agn_hw.search.selection import Names
from agn_hw.search.solver.assignment import AssignmentError, Limits, Objective
from lut_gen.errors import AgnError

if TYPE_CHECKING:
    from agn_hw.search.study import Study

EVALUATIONS = 400
"""Of the evolution: assignments whose behaviour is measured."""
NOISE_EPOCHS = 0.5
"""Training of the learned noise, for each weight of it."""


@dataclass(frozen=True)
class Target:
    """What is asked for. max_drop: points lost against the float network, at most. objective: what is to be least.

    Raises AgnError for points below 0 and for other objectives than "energy" and "area".
    """

    max_drop: float = 1.0
    strategy: str = "kl"
    objective: Objective = "energy"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not (isinstance(self.max_drop, (int, float)) and self.max_drop >= 0):
            raise AgnError("points lost, 0 or more", f"max_drop={self.max_drop!r} came", "write max_drop=1.0")
        if self.objective not in get_args(Objective):
            wanted = f"an objective out of {', '.join(get_args(Objective))}"
            raise AgnError(wanted, f"{self.objective!r} came", "a limit on delay is Limits(delay_ns=...)")


Propose = Callable[["Study", Target, Step], Sequence[Names]]


def _kl(study: Study, target: Target, step: Step) -> Sequence[Names]:
    return _front(study, study.losses, study.options.names(), target, step)


def _fisher(study: Study, target: Target, step: Step) -> Sequence[Names]:
    return _front(study, study.fisher_losses, study.options.names(), target, step)


def _exact_narrow(study: Study, target: Target, step: Step) -> Sequence[Names]:
    return _front(study, study.losses, sorted(study.options.narrow()), target, step)


def _front(study: Study, losses: Losses, among: list[str], target: Target, step: Step) -> Front:
    return Front(study.options, losses, among, target.limits, target.objective, step)


def _uniform(study: Study, target: Target, step: Step) -> Sequence[Names]:
    """One multiplier everywhere: those that fewer than two others beat in energy and noise, by rising noise."""
    options = study.options
    allowed = [name for name in options.names() if options.keeps(options.everywhere(name), target.limits)]
    energy = {name: options.total_energy(options.everywhere(name)) for name in allowed}
    total = {name: sum(options.noise[layer][name] for layer in options.operands) for name in allowed}
    if not allowed:
        raise AssignmentError("a multiplier that keeps the limits", "none does", "loosen the limits")
    worth = screen(total, energy, keep=2)
    return [options.everywhere(name) for name in sorted(worth, key=total.__getitem__)]


def _agn(study: Study, target: Target, step: Step) -> Sequence[Names]:
    """Learned noise for a sweep of its weights; each layer's cheapest multiplier whose predicted error is no larger."""
    options, found = study.options, []
    macs = {layer: operands.macs for layer, operands in options.operands.items()}
    errors = study.population_errors()
    for number, weight in enumerate(noise.WEIGHTS):

        def further(done: int, total: int, number: int = number) -> None:
            step(number * total + done, len(noise.WEIGHTS) * total)

        learned = noise.learn(study.quantized, study.splits.train, macs, weight, NOISE_EPOCHS, study.seed, further)
        found.append(noise.matched(learned.sigma, errors, options.energies))
    return sorted(found, key=options.total_energy, reverse=True)


def _evolution(study: Study, target: Target, step: Step) -> Sequence[Names]:
    options = study.options
    start = list(_uniform(study, target, step))
    everywhere = [next(iter(names.values())) for names in start]
    choices = {layer: list(dict.fromkeys([*options.screened(layer), *everywhere])) for layer in options.operands}
    energy = {layer: {n: options.energy(layer, n) for n in names} for layer, names in choices.items()}
    found = evolution.evolve(choices, energy, study.trials.divergence, EVALUATIONS, study.seed, start, step)
    return sorted(found, key=options.total_energy, reverse=True)


STRATEGIES: dict[str, Propose] = {
    "kl": _kl,
    "fisher": _fisher,
    "exact-narrow": _exact_narrow,
    "uniform": _uniform,
    "agn": _agn,
    "evolution": _evolution,
}

INCLUDES = {"kl": ("exact-narrow", "uniform"), "fisher": ("exact-narrow", "uniform")}
"""Strategies that choose among all assignments: what these others tried, and kept the limits, is theirs too."""
WITHOUT_LIMITS = ("agn", "evolution")
"""Strategies that know energy alone."""


def check(target: Target, further_limits: bool = False) -> None:
    """Raises AgnError for an unknown strategy, and for one that cannot keep the limits or the objective asked for.

    further_limits: whether there will be limits that are not known yet.
    """
    if target.strategy not in STRATEGIES:
        wanted = f"a strategy out of {', '.join(STRATEGIES)}"
        raise AgnError(wanted, f"'{target.strategy}' came", "choose one of these")
    limited = further_limits or target.limits != Limits() or target.objective != "energy"
    if target.strategy in WITHOUT_LIMITS and limited:
        wanted, came = "a strategy that keeps limits", f"'{target.strategy}' knows none, and no objective but energy"
        raise AgnError(wanted, came, "take --strategy kl, fisher, exact-narrow or uniform, or leave the limits out")
