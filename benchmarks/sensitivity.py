"""How well cheaper figures predict a pair's measured loss, and what each costs: `python -m benchmarks.sensitivity`.

Networks on the procedural shapes, seed 0, quantised to 8 bits; 150 multipliers over the catalog's range of energies,
each with its best mapping for each layer; of those that fewer than two others beat in energy and noise, a sample of
each layer.

    measured    KL divergence with this layer alone approximate (search/pairs/sensitivity.py), 256 calibration images
    fisher d    the same to second order, from the gradients of d drawn labels an image (search/pairs/fisher.py)
    noise       error variance left after compensation over that of the exact sums (search/pairs/error_model.py)
    fit         expected squared error of a product, as mappings are chosen by (search/pairs/remap.py)
    ... + 3     a monotone curve of that figure through three measured pairs of each layer (search/pairs/losses.py),
                those three left out; their measurement counts as preparation

Writes a CSV, one row a network and predictor: screened pairs and those of the sample; Spearman's correlation with the
measured loss within a layer (median and worst) and over all pairs; median of predicted over measured and the standard
deviation of its decimal logarithm, without pairs that lose nothing; processor seconds to prepare and processor
milliseconds a pair, on one thread. All screened pairs take prepare_seconds + screened * milliseconds / 1000 of
processor time, shared by as many processors as there are.

    OMP_NUM_THREADS=1 python -m benchmarks.sensitivity
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from rich.progress import track
from scipy.stats import spearmanr
from torch import fx

import agn_hw
from agn_hw.nn.compensation import exact_moments
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.error_model import noise
from agn_hw.search.pairs.fisher import Fisher
from agn_hw.search.pairs.losses import curve
from agn_hw.search.pairs.operands import Operands, record
from agn_hw.search.pairs.remap import Fit, best_mapping
from agn_hw.search.pairs.sensitivity import Sensitivity, screen
from agn_hw.zoo import data
from agn_hw.zoo.train import trained
from lut_gen.catalog import Catalog

ROOT = Path(__file__).resolve().parent.parent
IMAGES, MULTIPLIERS, NOTHING = 256, 150, 1e-9
DRAWS = 1, 4
ANCHORS = 3

Fits = dict[str, dict[str, Fit]]
Pairs = list[tuple[str, str]]
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensitivity", description=__doc__)
    parser.add_argument("--catalog", type=Path, default=ROOT / "build" / "catalog")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "cache", help="trained networks and data")
    parser.add_argument("--models", nargs="*", default=["resnet8", "resnet20"])
    parser.add_argument("--sample", type=int, default=16, help="measured pairs a layer")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "codesign" / "sensitivity.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    catalog, splits = Catalog.load(arguments.catalog), data.load("shapes", 0, arguments.cache)
    images = data.to_float(splits.calibration.images[:IMAGES])
    rows = []
    for name in arguments.models:
        model = agn_hw.quantize(trained(name, "shapes", splits, arguments.cache, 0), [images])
        rows += agreement(name, model, images, catalog, arguments.sample)
    table = pd.DataFrame(rows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.output, index=False, float_format="%.4g", lineterminator="\n")
    print(table.round(3).to_string(index=False))


def agreement(name: str, model: fx.GraphModule, images: torch.Tensor, catalog: Catalog, sample: int) -> list[dict]:
    """Rows of the CSV for one network."""
    operands = record(model, images)
    fits = mappings(catalog, operands)
    noises, prepare, each = screening(model, images, catalog, operands, fits)
    energies = {m.name: m.sign_magnitude_energy_fj for m in catalog}
    screened = {layer: screen(noises[layer], energies) for layer in operands}
    count = sum(map(len, screened.values()))
    pairs = [(layer, kept) for layer, names in screened.items() for kept in spread(sorted(names), sample)]

    def timed(make: Callable[[], Any], loss: str) -> tuple[np.ndarray, float, float]:
        made, prepare = clocked(make)
        todo = [(layer, catalog[m], fits[layer][m].mapping) for layer, m in pairs]
        losses, spent = clocked(lambda: [getattr(made, loss)(*pair) for pair in track(todo, f"{name}, {loss}")])
        return np.array(losses), prepare, 1e3 * spent / len(pairs)

    found = {"measured": timed(partial(Sensitivity, model, images), "divergence")}
    for draws in DRAWS:
        found[f"fisher {draws}"] = timed(partial(Fisher, model, images, draws), "loss")
    found["noise"] = np.array([noises[layer][m] for layer, m in pairs]), prepare, each
    costs = [fits[layer][m].cost / operands[layer].mean_square() for layer, m in pairs]
    found["fit"] = np.array(costs), 0.0, 0.0
    layers, (measured, ready, own) = np.array([layer for layer, _ in pairs]), found["measured"]
    for key in ("fisher 1", "noise", "fit"):
        predicted, prepare, each = found[key]
        prepare += ready + ANCHORS * len(screened) * own / 1e3
        found[f"{key} + {ANCHORS}"] = anchored(predicted, measured, layers), prepare, each
    return [
        {"network": name, "predictor": key, "screened": count, "pairs": len(pairs)}
        | figures(predicted, measured, layers, is_loss=key not in ("noise", "fit"))
        | {"prepare_seconds": prepare, "milliseconds": each}
        for key, (predicted, prepare, each) in found.items()
    ]


def mappings(catalog: Catalog, operands: dict[str, Operands]) -> Fits:
    """Best mappings by layer of multipliers over the whole range of energies."""
    by_energy = sorted(catalog, key=lambda m: (m.sign_magnitude_energy_fj, m.name))
    chosen = spread(by_energy, MULTIPLIERS)
    return {
        layer: {m.name: best_mapping(m, own) for m in chosen} for layer, own in track(operands.items(), "mappings")
    }


def screening(
    model: fx.GraphModule, images: torch.Tensor, catalog: Catalog, operands: dict[str, Operands], fits: Fits
) -> tuple[dict[str, dict[str, float]], float, float]:
    """The error model's noise by layer, then multiplier; seconds to prepare, milliseconds a pair."""
    layers = table_layers(model)
    exact, prepare = clocked(lambda: exact_moments(model, [images]))
    tables = {
        layer: [(fit.mapping.table8(catalog[m].lut), fit.mapping.gain) for m, fit in own.items()]
        for layer, own in fits.items()
    }
    found, spent = clocked(lambda: {n: noise(layers[n], operands[n], tables[n], exact[n]) for n in fits})
    by_name = {layer: dict(zip(fits[layer], values.tolist(), strict=True)) for layer, values in found.items()}
    return by_name, prepare, 1e3 * spent / sum(map(len, fits.values()))


def spread(items: list, count: int) -> list:
    """`count` of the items, evenly over the list; all if they are fewer."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]


def clocked(work: Callable[[], Result]) -> tuple[Result, float]:
    """What the work makes, and its processor seconds."""
    begin = time.process_time()
    return work(), time.process_time() - begin


def anchored(figure: np.ndarray, measured: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Losses from a figure and some measured pairs of each layer, evenly by rank; nan for those pairs."""
    predicted = np.empty(len(figure))
    for layer in dict.fromkeys(layers):
        own = np.flatnonzero(layers == layer)
        ranked = own[np.argsort(figure[own], kind="stable")]
        known = ranked[((np.arange(ANCHORS) + 0.5) / ANCHORS * len(own)).astype(int)]
        line = curve(figure[known], measured[known])
        predicted[own] = [line(value) for value in figure[own]]
        predicted[known] = np.nan
    return predicted


def figures(predicted: np.ndarray, measured: np.ndarray, layers: np.ndarray, is_loss: bool) -> dict[str, float]:
    """Rank correlations, and for predictions in nats their ratio to the measured loss; pairs that are nan left out."""
    there = ~np.isnan(predicted)
    predicted, measured, layers = predicted[there], measured[there], layers[there]
    within = [spearmanr(predicted[layers == n], measured[layers == n])[0] for n in dict.fromkeys(layers)]
    found = {"layer_median": np.median(within), "layer_worst": np.min(within)}
    found["overall"] = spearmanr(predicted, measured)[0]
    lossy = (measured > NOTHING) & (predicted > NOTHING)
    ratio = predicted[lossy] / measured[lossy] if is_loss else np.array([np.nan])
    return found | {"ratio_median": np.median(ratio), "ratio_log10_std": np.std(np.log10(ratio))}


if __name__ == "__main__":
    main()
