"""Assignments by evolution: NSGA-II over one multiplier a layer, least energy and least loss.

The way of ALWANN (Mrazek, Vasicek, Sekanina, Hanif and Shafique, "ALWANN: Automatic layer-wise approximation of deep
neural network accelerators without retraining", ICCAD 2019), with the algorithm of Deb, Pratap, Agarwal and Meyarivan,
"A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, as pymoo has it. Crossover is uniform; a gene that
mutates becomes any multiplier of its layer. pymoo is an optional extra, agn-hw[evolution].
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lut_gen.errors import AgnError

POPULATION = 50
_GENERATIONS = 4
"""At least; with few evaluations the population is smaller."""
_IDLE = 20
"""So many generations in a row that bring nothing new end the search: there is hardly anything left."""

Names = dict[str, str]
Genes = tuple[int, ...]
"""The number of each layer's multiplier among its choices."""


class EvolutionError(AgnError):
    """Assignments cannot be evolved as asked."""


def evolve(
    choices: dict[str, list[str]],
    energy: dict[str, dict[str, float]],
    loss: Callable[[Names], float],
    evaluations: int,
    seed: int,
    start: list[Names],
    step: Callable[[int, int], None] = lambda done, total: None,
) -> list[Names]:
    """The assignments that no other of all evaluated ones beats in energy and loss, cheapest first.

    choices: multipliers of each layer. energy: of each pair, any unit; those of the layers add up. loss(names): of a
    whole assignment, called at most `evaluations` times and once for an assignment. start: assignments to begin with,
    evaluated first; random ones fill the first population up. Where there are no more assignments than evaluations,
    all are evaluated. step(done, total) is told of evaluations. The same arguments give the same result. Raises
    EvolutionError where pymoo is missing, and for choices, energies, assignments and losses that do not fit.
    """
    _check(choices, energy, evaluations, start)
    trials = _Trials(choices, energy, loss, evaluations, step)
    begin = [trials.genes(names) for names in start]
    counts = [len(names) for names in choices.values()]
    with _quiet():
        algorithm = _nsga2(counts, begin, evaluations, seed)
    if math.prod(counts) <= evaluations:
        trials.run([*begin, *itertools.product(*map(range, counts))])
        return trials.front()
    trials.run(begin)
    idle = 0
    while idle < _IDLE:
        with _quiet():
            population = algorithm.ask()
        if population is None:
            break
        known = len(trials.found)
        values = trials.run([tuple(map(int, one.X)) for one in population])
        if len(values) < len(population):
            break
        with _quiet():
            _tell(algorithm, population, values)
        idle = idle + 1 if len(trials.found) == known else 0
    return trials.front()


class _Trials:
    """What was evaluated: `found` holds energy and loss of each assignment."""

    def __init__(
        self,
        choices: dict[str, list[str]],
        energy: dict[str, dict[str, float]],
        loss: Callable[[Names], float],
        most: int,
        step: Callable[[int, int], None],
    ) -> None:
        self.choices, self.energy, self.loss, self.most, self.step = choices, energy, loss, most, step
        self.found: dict[Genes, tuple[float, float]] = {}

    def genes(self, names: Names) -> Genes:
        return tuple(own.index(names[layer]) for layer, own in self.choices.items())

    def names(self, genes: Genes) -> Names:
        return {layer: own[gene] for (layer, own), gene in zip(self.choices.items(), genes, strict=True)}

    def run(self, many: list[Genes]) -> list[tuple[float, float]]:
        """Energy and loss of each, of as many as the evaluations are enough for."""
        values = []
        for genes in many:
            if genes not in self.found:
                if len(self.found) == self.most:
                    break
                names = self.names(genes)
                energy = math.fsum(self.energy[layer][name] for layer, name in names.items())
                self.found[genes] = energy, _finite(self.loss(names))
                self.step(len(self.found), self.most)
            values.append(self.found[genes])
        return values

    def front(self) -> list[Names]:
        """The non-dominated ones; of equals the one evaluated first."""
        least, kept = math.inf, []
        for genes in sorted(self.found, key=self.found.__getitem__):
            if self.found[genes][1] < least:
                least = self.found[genes][1]
                kept.append(self.names(genes))
        return kept


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise EvolutionError("a finite loss of every assignment", f"{loss} came", "leave out what gives none")
    return loss


def _check(
    choices: dict[str, list[str]], energy: dict[str, dict[str, float]], evaluations: int, start: list[Names]
) -> None:
    if evaluations < 1:
        raise EvolutionError("an evaluation or more", f"{evaluations} came", "ask for some hundreds")
    for layer, own in choices.items():
        if not own or len(set(own)) < len(own):
            raise EvolutionError("different multipliers for each layer", f"{layer} has {own}", "give each once")
        if missing := [name for name in own if name not in energy.get(layer, {})]:
            raise EvolutionError("the energy of every choice", f"{layer} has none for {missing[0]}", "add it")
    for names in start:
        if wrong := [layer for layer, own in choices.items() if names.get(layer) not in own]:
            came = f"one has {names.get(wrong[0])} in {wrong[0]}"
            raise EvolutionError("assignments to start with of the layers' choices", came, "leave it out")


def _nsga2(counts: list[int], begin: list[Genes], evaluations: int, seed: int) -> Any:
    """pymoo's algorithm, set up: its first population is `begin` and random assignments."""
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.config import Config
        from pymoo.core.mutation import Mutation
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.ux import UniformCrossover
    except ImportError:
        raise EvolutionError("pymoo", "it is not installed", "pip install 'agn-hw[evolution]'") from None

    class Reset(Mutation):
        """Each gene becomes a random one with probability 1 / layers."""

        def _do(self, problem: Any, X: np.ndarray, *_: Any, random_state: np.random.Generator, **__: Any) -> np.ndarray:
            chosen = random_state.random(X.shape) < 1 / X.shape[1]
            return np.where(chosen, random_state.integers(0, counts, X.shape), X)

    Config.warnings["not_compiled"] = False
    size = max(2, min(POPULATION, evaluations // _GENERATIONS))
    random = np.random.default_rng([seed, len(counts)])
    others = random.integers(0, counts, (max(0, size - len(set(begin))), len(counts)))
    first = np.array([*dict.fromkeys(begin), *others], int)
    algorithm = NSGA2(
        size, sampling=first, crossover=UniformCrossover(prob=0.9), mutation=Reset(), eliminate_duplicates=True
    )
    problem = Problem(n_var=len(counts), n_obj=2, xl=np.zeros(len(counts), int), xu=np.array(counts) - 1, vtype=int)
    return algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)


def _tell(algorithm: Any, population: Any, values: list[tuple[float, float]]) -> None:
    """Gives the algorithm the objectives of what it asked for."""
    from pymoo.core.evaluator import Evaluator
    from pymoo.problems.static import StaticProblem

    Evaluator().eval(StaticProblem(algorithm.problem, F=np.array(values)), population)
    algorithm.tell(infills=population)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of what pymoo imports and computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
