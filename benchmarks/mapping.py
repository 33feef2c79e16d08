"""What mapping and compensation are worth, circuit by circuit: `python -m benchmarks.mapping --help`.

ResNet-8 on the procedural shapes, quantised to 8 bits, one multiplier in all layers, no retraining. Every network of
several seeds is tried with each mapping, uncompensated and compensated, and with parts of the compensation left out.
Writes mapping.csv, one row a cell, after each multiplier; cells that the file already has are not measured again; and
a picture of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import fx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `python benchmarks/mapping.py`

import agn_hw
from agn_hw.mapping import WEIGHTS, Mapping, affine, default
from agn_hw.nn.compensation import compensate
from agn_hw.search.behaviour import Answers, answers, drop
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.pairs.operands import Operands, record
from agn_hw.search.pairs.remap import best_mapping, fit
from agn_hw.zoo import data
from agn_hw.zoo.data import Split
from agn_hw.zoo.train import trained
from benchmarks.mapping_picture import draw
from lut_gen.catalog import Catalog, Multiplier

ROOT = Path(__file__).resolve().parent.parent
MODEL, DATA = "resnet8", "shapes"
CALIBRATION_IMAGES = 256
CIRCUITS = (
    *("exact_8x8", "truncated_8x8_d6", "bam_h2_v5", "truncated_8x8_d8", "akbari_8x8_c10", "bam_h4_v8", "drum_8_k4"),
    *("mitchell_8_f3", "kulkarni_8x8", "exact_4x4", "truncated_5x5_d3", "loa_4x4_l4"),
    *("baugh_wooley_8x8", "baugh_wooley_8x8_d6", "booth_8x8_d8_constant", "mitchell_8_f3_signed"),
)
"""Unsigned ones of growing error and of several kinds, narrow ones, signed ones."""
KEY = ["seed", "images", "multiplier", "mapping", "compensation"]


def half_range(multiplier: Multiplier) -> Mapping:
    """Sign magnitude with |w| itself, 0..127, on the weight's 8-bit port."""
    full = default(multiplier)
    return replace(full, weight_codes=np.minimum(np.abs(WEIGHTS), 127).astype(np.uint8), gain=full.gain / 2)


@dataclass(frozen=True)
class Way:
    """A mapping's name, whom it is for, and how it is made for a layer."""

    name: str
    fits: Callable[[Multiplier], bool]
    make: Callable[[Multiplier, Operands], Mapping]


def _any(multiplier: Multiplier) -> bool:
    return True


def _unsigned(multiplier: Multiplier) -> bool:
    return not multiplier.signed


def _not_commutative(multiplier: Multiplier) -> bool:
    return not np.array_equal(multiplier.lut, multiplier.lut.T)


WAYS = (
    Way("affine", _unsigned, lambda m, _: affine(m)),
    Way("half range", lambda m: not m.signed and m.b_bits == 8, lambda m, _: half_range(m)),
    Way("default", _any, lambda m, _: default(m)),
    Way("default, other order", _not_commutative, lambda m, _: default(m, "b")),
    Way("remap", _any, lambda m, o: fit(default(m), m, o).mapping),
    Way("remap, order, pre-scale", _any, lambda m, o: best_mapping(m, o).mapping),
)
"""default: sign magnitude over the whole port, or two's complement."""

COMPENSATIONS: dict[str, dict[str, bool] | None] = {
    "none": None,
    "bias": {"gain": False},
    "gain": {"bias": False},
    "gain and bias, exact inputs": {"sequential": False},
    "gain and bias": {},
}
ALL, ENDS = tuple(COMPENSATIONS), ("none", "gain and bias")
COMPENSATED = {"default": ALL, "remap, order, pre-scale": ALL}
"""Mappings for which every compensation is tried; the others get none and the whole."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapping", description=__doc__)
    parser.add_argument("--catalog", type=Path, default=ROOT / "build" / "catalog")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "cache", help="trained networks and data")
    parser.add_argument("--circuits", nargs="*", default=CIRCUITS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the networks' training")
    parser.add_argument("--images", type=int, default=4000, help="test images, at most 4000")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "reports" / "networks" / "mapping.csv")
    arguments = parser.parse_args()
    catalog = Catalog.load(arguments.catalog)
    chosen = [catalog[name] for name in arguments.circuits]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(arguments.output) if arguments.output.exists() else pd.DataFrame(columns=KEY)
    splits = data.load(DATA, 0, arguments.cache)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("cells", total=len(arguments.seeds) * sum(len(list(_cells(m))) for m in chosen))
        for seed in arguments.seeds:
            subject = Subject(seed, splits, arguments.cache, arguments.images)
            for multiplier in chosen:
                relative = multiplier.sign_magnitude_energy_fj / catalog[REFERENCE].sign_magnitude_energy_fj
                table = _extended(table, subject, multiplier, relative, lambda: progress.advance(task))
                table.to_csv(arguments.output, index=False, float_format="%.6g", lineterminator="\n")
    draw(table[table["images"] == arguments.images], arguments.output.with_suffix(".png"))
    wide = None if sys.stdout.isatty() else 140
    show(table[table["images"] == arguments.images], Console(width=wide))


class Subject:
    """The quantised network of one seed, its operands, calibration images and exact answers."""

    def __init__(self, seed: int, splits: data.Splits, cache: Path, images: int) -> None:
        self.seed, self.images = seed, images
        self.calibration = data.to_float(splits.calibration.images[:CALIBRATION_IMAGES])
        self.test = Split(splits.test.images[:images], splits.test.labels[:images])
        network = trained(MODEL, DATA, splits, cache, seed)
        self.quantized = agn_hw.quantize(network, [self.calibration])
        self.operands = record(self.quantized, self.calibration)
        self.exact: Answers = answers(self.quantized, self.test)

    @torch.no_grad()
    def measure(self, multiplier: Multiplier, way: Way, compensation: str) -> dict[str, Any]:
        """Accuracy with this multiplier in all layers, and points lost against exact products (paired)."""
        choice = {layer: (multiplier, way.make(multiplier, found)) for layer, found in self.operands.items()}
        network: fx.GraphModule = agn_hw.approximate(self.quantized, choice)
        parts = COMPENSATIONS[compensation]
        if parts is not None:
            compensate(network, [self.calibration], **parts)
        hits = answers(network, self.test).hits
        lost = drop(self.exact.hits, hits)
        return {
            "accuracy": float(hits.double().mean()),
            "exact_accuracy": self.exact.accuracy,
            "lost_points": lost.points,
            "standard_error": lost.error,
        }


def _cells(multiplier: Multiplier) -> Iterator[tuple[Way, str]]:
    for way in WAYS:
        if way.fits(multiplier):
            yield from ((way, compensation) for compensation in COMPENSATED.get(way.name, ENDS))


def _extended(
    table: pd.DataFrame, subject: Subject, multiplier: Multiplier, relative: float, step: Callable[[], None]
) -> pd.DataFrame:
    """The table with the cells of one multiplier and seed that it does not have yet."""
    known = set(table[KEY].itertuples(index=False, name=None))
    rows = []
    for way, compensation in _cells(multiplier):
        key = (subject.seed, subject.images, multiplier.name, way.name, compensation)
        if key not in known:
            head = dict(zip(KEY, key, strict=True)) | {"signed": bool(multiplier.signed), "energy_relative": relative}
            rows.append(head | subject.measure(multiplier, way, compensation))
        step()
    if not rows:
        return table
    return pd.DataFrame(rows) if table.empty else pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


def show(table: pd.DataFrame, console: Console) -> None:
    """Accuracy in percent, mean over the seeds, circuits down, mappings and then compensations across."""
    ways = [way.name for way in WAYS]
    for compensation in ENDS:
        _print(table[table["compensation"] == compensation], "mapping", ways, f"compensation: {compensation}", console)
    for way in COMPENSATED:
        _print(table[table["mapping"] == way], "compensation", list(ALL), f"mapping: {way}", console)


def _print(table: pd.DataFrame, across: str, columns: list[str], title: str, console: Console) -> None:
    means = table.pivot_table(index="multiplier", columns=across, values="accuracy", sort=False)
    means = 100 * means.reindex(columns=columns)
    first = table.groupby("multiplier", sort=False)[["energy_relative", "exact_accuracy"]].mean()
    printed = Table(title=f"{title}; mean of {table['seed'].nunique()} networks, %", box=SIMPLE_HEAD)
    for heading in ("", "energy", "exact", *columns):
        printed.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for name, row in means.iterrows():
        energy, exact = first.loc[name]
        figures = ["" if np.isnan(value) else f"{value:.1f}" for value in row]
        printed.add_row(str(name), f"{100 * energy:.0f} %", f"{100 * exact:.1f}", *figures)
    console.print(printed)


if __name__ == "__main__":
    main()
