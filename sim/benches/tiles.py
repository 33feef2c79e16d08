"""Sequences of cycles for a matrix unit: tiles of all kinds, gaps, resets; what `sim.benches.array` drives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sim.benches import bus

RANDOM_TILES = 16


@dataclass
class Cycle:
    """Inputs of one cycle but the totals. Operands are patterns, signs and enables 0 or 1.

    weights, weight_signs, enables: [COLS]; activations, activation_signs: [ROWS].
    """

    weights: np.ndarray
    weight_signs: np.ndarray
    enables: np.ndarray
    activations: np.ndarray
    activation_signs: np.ndarray
    reset: bool = False
    load: bool = False
    valid: bool = False


class Stimuli:
    """Sequences of cycles. What a cycle does not give is random: nothing may depend on it."""

    def __init__(self, case: bus.Bus, rng: np.random.Generator) -> None:
        self.rows, self.cols = case.parameters["ROWS"], case.parameters["COLS"]
        self.rng, self.table = rng, case.table

    def idle(self, cycles: int) -> Iterator[Cycle]:
        for _ in range(cycles):
            (x, w), random = self.table.shape, self.rng.integers
            signs, enables = random(2, size=self.cols), random(2, size=self.cols)
            yield Cycle(random(w, size=self.cols), signs, enables, random(x, size=self.rows), random(2, size=self.rows))

    def reset(self, valid: bool = False) -> Iterator[Cycle]:
        for cycle in self.idle(1):
            cycle.reset, cycle.valid = True, valid
            yield cycle

    def load(self, enables: np.ndarray, **given: int) -> Iterator[Cycle]:
        """Weights with these enable bits [ROWS, COLS], the last row first."""
        for row, cycle in zip(enables[::-1], self.idle(len(enables)), strict=True):
            cycle.load, cycle.enables = True, row
            yield _with(cycle, given)

    def vectors(self, number: int, gap: float = 0.0, **given: int) -> Iterator[Cycle]:
        """Activations, with a gap before each as long as `gap`, a probability, holds."""
        for cycle in self.idle(number):
            while self.rng.random() < gap:
                yield from self.idle(1)
            cycle.valid = True
            yield _with(cycle, given)

    def drained(self) -> Iterator[Cycle]:
        """Until the last sums have come: then the next tile may be loaded."""
        yield from self.idle(self.rows + self.cols - 1)

    def full(self) -> np.ndarray:
        return np.ones((self.rows, self.cols), np.int64)

    def part(self) -> np.ndarray:
        """Enable bits of a tile: full, the first rows and columns only, or any."""
        kind, enables = self.rng.integers(3), self.full()
        if kind == 1:
            enables[self.rng.integers(1, self.rows + 1) :] = 0
            enables[:, self.rng.integers(1, self.cols + 1) :] = 0
        return self.rng.integers(2, size=enables.shape) if kind == 2 else enables

    def all(self) -> Iterator[Cycle]:
        """The whole regression."""
        through = self.rows + self.cols
        yield from self.reset()
        yield from self.vectors(2)  # nothing is enabled yet
        yield from self.drained()
        yield from self._extremes()
        for tile in range(RANDOM_TILES):
            yield from self.load(self.part())
            yield from self.vectors(int(self.rng.integers(1, 2 * through)), gap=0.4 * (tile % 2))
            yield from self.drained()
            yield from self.idle(int(self.rng.integers(4)) * (tile % 3 == 0))  # else back to back
        for vectors in (1, self.rows, through):
            yield from self.load(self.full())
            yield from self.vectors(vectors)
            yield from self.reset(valid=vectors > 1)
            yield from self.vectors(2)
            yield from self.drained()
        yield from list(self.load(self.full()))[: self.rows // 2]
        yield from self.reset()
        yield from self.load(self.full())
        yield from self.load(self.part())  # pushes the weights before it out
        yield from self.vectors(through, gap=0.2)
        yield from self.drained()

    def _extremes(self) -> Iterator[Cycle]:
        """The largest and the smallest products in all rows, so that sums are as long as they become."""
        for place in (int(self.table.argmax()), int(self.table.argmin())):
            x, w = divmod(place, self.table.shape[1])
            yield from self.load(self.full(), weights=w, weight_signs=0)
            for sign in (0, 1):
                yield from self.vectors(2, activations=x, activation_signs=sign)
            yield from self.drained()


def _with(cycle: Cycle, given: dict[str, int]) -> Cycle:
    """The cycle with one value in all places of the arrays that `given` names."""
    for name, value in given.items():
        getattr(cycle, name)[:] = value
    return cycle
