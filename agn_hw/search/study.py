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

from agn_hw.conversion.quantize import quantize
from agn_hw.nn.layers import table_layers
from agn_hw.search import selection
from agn_hw.search.behaviour import answers, drop
from agn_hw.search.candidates import REFERENCE, Options, Step, explore
from agn_hw.search.noise import spread
from agn_hw.search.pairs import energies, population
from agn_hw.search.pairs.fields import record_fields
from agn_hw.search.pairs.fisher import Fisher, scale
from agn_hw.search.pairs.loss_cache import LossCache
from agn_hw.search.pairs.losses import Losses
from agn_hw.search.pairs.operands import record
from agn_hw.search.pairs.sensitivity import Pair, Sensitivity
from agn_hw.search.retraining import Retraining, descend
from agn_hw.search.selection import Names, Trial, Trials
from agn_hw.search.strategies import STRATEGIES, Target, check
from agn_hw.stages import Stages
from agn_hw.zoo.data import Splits, to_float
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError, CatalogError
from lut_gen.library.liberty import Technology

CALIBRATION_IMAGES = 256
LOSSES = "losses"
"""Where measured losses are kept, in the folder of trained networks."""
SCALED_BY = 3
"""Pairs of a layer whose measured losses scale those from gradients."""


class TargetError(AgnError):
    """The accuracy asked for cannot be had."""


@dataclass
class Solution:
    """What one strategy proposed and what came of it.

    proposals: from the safest to the cheapest. tried: those that were tried on validation images, by number. best: the
    cheapest trial that holds, by smoothed losses; None if none does. retrained: the cheapest that holds after
    retraining, None if there is none or nothing was retrained.
    """

    target: Target
    proposals: Sequence[Names]
    tried: dict[int, Names]
    best: Trial | None = None
    retrained: Trial | None = None


@dataclass
class Study:
    """A float network, its integer form, its data, and what can be chosen for it.

    baseline: the float network's answers on the validation split.
    """

    network: nn.Module
    quantized: fx.GraphModule
    splits: Splits
    options: Options
    sensitivity: Sensitivity
    trials: Trials
    seed: int = 0
    technology: Technology | None = None
    stages: Stages = field(default_factory=Stages)
    _proposed: list[tuple[Target, Sequence[Names]]] = field(default_factory=list)

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
    ) -> Study:
        """Quantises a trained float network and explores the catalog for it.

        technology: the catalog's, if it is not the built-in one. cache: a folder that keeps measured losses. Raises
        CatalogError for a catalog without the reference multiplier or the energies asked for.
        """
        check_catalog(catalog, energy_model, technology)
        stages = stages or Stages()
        with stages.stage("8-bit network") as stage:
            calibration = to_float(splits.calibration.images[:CALIBRATION_IMAGES])
            quantized = quantize(network, [calibration])
            baseline = answers(network, splits.validation)
            stage.facts = {"validation accuracy": f"{answers(quantized, splits.validation).accuracy:.2%}"}
        with stages.stage("mappings and energies") as stage:
            sensitivity = Sensitivity(quantized, calibration, LossCache(cache / LOSSES) if cache else None)
            operands = record(quantized, calibration)
            exact = sensitivity.exact
            options = explore(quantized, catalog, operands, exact, energy_model, technology, stage.step)
            stage.facts = {"layers": len(operands), "multipliers": len(catalog.table)}
        trials = Trials(quantized, options, calibration, splits.validation, baseline)
        return cls(network, quantized, splits, options, sensitivity, trials, seed, technology, stages)

    @cached_property
    def losses(self) -> Losses:
        """Measured KL divergence of each pair."""
        return Losses(lambda pairs, step: self.sensitivity.divergences(self._whole(pairs), step), self.options.noise)

    @cached_property
    def fisher_losses(self) -> Losses:
        """The same from gradients, each layer scaled by what a few of its pairs really lose (fisher.scale)."""
        fisher = Fisher(self.quantized, self.trials.calibration, draws=1, seed=self.seed)
        scales: dict[str, float] = {}

        def measure(pairs: Sequence[tuple[str, str]], step: Step) -> list[float]:
            for layer in dict.fromkeys(layer for layer, _ in pairs if layer not in scales):
                names = self.options.screened(layer)
                few = sorted(names, key=self.options.noise[layer].__getitem__)
                few = few[len(few) // 4 :: max(1, len(few) // 4)]
                known = self._whole([(layer, name) for name in few[:SCALED_BY]])
                scales[layer] = scale([fisher.loss(*pair) for pair in known], self.sensitivity.divergences(known))
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

    def population_errors(self) -> dict[str, dict[str, float]]:
        """Standard deviation of each pair's output error over that of the exact outputs, by agn-approx's model."""
        options, layers, found = self.options, table_layers(self.quantized), {}
        fields = record_fields(self.quantized, self.trials.calibration, seed=self.seed)
        for layer, own in options.fits.items():
            tables = [(fit.mapping.table8(options.catalog[name].lut), fit.mapping.gain) for name, fit in own.items()]
            errors = population.errors_of_fields(layers[layer], fields[layer], tables, self.seed).std
            found[layer] = dict(zip(own, (errors / spread(options.exact[layer])).tolist(), strict=True))
        return found

    def quantization_drop(self) -> float:
        """Points that the exact 8-bit network loses against the float one on the validation split."""
        found = answers(self.quantized, self.splits.validation)
        return drop(self.trials.baseline.hits, found.hits).points

    def propose(self, target: Target) -> Sequence[Names]:
        """What the target's strategy proposes, from the safest to the cheapest; made once, whatever the loss allowed.

        Raises AgnError for an unknown strategy, AssignmentError for limits that leave nothing.
        """
        check(target)
        same = replace(target, max_drop=0.0)
        for known, proposals in self._proposed:
            if known == same:
                return proposals
        with self.stages.stage(f"{target.strategy}: proposals") as stage:
            proposals = STRATEGIES[target.strategy](self, target, stage.step)
            stage.facts = {"proposals": len(proposals)}
        self._proposed.append((same, proposals))
        return proposals

    def solve(self, target: Target) -> Solution:
        """Lets the target's strategy propose, and tries what it proposes."""
        proposals = self.propose(target)
        with self.stages.stage(f"{target.strategy}: trials") as stage:
            tried = selection.search(self.trials, proposals, target.max_drop, stage.step)
            solution = Solution(target, proposals, tried)
            self.judge(solution)
            stage.facts = {"trials": len(tried), "energy": self.told(solution.best)}
        return solution

    def judge(self, solution: Solution, also: Sequence[Names] = ()) -> None:
        """Sets the solution's best trial anew: more trials, whoever made them, smooth all of them."""
        known = self.trials.smoothed()
        tried = [known[self.trials.key(names)] for names in (*solution.tried.values(), *also)]
        solution.best = selection.cheapest_within(tried, solution.target.max_drop, self.cost(solution.target))

    def cost(self, target: Target) -> Callable[[Trial], tuple[float, ...]]:
        """What is to be least."""
        if target.objective == "energy":
            return lambda trial: (trial.energy,)
        return lambda trial: (self.options.area_of(trial.names), trial.energy)

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
            found = descend(retraining, solution.proposals, max(holds, default=-1), limit, stage.step)
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
    if energy_model != energies.UNIFORM and technology is None:
        energies.technology_of(catalog)
