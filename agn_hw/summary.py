"""Puts together the plan: what was chosen, what it costs, how accurate it is, and against what."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import fx

import agn_hw
from agn_hw.accelerator import tables
from agn_hw.accelerator.config import LayerPlan, Plan
from agn_hw.search.behaviour import drop
from agn_hw.search.candidates import REFERENCE, Options
from agn_hw.search.front import Front
from agn_hw.search.intervals import interval
from agn_hw.search.study import Solution, Study
from agn_hw.settings import Settings
from lut_gen.files import sha256


@dataclass(frozen=True)
class Chosen:
    """One assignment as a network. energies: fJ a multiplication of each layer, under this network's own operands.

    area: of one multiplier of each type, um2. retrained: whether the weights were trained with the tables. within:
    whether it holds on the validation split.
    """

    names: dict[str, str]
    network: fx.GraphModule
    energies: dict[str, float]
    area: float
    retrained: bool
    within: bool

    @classmethod
    def of(
        cls, study: Study, names: dict[str, str], network: fx.GraphModule, *, retrained: bool, within: bool
    ) -> Chosen:
        """With its energies."""
        spent = study.final_energies(network, names)
        return cls(names, network, spent, study.options.area_of(names), retrained, within)

    def energy(self, options: Options) -> float:
        """Of one image, fJ."""
        return sum(options.operands[layer].macs * energy for layer, energy in self.energies.items())


@dataclass(frozen=True)
class Figures:
    """Which test images each network gets right, bool [N]; `hits` by kind (plan, exact_narrow, uniform, ...)."""

    float_hits: torch.Tensor
    exact_hits: torch.Tensor
    hits: dict[str, torch.Tensor]


def make_plan(
    settings: Settings,
    study: Study,
    solutions: dict[str, Solution],
    chosen: dict[str, Chosen],
    figures: Figures,
    array: dict[str, Any],
) -> Plan:
    """The plan, with baselines, the tried front and provenance. chosen: by kind, KIND_retrained where there is one;
    array: accelerator.savings.described."""
    kind = final(chosen)
    splits, options = study.splits, study.options
    calibration = len(study.trials.calibration)
    return Plan(
        model=settings.model,
        data={
            **{"name": splits.name, **splits.sizes(), "calibration": calibration, "seed": splits.seed},
            **{"classes": splits.classes, "image": list(splits.train.images.shape[1:])},
        },
        layers=[_layer(study, chosen[kind], layer, name) for layer, name in chosen[kind].names.items()],
        totals=_totals(settings, study, chosen, kind, figures),
        baselines={
            one: _baseline(options, chosen[one], figures, one)
            for one in ("uniform", "exact_narrow", "exact_narrow_retrained")
            if one in chosen
        },
        front=_front(study, solutions, chosen["plan"]),
        provenance=_provenance(settings, study, solutions["plan"]),
        array=rounded(array),
    )


def final(chosen: dict[str, Chosen]) -> str:
    """Which is the plan: "plan", or "plan_retrained" if there is one."""
    return "plan_retrained" if "plan_retrained" in chosen else "plan"


def rounded(tree: Any) -> Any:
    """The same dicts and lists with every float as the plan has it."""
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [rounded(value) for value in tree]
    return _short(tree) if isinstance(tree, float) else tree


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _known(value: float) -> float | None:
    """None for what the catalog does not know."""
    return None if math.isnan(value) else _short(value)


def _front(study: Study, solutions: dict[str, Solution], chosen: Chosen) -> list[dict[str, Any]]:
    """What each strategy tried, as it was measured; the plan, before any retraining, is marked."""
    known = {study.trials.key(trial.names): trial for trial in study.trials.done}
    found = []
    for kind, solution in solutions.items():
        for names in solution.tried.values():
            trial = known[study.trials.key(names)]
            found.append(
                {
                    "kind": kind,
                    "energy_relative": _short(trial.energy),
                    "divergence": _short(trial.divergence),
                    "validation_accuracy": _short(trial.accuracy),
                    "plan": names == chosen.names,
                }
            )
    return found


def _layer(study: Study, chosen: Chosen, layer: str, name: str) -> LayerPlan:
    options, measured = study.options, study.losses.measured[layer]
    operands = options.operands[layer]
    return LayerPlan(
        name=layer,
        type=operands.layer_type,
        macs=operands.macs,
        multiplier=name,
        energy_fj=_short(chosen.energies[layer]),
        energy_model=options.energy_model,
        mapping=tables.describe(options.fits[layer][name].mapping),
        operands=operands.summary(),
        predicted_kl=_short(measured[name]) if name in measured else None,
    )


def _totals(
    settings: Settings, study: Study, chosen: dict[str, Chosen], kind: str, figures: Figures
) -> dict[str, Any]:
    options, plan = study.options, chosen[kind]
    found = {
        "macs": sum(operands.macs for operands in options.operands.values()),
        "energy_fj": _short(plan.energy(options)),
        "energy_relative": _short(options.of_multiplications(plan.energies)),
        "accuracy_float": _accuracy(figures.float_hits),
        "accuracy_float_validation": _short(study.trials.baseline.accuracy),
        "accuracy_exact": _accuracy(figures.exact_hits),
        **_accuracies(figures.float_hits, figures.hits[kind]),
        "max_drop": settings.max_drop,
        "within_max_drop": plan.within,
        "multiplier_types": len(set(plan.names.values())),
        "multiplier_area_um2": _known(plan.area),
        "multiplier_delay_ns": _known(max(map(options.delay, plan.names.values()))),
        "retrained": plan.retrained,
    }
    if plan.retrained:
        found["without_retraining"] = _baseline(options, chosen["plan"], figures, "plan")
    return found


def _accuracies(float_hits: torch.Tensor, hits: torch.Tensor) -> dict[str, Any]:
    """Accuracy and loss on the test split with their 95 % bootstrap intervals; the loss is paired, in points."""
    lost = drop(float_hits, hits)
    difference = 100 * (float_hits.double() - hits.double())
    return {
        "accuracy_approximate": _accuracy(hits),
        "accuracy_interval": [_short(bound) for bound in interval(hits)],
        "drop_points": _short(lost.points),
        "drop_standard_error": _short(lost.error),
        "drop_interval": [_short(bound) for bound in interval(difference)],
    }


def _accuracy(hits: torch.Tensor) -> float:
    return _short(float(hits.double().mean()))


def _baseline(options: Options, chosen: Chosen, figures: Figures, kind: str) -> dict[str, Any]:
    return {
        "energy_relative": _short(options.of_multiplications(chosen.energies)),
        "accuracy": _accuracy(figures.hits[kind]),
        "drop_points": _short(drop(figures.float_hits, figures.hits[kind]).points),
        "multipliers": next(iter(chosen.names.values())) if kind == "uniform" else chosen.names,
        "within_max_drop": chosen.within,
    }


def command(settings: Settings) -> str:
    """The command line that asks for the same."""
    rest = {
        "--strategy": settings.strategy if settings.strategy != "kl" else None,
        "--objective": settings.objective if settings.objective != "energy" else None,
        "--types": settings.types,
        "--max-area": settings.max_area,
        "--max-delay": settings.max_delay,
        "--max-latency": settings.max_latency,
        "--array": "x".join(map(str, settings.array)) if settings.array != (8, 8) else None,
        "--energy-model": settings.energy_model if settings.energy_model != "weight_stationary" else None,
        "--liberty": settings.liberty,
        "--data-root": settings.data_root,
        "--image-size": settings.image_size,
    }
    told = "".join(f" {name} {shlex.quote(str(value))}" for name, value in rest.items() if value is not None)
    told += "" if settings.retrain else " --no-retrain"
    return (
        f"agn-hw codesign --model {settings.model} --data {settings.data} --max-drop {settings.max_drop:g} --seed "
        f"{settings.seed} --catalog {shlex.quote(str(settings.catalog))}{told}"
    )


def _provenance(settings: Settings, study: Study, solution: Solution) -> dict[str, Any]:
    options, catalog = study.options, study.options.catalog
    reference = options.reference_multiplications()
    macs = {layer: operands.macs for layer, operands in options.operands.items()}
    mean = sum(macs[layer] * energy for layer, energy in reference.items()) / sum(macs.values())
    return {
        "command": command(settings),
        "agn_hw": agn_hw.__version__,
        "torch": torch.__version__,
        "scipy": version("scipy"),
        "strategy": settings.strategy,
        "objective": settings.objective,
        "limits": {
            "types": settings.types,
            "area_um2": settings.max_area,
            "delay_ns": settings.max_delay,
            "latency_us": settings.max_latency,
        },
        "solver_gap": _gap(solution),
        "catalog": {"index_sha256": sha256((catalog.path / "index.csv").read_bytes()), **catalog.header},
        "reference": {
            "multiplier": REFERENCE,
            "energy_fj": _short(mean),
            "energy_fj_by_layer": {layer: _short(energy) for layer, energy in reference.items()},
        },
    }


def _gap(solution: Solution) -> float | None:
    """The largest relative gap of the solutions that were tried; None for a strategy without a bound."""
    proposals = solution.proposals
    return max(proposals.at(i).gap for i in solution.tried) if isinstance(proposals, Front) else None
