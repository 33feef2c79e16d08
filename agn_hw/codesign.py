"""The whole way from catalog and network to plan, in the order in which it happens.

Each split of the data has one use: train fits the weights, calibration sets scales and predicts losses, validation
decides which assignment is kept, and test is run once, for the figures that are reported.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from agn_hw.accelerator.config import Plan
from agn_hw.conversion.quantize import quantize
from agn_hw.run_folder import check_place, write_run
from agn_hw.search.behaviour import Answers, answers, drop
from agn_hw.search.candidates import REFERENCE, Options, explore
from agn_hw.search.operands import record
from agn_hw.search.selection import Trial, Trials, cheapest_within, smoothed
from agn_hw.settings import Settings
from agn_hw.stages import Stages
from agn_hw.summary import Figures, make_plan
from agn_hw.zoo import data, models
from agn_hw.zoo.train import trained
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError, CatalogError

CALIBRATION_IMAGES = 256


class TargetError(AgnError):
    """The accuracy asked for cannot be had."""


def codesign(settings: Settings, stages: Stages) -> Plan:
    """Trains (or loads), quantises, assigns, verifies, writes `settings.run`; returns the plan.

    Raises PlanError for a place that holds something else, CatalogError for a catalog without the reference
    multiplier, TargetError when quantisation alone loses more than `max_drop`.
    """
    check_place(settings.run)
    catalog = Catalog.load(settings.catalog)
    if REFERENCE not in catalog:
        mend = "build it from rtl/multipliers.toml together with your own designs"
        raise CatalogError(f"the reference '{REFERENCE}' in {settings.catalog}", "it is not there", mend)
    with stages.stage("float network") as stage:
        splits = data.load(settings.data, settings.seed, settings.cache, settings.data_root, settings.image_size)
        models.check_side(settings.model, splits.side)
        network = trained(settings.model, settings.data, splits, settings.cache, settings.seed)
        baseline = answers(network, splits.validation)
        stage.facts = {"validation accuracy": f"{baseline.accuracy:.2%}"}
    with stages.stage("8-bit network") as stage:
        calibration = data.to_float(splits.calibration.images[:CALIBRATION_IMAGES])
        quantized = quantize(network, [calibration])
        stage.facts = {"validation accuracy": _check_quantization(quantized, splits.validation, baseline, settings)}
    with stages.stage("mappings and losses") as stage:
        options = explore(quantized, catalog, record(quantized, calibration), calibration, stage.step)
        measured = sum(len(losses) for losses in options.losses.values())
        stage.facts = {"layer-multiplier pairs measured": measured}
    with stages.stage("assignments tried") as stage:
        trials = Trials(quantized, options, calibration, splits.validation, baseline)
        tried, best = _try_all(trials, options, settings.max_drop, stage.step)
        stage.facts = {"trials": sum(map(len, tried.values())), "plan's energy": f"{best['plan'].energy:.1%}"}
        if not best["plan"].within(settings.max_drop):
            stage.facts["note"] = "nothing is safely within --max-drop; the exact reference stays"
    with stages.stage("test split") as stage:
        networks = {kind: trials.network(trial.names) for kind, trial in best.items()}
        figures = _measure(network, quantized, networks, splits.test, baseline)
        plan = make_plan(settings, splits, options, tried, best, figures, len(calibration))
        stage.facts = {"accuracy": f"{plan.totals['accuracy_approximate']:.2%}"}
    write_run(settings.run, plan, networks["plan"], options.choice(best["plan"].names), stages)
    return plan


def _check_quantization(model: nn.Module, split: data.Split, baseline: Answers, settings: Settings) -> str:
    found = answers(model, split)
    lost = drop(baseline.hits, found.hits).points
    if lost > settings.max_drop:
        raise TargetError(
            f"at most {settings.max_drop:g} points lost",
            f"8-bit quantisation alone, with exact multipliers, loses {lost:.2f} points on the validation images",
            f"ask for --max-drop {lost + 0.5:.1f} or more, or train a network that quantises better",
        )
    return f"{found.accuracy:.2%}"


def _try_all(
    trials: Trials, options: Options, max_drop: float, step: Callable[[], None]
) -> tuple[dict[str, list[Trial]], dict[str, Trial]]:
    """Trials of each kind, and of each kind the cheapest that keeps the accuracy."""
    tried = {
        "plan": trials.sweep(options.candidates(), max_drop, step),
        "exact_narrow": trials.sweep(options.candidates(options.narrow()), max_drop, step),
        "uniform": _uniform(trials, options, max_drop, step),
    }
    reference = trials.run(dict.fromkeys(options.operands, REFERENCE))
    assigned = smoothed(tried["plan"] + tried["exact_narrow"], options.predicted_loss)
    pools = {
        "plan": assigned,
        "exact_narrow": [trial for trial in assigned if set(trial.names.values()) <= options.narrow()],
        "uniform": smoothed(tried["uniform"], options.noise),
    }
    best = {kind: cheapest_within(found, max_drop) or reference for kind, found in pools.items()}
    best["plan"] = min(best.values(), key=lambda trial: trial.energy)  # a baseline that is cheaper is the plan
    return tried, best


def _uniform(trials: Trials, options: Options, max_drop: float, step: Callable[[], None]) -> list[Trial]:
    """Trials of one multiplier in all layers; near the cheapest good one every candidate is tried."""
    found = [trials.run(dict.fromkeys(options.operands, name), step) for name in options.uniform()]
    best = cheapest_within(found, max_drop)
    if best is not None:
        nearby = options.uniform_below(next(iter(best.names.values())))
        found += [trials.run(dict.fromkeys(options.operands, name), step) for name in nearby]
    return found


def _measure(
    network: nn.Module,
    quantized: fx.GraphModule,
    networks: dict[str, fx.GraphModule],
    split: data.Split,
    baseline: Answers,
) -> Figures:
    """Answers on the test split, run for the first and only time."""
    found = {kind: answers(chosen, split).hits for kind, chosen in networks.items()}
    return Figures(answers(network, split).hits, answers(quantized, split).hits, found, baseline.accuracy)
