"""How well the error models predict a multiplier's error in a layer: `python -m benchmarks.error_model --help`.

ResNet-8 on the procedural shapes, quantised to 8 bits: about 60 multipliers of all families in every layer, with the
default and with the best mapping. Measured: the layer itself with the table, on validation images and its own exact
inputs. Predicted: from 256 calibration images. Two figures, both relative to the exact sums' standard deviation:

    error   standard deviation of the error over all outputs of the layer, uncompensated
    noise   root of the error variance that compensation leaves, mean over the channels: what screens

Writes error_model.csv: for each seed, mapping, kind of multiplier, model and figure the rank correlation within a layer
(median and worst of the layers) and over all pairs, median relative error and ratio over all pairs, and processor
milliseconds a pair; a picture; and error_model_seconds.csv, the time for ResNet-20 and 150 multipliers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from rich.progress import track
from scipy.stats import spearmanr
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/error_model.py`

import agn_hw
from agn_hw.mapping import Mapping, default
from agn_hw.nn.compensation import exact_moments
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.error_model import FoldedTable
from agn_hw.search.pairs.operands import Operands, record
from agn_hw.search.pairs.remap import best_mapping
from agn_hw.zoo import data, models
from agn_hw.zoo.train import trained
from benchmarks.error_predictors import MODELS, Case, measured
from lut_gen.catalog import Catalog, Multiplier

ROOT = Path(__file__).resolve().parent.parent
CALIBRATION_IMAGES = 256
MAPPINGS: dict[str, Callable[[Multiplier, Operands], Mapping]] = {
    "default": lambda m, o: default(m, codes=o.codes, largest_weight=o.largest_weight),
    "best": lambda m, o: best_mapping(m, o).mapping,
}
PAIR = ["seed", "mapping", "signed", "layer", "multiplier"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_model", description=__doc__)
    parser.add_argument("--catalog", type=Path, default=ROOT / "build" / "catalog")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "cache", help="trained networks and data")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the networks' training")
    parser.add_argument("--images", type=int, default=64, help="validation images that errors are measured on")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "codesign" / "error_model.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # processor time, and BLAS as told by OMP_NUM_THREADS
    catalog = Catalog.load(arguments.catalog)
    splits = data.load("shapes", 0, arguments.cache)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    seconds = resnet20_seconds(catalog, splits)
    seconds.to_csv(arguments.output.with_name("error_model_seconds.csv"), index=False, float_format="%.3g")
    networks = {seed: trained("resnet8", "shapes", splits, arguments.cache, seed) for seed in arguments.seeds}
    pairs = pd.concat(predictions(networks[seed], catalog, splits, arguments.images, seed) for seed in networks)
    table = agreement(pairs)
    table.to_csv(arguments.output, index=False, float_format="%.4g", lineterminator="\n")
    draw(pairs, arguments.output.with_suffix(".png"))
    means = table.groupby(["figure", "mapping", "signed", "model"], sort=False).mean(numeric_only=True)
    print(means.drop(columns="seed").round(4).to_string(), seconds.to_string(), sep="\n\n")


def spread(catalog: Catalog) -> list[Multiplier]:
    """Of each family, signed and unsigned apart: the most exact, the middle one and the least exact."""
    ranked = catalog.table.sort_values("mae_percent", kind="stable")
    chosen: list[str] = []
    for _, own in ranked.groupby(["family", "signed"]):
        chosen += [own["name"].iloc[i] for i in sorted({0, len(own) // 2, len(own) - 1})]
    return [catalog[name] for name in chosen]


def cases(network: nn.Module, splits: data.Splits) -> tuple[dict[str, Case], Any]:
    """Each layer of the quantised network with its calibration inputs; and the quantised network."""
    calibration = data.to_float(splits.calibration.images[:CALIBRATION_IMAGES])
    quantized = agn_hw.quantize(network, [calibration])
    operands, exact = record(quantized, calibration, per_channel=True), exact_moments(quantized, [calibration])
    codes = inputs(quantized, calibration)
    layers = table_layers(quantized)
    return {n: Case(layers[n], operands[n], codes[n], exact[n].std.numpy() ** 2) for n in layers}, quantized


@torch.no_grad()
def inputs(model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each layer gets for these images."""
    found: dict[str, torch.Tensor] = {}
    layers = table_layers(model).items()
    hooks = [layer.register_forward_pre_hook(lambda _, a, n=name: found.update({n: a[0]})) for name, layer in layers]
    model(images)
    for hook in hooks:
        hook.remove()
    return found


def predictions(network: nn.Module, catalog: Catalog, splits: data.Splits, images: int, seed: int) -> pd.DataFrame:
    """One row a pair, figure and model: predicted, measured, milliseconds."""
    found, quantized = cases(network, splits)
    codes = inputs(quantized, data.to_float(splits.validation.images[:images]))
    multipliers, rows = spread(catalog), []
    for (name, case), (mapping, make) in track(list(product(found.items(), MAPPINGS.items())), f"seed {seed}"):
        tables = folded(multipliers, case, make)
        own = dict(zip(("error", "noise"), measured(case.layer, codes[name], tables), strict=True))
        for model, predict in MODELS.items():
            begin = time.process_time()
            predicted = dict(zip(("error", "noise"), predict(case, tables), strict=True))
            spent = 1e3 * (time.process_time() - begin) / len(tables)
            for figure in own:
                for m, multiplier in enumerate(multipliers):
                    pair = (seed, mapping, bool(multiplier.signed), name, multiplier.name)
                    figures = {"predicted": predicted[figure][m], "measured": own[figure][m], "milliseconds": spent}
                    rows.append(dict(zip(PAIR, pair, strict=True)) | {"model": model, "figure": figure} | figures)
    return pd.DataFrame(rows)


def folded(
    multipliers: list[Multiplier], case: Case, make: Callable[[Multiplier, Operands], Mapping]
) -> list[FoldedTable]:
    mappings = [make(multiplier, case.operands) for multiplier in multipliers]
    return [(own.table8(m.lut), own.gain) for own, m in zip(mappings, multipliers, strict=True)]


def agreement(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a seed, mapping, kind of multiplier, model and figure. Pairs without error count for none."""
    pairs = pairs[pairs["measured"] > 1e-9]
    rows = []
    for key, group in pairs.groupby(["seed", "mapping", "signed", "model", "figure"], sort=False):
        by_layer = [spearmanr(own["predicted"], own["measured"]).statistic for _, own in group.groupby("layer")]
        ratio = group["predicted"] / group["measured"]
        figures = {
            "pairs": len(group),
            "spearman": np.median(by_layer),
            "spearman_worst_layer": min(by_layer),
            "spearman_all_pairs": spearmanr(group["predicted"], group["measured"]).statistic,
            "relative_error": (ratio - 1).abs().median(),
            "ratio": ratio.median(),
            "milliseconds": group["milliseconds"].mean(),
        }
        rows.append(dict(zip(["seed", "mapping", "signed", "model", "figure"], key, strict=True)) | figures)
    return pd.DataFrame(rows)


def resnet20_seconds(catalog: Catalog, splits: data.Splits, multipliers: int = 150) -> pd.DataFrame:
    """Processor seconds of each model for all layers of a ResNet-20 (untrained weights), tables made beforehand."""
    torch.manual_seed(0)
    found, _ = cases(models.build("resnet20", 3, 10).eval(), splits)
    chosen = list(catalog)[:multipliers]
    seconds = dict.fromkeys(MODELS, 0.0)
    for case in found.values():
        tables = folded(chosen, case, MAPPINGS["default"])
        for model, predict in MODELS.items():
            begin = time.process_time()
            predict(case, tables)
            seconds[model] += time.process_time() - begin
    rows = [("resnet20", len(found), len(chosen), model, spent) for model, spent in seconds.items()]
    return pd.DataFrame(rows, columns=["network", "layers", "multipliers", "model", "seconds"])


def draw(pairs: pd.DataFrame, path: Path) -> None:
    """Predicted against measured noise, a panel a model; one colour a layer, first seed, best mapping."""
    shown = pairs[(pairs["seed"] == pairs["seed"].min()) & (pairs["mapping"] == "best") & (pairs["figure"] == "noise")]
    shown = shown[shown["measured"] > 1e-9]
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained", sharex=True, sharey=True)
    for axis, (model, own) in zip(axes.flat, shown.groupby("model", sort=False), strict=True):
        for number, (_, layer) in enumerate(own.groupby("layer", sort=False)):
            axis.loglog(layer["measured"], layer["predicted"], ".", markersize=4, color=f"C{number % 10}")
        ends = [shown["measured"].min(), shown["measured"].max()]
        axis.loglog(ends, ends, color="black", linewidth=0.8)
        axis.set_title(str(model))
    figure.supxlabel("measured noise after compensation / std of the exact sums")
    figure.supylabel("predicted")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
