"""Puts together the plan: what was chosen, what it costs, how accurate it is, and against what."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

import agn_hw
from agn_hw.accelerator import tables
from agn_hw.accelerator.config import LayerPlan, Plan
from agn_hw.search.behaviour import drop
from agn_hw.search.candidates import REFERENCE, Options
from agn_hw.search.selection import Trial
from agn_hw.settings import Settings
from agn_hw.zoo.data import Splits
from lut_gen.files import sha256


@dataclass(frozen=True)
class Figures:
    """Which test images each network gets right, bool [N]; `hits` by kind (plan, exact_narrow, uniform).

    float_validation: the float network's accuracy on the validation split."""

    float_hits: torch.Tensor
    exact_hits: torch.Tensor
    hits: dict[str, torch.Tensor]
    float_validation: float


def make_plan(
    settings: Settings,
    splits: Splits,
    options: Options,
    tried: dict[str, list[Trial]],
    best: dict[str, Trial],
    figures: Figures,
    calibration: int,
) -> Plan:
    """The plan of the best assignment, with baselines, the tried front and provenance.

    calibration: how many calibration images were used.
    """
    chosen = best["plan"]
    return Plan(
        model=settings.model,
        data={
            **{"name": splits.name, **splits.sizes(), "calibration": calibration, "seed": splits.seed},
            **{"classes": splits.classes, "image": list(splits.train.images.shape[1:])},
        },
        layers=[_layer(options, layer, name) for layer, name in chosen.names.items()],
        totals=_totals(settings, options, chosen, figures),
        baselines={kind: _baseline(best[kind], figures, kind) for kind in ("uniform", "exact_narrow")},
        front=[
            {"kind": kind, "energy_relative": _short(t.energy), "validation_accuracy": _short(t.accuracy)}
            for kind, trials in tried.items()
            for t in trials
        ],
        provenance=_provenance(settings, options),
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _layer(options: Options, layer: str, name: str) -> LayerPlan:
    multiplier, mapping = options.catalog[name], options.fits[layer][name].mapping
    operands = options.operands[layer]
    return LayerPlan(
        name=layer,
        type=operands.layer_type,
        macs=operands.macs,
        multiplier=name,
        energy_fj=_short(multiplier.sign_magnitude_energy_fj),
        energy_model="uniform",
        mapping=tables.describe(mapping),
        operands=operands.summary(),
        predicted_kl=_short(options.losses[layer][name]) if name in options.losses[layer] else None,
    )


def _totals(settings: Settings, options: Options, chosen: Trial, figures: Figures) -> dict[str, Any]:
    lost = drop(figures.float_hits, figures.hits["plan"])
    return {
        "macs": sum(operands.macs for operands in options.operands.values()),
        "energy_fj": _short(chosen.energy * options.reference_energy()),
        "energy_relative": _short(chosen.energy),
        "accuracy_float": _accuracy(figures.float_hits),
        "accuracy_float_validation": _short(figures.float_validation),
        "accuracy_exact": _accuracy(figures.exact_hits),
        "accuracy_approximate": _accuracy(figures.hits["plan"]),
        "drop_points": _short(lost.points),
        "drop_standard_error": _short(lost.error),
        "max_drop": settings.max_drop,
        "within_max_drop": chosen.within(settings.max_drop),
        "multiplier_types": len(set(chosen.names.values())),
    }


def _accuracy(hits: torch.Tensor) -> float:
    return _short(float(hits.double().mean()))


def _baseline(trial: Trial, figures: Figures, kind: str) -> dict[str, Any]:
    return {
        "energy_relative": _short(trial.energy),
        "accuracy": _accuracy(figures.hits[kind]),
        "multipliers": trial.names if kind == "exact_narrow" else next(iter(trial.names.values())),
    }


def _command(settings: Settings) -> str:
    local = "" if settings.data_root is None else f" --data-root {settings.data_root}"
    local += "" if settings.image_size is None else f" --image-size {settings.image_size}"
    return (
        f"agn-hw codesign --model {settings.model} --data {settings.data}{local} --max-drop {settings.max_drop:g} "
        f"--seed {settings.seed} --catalog {settings.catalog}"
    )


def _provenance(settings: Settings, options: Options) -> dict[str, Any]:
    catalog = options.catalog
    return {
        "command": _command(settings),
        "agn_hw": agn_hw.__version__,
        "torch": torch.__version__,
        "scipy": version("scipy"),
        "catalog": {"index_sha256": sha256((catalog.path / "index.csv").read_bytes()), **catalog.header},
        "reference": {"multiplier": REFERENCE, "energy_fj": _short(catalog[REFERENCE].sign_magnitude_energy_fj)},
    }
