"""The whole way from catalog and network to plan, in the order in which it happens.

Each split of the data has one use: train fits the weights, calibration sets scales and predicts losses, validation
decides which assignment is kept, and test is run once, for the figures that are reported.
"""

from __future__ import annotations

from dataclasses import replace

from agn_hw.accelerator.config import Plan
from agn_hw.arrays import array_of, hardware_for
from agn_hw.run_folder import check_place, write_run
from agn_hw.search import latency
from agn_hw.search.behaviour import answers
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.retraining import Retraining, recipe
from agn_hw.search.solver.assignment import AssignmentError, Limits
from agn_hw.search.strategies import Target, check
from agn_hw.search.study import Solution, Study, TargetError, check_catalog
from agn_hw.settings import Settings
from agn_hw.stages import Stages
from agn_hw.summary import Chosen, Figures, final, make_plan
from agn_hw.zoo import data, models
from agn_hw.zoo.train import recipe_for, trained
from lut_gen.catalog import Catalog
from lut_gen.library import liberty_reader

BASELINES = {"exact_narrow": "exact-narrow", "uniform": "uniform"}
"""What every plan is compared with, by its name in plan.json: the strategy."""


def codesign(settings: Settings, stages: Stages) -> Plan:
    """Trains (or loads), quantises, assigns, verifies, writes `settings.run`; returns the plan.

    Raises PlanError for a place that holds something else, CatalogError for a catalog without the reference
    multiplier or the energies asked for, TargetError when quantisation alone loses more than `max_drop`,
    AssignmentError for limits that leave nothing.
    """
    check_place(settings.run)
    check(target(settings, settings.strategy), further_limits=settings.max_latency is not None)
    study = open_study(settings, stages)
    lost = study.quantization_drop
    if lost > settings.max_drop:
        raise TargetError(
            f"at most {settings.max_drop:g} points lost",
            f"8-bit quantisation alone, with exact multipliers, loses {lost:.2f} points on the validation images",
            f"ask for --max-drop {lost + 0.5:.1f} or more, or train a network that quantises better",
        )
    solutions = solve(study, settings)
    _check_limits(study, solutions["plan"])
    chosen = {kind: _chosen(study, solution) for kind, solution in solutions.items()}
    if settings.retrain:
        chosen |= _retrained(study, solutions, settings)
    array = array_of(study, chosen)
    with stages.stage("test split") as stage:
        figures = _measure(study, chosen)
        plan = make_plan(settings, study, solutions, chosen, figures, array)
        stage.facts = {"accuracy": f"{plan.totals['accuracy_approximate']:.2%}"}
    best = chosen[final(chosen)]
    write_run(settings.run, plan, best.network, study.options.choice(best.names), stages)
    return plan


def open_study(settings: Settings, stages: Stages) -> Study:
    """The trained network and what can be chosen for it."""
    catalog = Catalog.load(settings.catalog)
    technology = None if settings.liberty is None else liberty_reader.load(settings.liberty)
    check_catalog(catalog, settings.energy_model, technology)
    hardware = hardware_for(settings, catalog, technology)
    with stages.stage("float network") as stage:
        splits = data.load(settings.data, settings.seed, settings.cache, settings.data_root, settings.image_size)
        models.check_side(settings.model, splits.side)
        network = trained(settings.model, settings.data, splits, settings.cache, settings.seed)
        stage.facts = {"training images": len(splits.train)}
    return Study.of(
        network,
        splits,
        catalog,
        energy_model=settings.energy_model,
        technology=technology,
        seed=settings.seed,
        cache=settings.cache,
        stages=stages,
        hardware=hardware,
        level=settings.level,
    )


def _check_limits(study: Study, solution: Solution) -> None:
    """Where nothing holds, the exact reference is the plan; raises TargetError if it does not keep the limits."""
    reference, target = study.options.everywhere(REFERENCE), solution.target
    if solution.best is None and not study.options.keeps(reference, target.limits):
        raise TargetError(
            f"an assignment within the limits that loses at most {target.max_drop:g} points",
            f"none of the {len(solution.tried)} that were tried does, and {REFERENCE} does not keep the limits",
            "allow more loss with --max-drop, or loosen the limits",
        )


def solve(study: Study, settings: Settings) -> dict[str, Solution]:
    """The strategy's solution ("plan") and those of the baselines, chosen by the trials of all.

    A baseline that cannot keep the limits is left out. Raises AssignmentError where the strategy cannot.
    """
    solved: dict[str, Solution] = {}
    within = limits(settings, study)
    for kind, strategy in {"plan": settings.strategy, **BASELINES}.items():
        try:
            solved[kind] = study.propose(replace(target(settings, strategy), limits=within))
        except AssignmentError:
            if kind == "plan":
                raise
    solutions = study.solve_all([solution.target for solution in solved.values()])
    return dict(zip(solved, solutions, strict=True))


def target(settings: Settings, strategy: str) -> Target:
    """What one strategy is asked for, but for limits that need a study."""
    return Target(settings.max_drop, strategy, "area" if settings.objective == "area" else "energy", limits(settings))


def limits(settings: Settings, study: Study | None = None) -> Limits:
    """What an assignment must keep to; that on latency is known with the study only. Raises as latency.too_slow."""
    excluded = {}
    if study is not None and settings.max_latency is not None:
        excluded = latency.too_slow(study, settings.max_latency)
    return Limits(types=settings.types, area_um2=settings.max_area, delay_ns=settings.max_delay, excluded=excluded)


def retraining_of(study: Study, settings: Settings) -> Retraining:
    """How a study's assignments are retrained: with the augmentation that its float network had."""
    augment = recipe_for(settings.data, study.network, study.splits).augment
    return Retraining(study.trials, study.splits, study.network, recipe(study.splits, augment, settings.seed))


def _chosen(study: Study, solution: Solution) -> Chosen:
    """The best of a solution as a network; the exact reference, whatever the limits, where nothing holds."""
    trial = solution.best
    names = study.options.everywhere(REFERENCE) if trial is None else trial.names
    network = study.trials.network(names)
    return Chosen.of(study, names, network, retrained=False, within=trial is not None)


def _retrained(study: Study, solutions: dict[str, Solution], settings: Settings) -> dict[str, Chosen]:
    """Cheaper choices that hold after retraining: the plan's and the honest baseline's, where there are any."""
    retraining = retraining_of(study, settings)
    found = {}
    for kind in [kind for kind in ("plan", "exact_narrow") if kind in solutions]:
        study.retrain(solutions[kind], retraining)
        trial = solutions[kind].retrained
        if trial is not None:
            network = retraining.network(trial.names)
            found[f"{kind}_retrained"] = Chosen.of(study, trial.names, network, retrained=True, within=True)
    return found


def _measure(study: Study, chosen: dict[str, Chosen]) -> Figures:
    """Answers on the test split, run for the first and only time."""
    test = study.splits.test
    hits = {kind: answers(one.network, test).hits for kind, one in chosen.items()}
    return Figures(answers(study.network, test).hits, answers(study.quantized, test).hits, hits)
