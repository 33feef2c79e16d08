"""One network and one catalog: what is known of every multiplier in every layer, and every trial made so far.

    study = Study.of(network, splits, Catalog.load("build/catalog"))
    solution = study.solve(Target(max_drop=1.0, limits=Limits(types=3)))
    solution.best.names, solution.best.energy, study.trials.network(solution.best.names)

Several targets may be solved on one study; what was measured for one serves the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from torch import fx, nn

from agn_hw.accelerator.system import MULTIPLIERS, Hardware
from agn_hw.conversion.quantize import quantize
from agn_hw.nn.compensation import exact_moments
from agn_hw.nn.layers import table_layers
from agn_hw.search import selection
from agn_hw.search.behaviour import answers, drop
from agn_hw.search.candidates import REFERENCE, Options, explore
from agn_hw.search.noise import spread
from agn_hw.search.pairs import energies, levels, population
from agn_hw.search.pairs.blas import one_thread
from agn_hw.search.pairs.fields import record_fields
from agn_hw.search.pairs.fisher import Fisher, scale
from agn_hw.search.pairs.loss_cache import LossCache
from agn_hw.search.pairs.losses import Losses, Step
from agn_hw.search.pairs.operands import record
from agn_hw.search.pairs.sensitivity import Pair, Sensitivity
from agn_hw.search.retraining import Retraining, descend
from agn_hw.search.selection import Names, Trial, Trials
from agn_hw.search.strategies import INCLUDES, STRATEGIES, Target, check
from agn_hw.stages import Stages
from agn_hw.zoo.data import Splits, to_float
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError, CatalogError
from lut_gen.library.liberty import Technology

CALIBRATION_IMAGES = 256
LOSSES = "losses"
"""Where measured losses are kept, in the folder of trained networks."""
SCALED_BY, SCALING_IMAGES = 3, 64
"""Pairs of a layer whose measured losses scale those from gradients, and the images they are measured on."""


class TargetError(AgnError):
    """The accuracy asked for cannot be had."""


@dataclass
class Solution:
    """What one strategy proposed and what came of it.

    proposals: from the safest to the cheapest. tried: those that were tried on validation images, by number, whatever
    loss was allowed. best: the cheapest trial that holds, by smoothed losses; None if none does. retrained: the
    cheapest that holds after retraining, None if there is none or nothing was retrained.
    """

    target: Target
    proposals: Sequence[Names]
    tried: dict[int, Names]
    best: Trial | None = None
    retrained: Trial | None = None


@dataclass
class Study:
    """A float network, its integer form, its data, and what can be chosen for it.

    quantization_drop: points that the exact 8-bit network loses against the float one on the validation split.
    hardware: the arrays that multipliers are for; None where they are not known.
    """

    network: nn.Module
    quantized: fx.GraphModule
    splits: Splits
    options: Options
    trials: Trials
    quantization_drop: float
    seed: int = 0
    technology: Technology | None = None
    cache: Path | None = None
    stages: Stages = field(default_factory=Stages)
    hardware: Hardware | None = None
    _proposed: list[Solution] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        network: nn.Module,
        splits: Splits,
        catalog: Catalog,
        *,
        energy_model: str = energies.WEIGHT_STATIONARY,
        technology: Technology | None = None,
        seed: int = 0,
        cache: Path | None = None,
        stages: Stages | None = None,
        hardware: Hardware | None = None,
        level: str = MULTIPLIERS,
    ) -> Study:
        """Quantises a trained float network and explores the catalog for it.

        technology: the catalog's, if it is not the built-in one. cache: a folder that keeps measured losses. level:
        what energies count, of accelerator.system.LEVELS; more than multiplications need the `hardware`. Raises
        CatalogError for a catalog without the reference multiplier or the energies asked for.
        """
        check_catalog(catalog, energy_model, technology)
        if level != MULTIPLIERS:
            levels.check(catalog, technology)
            if hardware is None:
                came, mend = "there is no hardware", "give hardware=Hardware(rows, cols, technology, folder)"
                raise AgnError(f"arrays whose energy is to be counted ({level})", came, mend)
        stages = stages or Stages()
        with stages.stage("8-bit network") as stage:
            calibration = to_float(splits.calibration.images[:CALIBRATION_IMAGES])
            quantized = quantize(network, [calibration])
            baseline = answers(network, splits.validation)
            exact_answers = answers(quantized, splits.validation)
            stage.facts = {"validation accuracy": f"{exact_answers.accuracy:.2%}"}
        with stages.stage("mappings and energies") as stage:
            operands, exact = record(quantized, calibration), exact_moments(quantized, [calibration])
            options = explore(quantized, catalog, operands, exact, energy_model, technology, stage.step)
            stage.facts = {"layers": len(operands), "multipliers": len(catalog.table)}
        if hardware is not None and level != MULTIPLIERS:
            with stages.stage("elements and arrays") as stage:
                own = quantized, calibration[:levels.IMAGES], catalog, options.mappings()
                spent = levels.of_pairs(hardware, level, *own, stage.step)
                options = replace(options, energies=spent, level=level)
                stage.facts = {"level": level, "array": f"{hardware.rows}x{hardware.cols}"}
        trials = Trials(quantized, options, calibration, splits.validation, baseline)
        lost = drop(baseline.hits, exact_answers.hits).points
        rest = seed, technology, cache, stages
        return cls(network, quantized, splits, options, trials, lost, *rest, hardware=hardware)

    @cached_property
    def losses(self) -> Losses:
        """Measured KL divergence of each pair."""
        kept = LossCache(self.cache / LOSSES) if self.cache else None
        sensitivity = Sensitivity(self.quantized, self.trials.calibration, kept)
        return Losses(lambda pairs, step: sensitivity.divergences(self._whole(pairs), step), self.options.noise)

    @cached_property
    def fisher_losses(self) -> Losses:
        """The same from gradients, each layer scaled by what a few of its pairs really lose (fisher.scale)."""
        fisher = Fisher(self.quantized, self.trials.calibration, draws=1, seed=self.seed)
        sensitivity = Sensitivity(self.quantized, self.trials.calibration[:SCALING_IMAGES])
        scales: dict[str, float] = {}

        def measure(pairs: Sequence[tuple[str, str]], step: Step) -> list[float]:
            for layer in dict.fromkeys(layer for layer, _ in pairs if layer not in scales):
                names = self.options.screened(layer)
                few = sorted(names, key=self.options.noise[layer].__getitem__)
                few = few[len(few) // 4 :: max(1, len(few) // 4)]
                known = self._whole([(layer, name) for name in few[:SCALED_BY]])
                scales[layer] = scale([fisher.loss(*pair) for pair in known], sensitivity.divergences(known))
            found = []
            for pair in self._whole(pairs):
                found.append(scales[pair[0]] * fisher.loss(*pair))
                step(len(found), len(pairs))
            return found

        return Losses(measure, self.options.noise)

    def _whole(self, pairs: Sequence[tuple[str, str]]) -> list[Pair]:
        """Layers with their multipliers and mappings, from names."""
        catalog, fits = self.options.catalog, self.options.fits
        return [(layer, catalog[name], fits[layer][name].mapping) for layer, name in pairs]

    @one_thread
    def population_errors(self) -> dict[str, dict[str, float]]:
        """Standard deviation of each pair's output error over that of the exact outputs, by agn-approx's model."""
        options, layers, found = self.options, table_layers(self.quantized), {}
        fields = record_fields(self.quantized, self.trials.calibration, seed=self.seed)
        for layer, own in options.fits.items():
            tables = [(fit.mapping.table8(options.catalog[name].lut), fit.mapping.gain) for name, fit in own.items()]
            errors = population.errors_of_fields(layers[layer], fields[layer], tables, self.seed).std
            found[layer] = dict(zip(own, (errors / spread(options.exact[layer])).tolist(), strict=True))
        return found

    def propose(self, target: Target) -> Solution:
        """A solution with what the target's strategy proposes, from the safest to the cheapest, and nothing chosen.

        Proposals are made once, and share their trials, whatever the loss allowed. Raises AgnError for an unknown
        strategy, AssignmentError for limits that leave nothing.
        """
        check(target)
        self.options.check(target.limits)
        same = replace(target, max_drop=0.0)
        for known in self._proposed:
            if known.target == same:
                return replace(known, target=target)
        with self.stages.stage(f"{target.strategy}: proposals") as stage:
            proposals = STRATEGIES[target.strategy](self, target, stage.step)
            stage.facts = {"proposals": len(proposals)}
        self._proposed.append(Solution(same, proposals, {}))
        return Solution(target, proposals, self._proposed[-1].tried)

    def solve(self, target: Target) -> Solution:
        """Lets the target's strategy propose, and tries what it proposes."""
        return self.solve_all([target])[0]

    def solve_all(self, targets: Sequence[Target]) -> list[Solution]:
        """The solutions of several targets. They do not depend on the targets' order: see `settle`."""
        solutions = []
        for target in targets:
            solution = self.propose(target)
            with self.stages.stage(f"{target.strategy}: trials") as stage:
                selection.search(self.trials, solution.proposals, target.max_drop, solution.tried, stage.step)
                stage.facts = {"trials": len(solution.tried)}
            solutions.append(solution)
        self.settle(solutions)
        return solutions

    def settle(self, solutions: Sequence[Solution]) -> None:
        """Tries what else is asked for now that all have tried, since every trial smooths all others; then chooses."""
        with self.stages.stage("all: further trials") as stage:
            first = before = len(self.trials.done)
            while True:
                for one in solutions:
                    selection.search(self.trials, one.proposals, one.target.max_drop, one.tried, stage.step)
                if len(self.trials.done) == before:
                    break
                before = len(self.trials.done)
            for one in solutions:
                self._choose(one, solutions)
            stage.facts = {"trials": before - first, "energy": ", ".join(self.told(one.best) for one in solutions)}

    def _choose(self, solution: Solution, others: Sequence[Solution]) -> None:
        """Sets the solution's best trial, by the losses that all trials smooth.

        It may be one that another of these solutions tried, of the same strategy or of one that it includes.
        """
        target, known = solution.target, self.trials.smoothed()
        strategies = (target.strategy, *INCLUDES.get(target.strategy, ()))
        names = [one for other in others if other.target.strategy in strategies for one in other.tried.values()]
        tried = [known[self.trials.key(one)] for one in names if self.options.keeps(one, target.limits)]
        solution.best = selection.cheapest_within(tried, target.max_drop, self.cost(target))

    def cost(self, target: Target) -> Callable[[Trial], tuple[float, ...]]:
        """What is to be least."""
        if target.objective == "energy":
            return lambda trial: (trial.energy,)
        return lambda trial: (self.options.area_of(trial.names), trial.energy)

    @one_thread
    def final_energies(self, network: fx.GraphModule, names: Names) -> dict[str, float]:
        """fJ a multiplication of each layer for a network whose weights may have moved, by its own operands."""
        options = self.options
        operands = record(network, self.trials.calibration)
        mappings = {layer: {name: options.fits[layer][name].mapping} for layer, name in names.items()}
        spent = energies.of_pairs(options.catalog, operands, mappings, options.energy_model, self.technology)
        return {layer: spent[layer][name] for layer, name in names.items()}

    def retrain(self, solution: Solution, retraining: Retraining) -> None:
        """Looks for a cheaper assignment that holds once it is retrained."""
        known, cost = self.trials.smoothed(), self.cost(solution.target)
        limit = solution.target.max_drop
        holds = [i for i, names in solution.tried.items() if known[self.trials.key(names)].within(limit)]
        with self.stages.stage(f"{solution.target.strategy}: retraining") as stage:
            found = descend(retraining, solution.proposals, max(holds, default=-1), limit, cost, stage.step)
            better = found is not None and (solution.best is None or cost(found) < cost(solution.best))
            solution.retrained = found if better else None
            stage.facts = {"energy": self.told(solution.retrained)}

    @staticmethod
    def told(trial: Trial | None) -> str:
        """For the log."""
        return "nothing holds" if trial is None else f"{trial.energy:.1%}"


def check_catalog(catalog: Catalog, energy_model: str, technology: Technology | None) -> None:
    """Raises CatalogError for a catalog that cannot be used with this energy model."""
    if REFERENCE not in catalog:
        mend = "build it from rtl/multipliers.toml together with your own designs"
        raise CatalogError(f"the reference '{REFERENCE}' in {catalog.path}", "it is not there", mend)
    energies.check(catalog, energy_model, technology)
