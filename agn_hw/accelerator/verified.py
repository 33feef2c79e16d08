"""What came out of a run on the RTL: layer by layer, what was compared, what it took, what it spent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agn_hw.accelerator.config import Plan
from agn_hw.accelerator.hardware_loop import Checked
from lut_gen.element.array import ArrayShape, Surroundings
from lut_gen.element.power import Counts, ElementEnergy
from lut_gen.element.timing import clock_period
from lut_gen.library.liberty import Technology
from sim.cosim import SystolicArray


@dataclass(frozen=True)
class Asked:
    """What is to be verified: the run, on how many test images, on arrays of which size and view.

    layers: names, all where empty. folder: where simulations are built and kept. liberty: the catalog's cell library,
    where it is not the built-in one.
    """

    run: Path
    catalog: Path
    images: int
    view: str
    rows: int
    cols: int
    layers: tuple[str, ...]
    folder: Path
    cache: Path
    data_root: Path | None = None
    liberty: Path | None = None


@dataclass(frozen=True)
class LayerResult:
    """One layer. energy: fJ by part (lut_gen.element.power), of all images; None where nothing was counted.

    lut: the multiplier's table, the activation's port first. plan_fj: the plan's figure of one multiplication, weights
    held; predicted_fj: the same on an array of this size, weight loading and idle elements included (Plan.array), None
    where the plan does not know it.
    """

    name: str
    multiplier: str
    lut: np.ndarray
    array: SystolicArray
    checked: Checked
    plan_fj: float
    predicted_fj: float | None
    energy: dict[str, float] | None

    @property
    def utilization(self) -> float:
        """Multiplications over elements x cycles."""
        shape = self.array.shape
        return self.checked.macs / (self.checked.cycles * shape.rows * shape.cols)

    @cached_property
    def period_ns(self) -> float | None:
        """Shortest clock period of the array, elements and accumulators; None in a view that knows no element."""
        if self.array.element is None:
            return None
        shape, technology = self.array.shape, self.array.circuit.technology
        around = Surroundings.of(
            self.array.element,
            ArrayShape(shape.rows, shape.cols, shape.acc_bits, shape.saturate),
            technology,
            self.array.folder,
        )
        return max(clock_period(self.array.element, technology).period_ns, around.accumulator_ns)

    @property
    def measured_fj(self) -> float | None:
        """Of one multiplication in the multiplier, its sign logic included."""
        return None if self.energy is None else self.energy["multiplier"] / self.checked.macs


@dataclass(frozen=True)
class Verification:
    """What came out. logits: how many were compared; logits_differ: how many are not those of the tables."""

    asked: Asked
    plan: Plan
    layers: list[LayerResult]
    logits: int
    logits_differ: int

    @property
    def cycles(self) -> float:
        """Of an image in these layers, one after the other."""
        return sum(layer.checked.cycles / layer.checked.images for layer in self.layers)

    @property
    def period_ns(self) -> float | None:
        """The clock period at which all arrays work."""
        periods = [layer.period_ns for layer in self.layers]
        return None if None in periods else max(period for period in periods if period is not None)

    @property
    def equal(self) -> bool:
        return not self.logits_differ and all(layer.checked.equal for layer in self.layers)


def frame(found: Verification) -> pd.DataFrame:
    """One row a layer: sizes, counts, and energies in fJ of one multiplication."""
    return pd.DataFrame([_row(layer) for layer in found.layers])


def _row(layer: LayerResult) -> dict[str, Any]:
    checked, shape = layer.checked, layer.array.shape
    parts = {} if layer.energy is None else {f"{part}_fj": fj / checked.macs for part, fj in layer.energy.items()}
    return {
        "layer": layer.name,
        "multiplier": layer.multiplier,
        "rows": shape.rows,
        "cols": shape.cols,
        "sum_bits": shape.sum_bits,
        "acc_bits": shape.acc_bits,
        "view": layer.array.view,
        "images": checked.images,
        "macs": checked.macs,
        "cycles": checked.cycles,
        "utilization": round(layer.utilization, 4),
        "period_ns": None if layer.period_ns is None else float(f"{layer.period_ns:.4g}"),
        "sums": checked.sums,
        "sums_differ": checked.differing,
        "codes_differ": checked.outputs_differ,
        "plan_multiplier_fj": layer.plan_fj,
        "predicted_multiplier_fj": layer.predicted_fj,
        **{part: float(f"{fj:.6g}") for part, fj in parts.items()},
    }


def energy(array: SystolicArray, checked: Checked, technology: Technology) -> dict[str, float] | None:
    """What the elements spent on a layer, fJ by part, from what really switched; None where that was not counted."""
    if not checked.toggles or array.element is None:
        return None
    found = ElementEnergy.of(array.element, technology).by_part(counts(array, checked))
    return {part: float(fj) for part, fj in found.items()}


def counts(array: SystolicArray, checked: Checked) -> Counts:
    """All that switched in the array's elements for a layer."""
    clocked: dict[int, float] = {}
    for toggles in checked.toggles:
        for net, edges in toggles.clocks.items():
            if net is not None:
                clocked[net] = clocked.get(net, 0) + edges
    nets: Any = sum(toggles.nets for toggles in checked.toggles)
    return Counts(nets, checked.cycles * array.shape.rows * array.shape.cols, clocked, checked.macs)
