"""Bench of rtl/accelerator/matrix_unit.v: every total, and the edge at which it comes, against sums in numpy."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import bus
from sim.benches.tiles import Cycle, Stimuli


class Unit:
    """What a matrix unit holds (weights, signs, enables [ROWS, COLS]), and the sums [COLS] that will come, by edge."""

    def __init__(self, case: bus.Bus) -> None:
        self.rows, self.cols = case.parameters["ROWS"], case.parameters["COLS"]
        self.sign_magnitude = case.parameters["MODE"] == 2
        self.table = case.table
        self.weights, self.signs, self.enables = (np.zeros((self.rows, self.cols), np.int64) for _ in range(3))
        self.coming: dict[int, np.ndarray] = {}

    def edge(self, number: int, taken: Cycle) -> None:
        """One rising edge of the clock."""
        if taken.valid:
            self.coming[number + self.rows + self.cols - 1] = self._sums(taken)
        if taken.load:
            for held, row in (
                (self.weights, taken.weights), (self.signs, taken.weight_signs), (self.enables, taken.enables)
            ):  # fmt: skip
                held[1:] = held[:-1].copy()
                held[0] = row
        if taken.reset:
            self.enables[:] = 0
            self.coming.clear()

    def _sums(self, taken: Cycle) -> np.ndarray:
        products = self.table[taken.activations[:, None], self.weights] * self.enables  # [ROWS, COLS]
        if self.sign_magnitude:
            products = np.where(taken.activation_signs[:, None] != self.signs, -products, products)
        return products.sum(axis=0)


class Totals:
    """Totals before a tile [COLS], and what they have to be after it."""

    def __init__(self, case: bus.Bus, rng: np.random.Generator) -> None:
        self.bits, self.saturate = case.parameters["ACC_BITS"], case.parameters["SATURATE"]
        self.low, self.high = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        self.rng = rng

    def before(self, sums: np.ndarray) -> np.ndarray:
        """Any totals, and totals whose results lie at the bounds or next to them."""
        close = self.rng.choice([self.low, self.high], size=sums.shape) + self.rng.integers(-1, 2, size=sums.shape)
        anywhere = self.rng.integers(self.low, self.high, size=sums.shape, endpoint=True)
        chosen = np.where(self.rng.random(sums.shape) < 0.5, close - sums, anywhere)
        return np.where((chosen < self.low) | (chosen > self.high), anywhere, chosen)

    def after(self, before: np.ndarray, sums: np.ndarray) -> np.ndarray:
        total = before + sums
        if self.saturate:
            return np.clip(total, self.low, self.high)
        return (total - self.low) % (1 << self.bits) + self.low


def packed(values: np.ndarray, bits: int) -> int:
    """Elements side by side, element 0 in the low bits; negative ones in two's complement."""
    return sum((int(value) % (1 << bits)) << (bits * i) for i, value in enumerate(values))


def _driven(cycle: Cycle, totals: np.ndarray, p: dict[str, int]) -> dict[str, int]:
    return {
        "reset": int(cycle.reset),
        "load": int(cycle.load),
        "in_valid": int(cycle.valid),
        "in_weights": packed(cycle.weights, p["W_BITS"]),
        "in_weight_signs": packed(cycle.weight_signs, 1),
        "in_enables": packed(cycle.enables, 1),
        "in_activations": packed(cycle.activations, p["X_BITS"]),
        "in_activation_signs": packed(cycle.activation_signs, 1),
        "in_totals": packed(totals, p["ACC_BITS"]),
    }


def _differ(found: dict[str, int | None], sums: np.ndarray | None, before: np.ndarray, totals: Totals) -> str | None:
    """What is wrong with the outputs of a cycle, in which these sums are due or none; None if nothing is."""
    if found["out_valid"] != (sums is not None):
        return f"out_valid is {found['out_valid']}, expected {int(sums is not None)}"
    if sums is None:
        return None
    all_totals, expected = found["out_totals"], totals.after(before, sums)
    if all_totals is None:
        return f"out_totals has unknown bits, expected {expected.tolist()}"
    for column, wanted in enumerate(expected.tolist()):
        pattern = all_totals >> (totals.bits * column) & ((1 << totals.bits) - 1)
        came = pattern - (1 << totals.bits) if pattern > totals.high else pattern
        if came != wanted:
            return f"column {column}: {before[column]} + {sums[column]} gave {came}, expected {wanted}"
    return None


async def compare(case: bus.Bus) -> None:
    """Drives one unit. Raises bus.Difference at the first cycle that differs from the model's."""
    rng = np.random.default_rng(case.seed)
    model, totals = Unit(case), Totals(case, rng)
    for edge, cycle in enumerate(Stimuli(case, rng).all()):
        sums = model.coming.pop(edge, None)
        before = totals.before(np.zeros(model.cols, np.int64) if sums is None else sums)
        found = await case.cycle(_driven(cycle, before, case.parameters))
        difference = _differ(found, sums, before, totals)
        if difference and edge > 0:  # before the first reset anything may stand there
            raise bus.Difference(f"edge {edge}, {difference}")
        model.edge(edge, cycle)


@cocotb.test()
async def matrix_units(dut: Any) -> None:
    await bus.run(dut, "matrix_unit", compare)
