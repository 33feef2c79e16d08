"""The whole way from catalog and network to plan, in the order in which it happens.

Each split of the data has one use: train fits the weights, calibration sets scales and predicts losses, validation
decides which assignment is kept, and test is run once, for the figures that are reported.
"""

from __future__ import annotations

from agn_hw.accelerator.config import Plan
from agn_hw.run_folder import check_place, write_run
from agn_hw.search.behaviour import answers
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.retraining import Retraining, recipe
from agn_hw.search.solver.assignment import Limits
from agn_hw.search.strategies import Target, check
from agn_hw.search.study import Solution, Study, TargetError, check_catalog
from agn_hw.settings import Settings
from agn_hw.stages import Stages
from agn_hw.summary import Chosen, Figures, make_plan
from agn_hw.zoo import data, models
from agn_hw.zoo.train import recipe_for, trained
from lut_gen.catalog import Catalog
from lut_gen.library import liberty_reader

BASELINES = {"exact_narrow": "exact-narrow", "uniform": "uniform"}
"""What every plan is compared with, by its name in plan.json: the strategy."""
SUPERSETS = ("kl", "fisher")
"""Strategies that could have proposed what the baselines did: a cheaper baseline is their plan."""


def codesign(settings: Settings, stages: Stages) -> Plan:
    """Trains (or loads), quantises, assigns, verifies, writes `settings.run`; returns the plan.

    Raises PlanError for a place that holds something else, CatalogError for a catalog without the reference
    multiplier or the energies asked for, TargetError when quantisation alone loses more than `max_drop`,
    AssignmentError for limits that leave nothing.
    """
    check_place(settings.run)
    check(Target(settings.max_drop, settings.strategy, settings.objective, limits(settings)))  # type: ignore[arg-type]
    study = open_study(settings, stages)
    lost = study.quantization_drop()
    if lost > settings.max_drop:
        raise TargetError(
            f"at most {settings.max_drop:g} points lost",
            f"8-bit quantisation alone, with exact multipliers, loses {lost:.2f} points on the validation images",
            f"ask for --max-drop {lost + 0.5:.1f} or more, or train a network that quantises better",
        )
    solutions = solve(study, settings)
    chosen = {kind: _chosen(study, solution) for kind, solution in solutions.items()}
    if settings.retrain:
        chosen |= _retrained(study, solutions, settings)
    with stages.stage("test split") as stage:
        figures = _measure(study, chosen)
        plan = make_plan(settings, study, solutions, chosen, figures)
        stage.facts = {"accuracy": f"{plan.totals['accuracy_approximate']:.2%}"}
    best = final(chosen)
    write_run(settings.run, plan, best.network, study.options.choice(best.names), stages)
    return plan


def open_study(settings: Settings, stages: Stages) -> Study:
    """The trained network and what can be chosen for it."""
    catalog = Catalog.load(settings.catalog)
    technology = None if settings.liberty is None else liberty_reader.load(settings.liberty)
    check_catalog(catalog, settings.energy_model, technology)
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
    )


def solve(study: Study, settings: Settings) -> dict[str, Solution]:
    """The strategy's solution ("plan") and those of the baselines, judged by the trials of all."""
    asked = {"plan": settings.strategy, **BASELINES}
    solved: dict[str, Solution] = {}
    for kind, strategy in asked.items():
        same = [solution for solution in solved.values() if solution.target.strategy == strategy]
        target = Target(settings.max_drop, strategy, settings.objective, limits(settings))  # type: ignore[arg-type]
        solved[kind] = same[0] if same else study.solve(target)
    for kind, solution in solved.items():
        superset = kind == "plan" and settings.strategy in SUPERSETS
        others = [solved[other] for other in BASELINES] if superset else []
        study.judge(solution, [names for other in others for names in other.tried.values()])
    return solved


def limits(settings: Settings) -> Limits:
    """What an assignment must keep to."""
    return Limits(types=settings.types, area_um2=settings.max_area, delay_ns=settings.max_delay)


def retraining_of(study: Study, settings: Settings) -> Retraining:
    """How a study's assignments are retrained: with the augmentation that its float network had."""
    augment = recipe_for(settings.data, study.network, study.splits).augment
    return Retraining(study.trials, study.splits, study.network, recipe(study.splits, augment, settings.seed))


def final(chosen: dict[str, Chosen]) -> Chosen:
    """The plan: retrained, if that made it cheaper."""
    return chosen.get("plan_retrained", chosen["plan"])


def _chosen(study: Study, solution: Solution) -> Chosen:
    """The best of a solution as a network; the exact reference where nothing holds."""
    trial = solution.best
    names = study.options.everywhere(REFERENCE) if trial is None else trial.names
    network = study.trials.network(names)
    energies = {layer: study.options.energies[layer][name] for layer, name in names.items()}
    return Chosen(names, network, energies, retrained=False, within=trial is not None)


def _retrained(study: Study, solutions: dict[str, Solution], settings: Settings) -> dict[str, Chosen]:
    """Cheaper choices that hold after retraining: the plan's and the honest baseline's, where there are any."""
    retraining = retraining_of(study, settings)
    found = {}
    for kind in ("plan", "exact_narrow"):
        study.retrain(solutions[kind], retraining)
        trial = solutions[kind].retrained
        if trial is not None:
            network = retraining.network(trial.names)
            energies = study.final_energies(network, trial.names)
            found[f"{kind}_retrained"] = Chosen(trial.names, network, energies, retrained=True, within=True)
    return found


def _measure(study: Study, chosen: dict[str, Chosen]) -> Figures:
    """Answers on the test split, run for the first and only time."""
    test = study.splits.test
    hits = {kind: answers(one.network, test).hits for kind, one in chosen.items()}
    return Figures(answers(study.network, test).hits, answers(study.quantized, test).hits, hits)
