"""Energy per multiplication for the operands and the data order that a multiplier really sees.

    energy = OperandEnergy.of_multiplier(catalog["exact_8x8"], technology)    # all operand pairs, once
    energy.zero_delay(joint, weight_stationary())                             # fJ, exact
    energy.zero_delay_of_marginals(activations, weights, order)               # fJ of many layers at once
    energy.recorded(a, b)                                                     # fJ, of a recorded sequence
    energy.with_glitches(joint, order, relative_error=0.005)                  # an Estimate, by sampling

Operands are raw patterns on the ports. Toggles cost what `power.toggle_energies` says; under uniform independent
operands the zero-delay energy is the catalog's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lut_gen.catalog import Multiplier
from lut_gen.energy import activity, glitches, power, transitions
from lut_gen.energy.activity import Signals
from lut_gen.energy.data_order import INDEPENDENT, DataOrder
from lut_gen.energy.sign_logic import with_sign_logic
from lut_gen.energy.transitions import Transitions
from lut_gen.errors import AgnError
from lut_gen.library.liberty import Technology
from lut_gen.netlist import Netlist

UNIT, LIBRARY = "unit", "library"
DELAYS: dict[str, Callable[[Netlist, Technology], np.ndarray]] = {
    UNIT: lambda netlist, technology: glitches.unit_delays(netlist),
    LIBRARY: glitches.library_delays,
}
"""Gate delays for glitches: one time unit each, or from the library's tables."""
BATCH = 4096
"""Transitions simulated at a time."""


@dataclass(frozen=True)
class Estimate:
    """Energy per multiplication with glitches, fJ, from `transitions` sampled steps.

    standard_error: of `energy_fj`, from the spread between groups of 64 steps (inf for a single group).
    zero_delay_fj: the same without glitches.
    """

    energy_fj: float
    standard_error_fj: float
    transitions: int
    zero_delay_fj: float

    @property
    def glitch_factor(self) -> float:
        """Energy with glitches over energy without; 1 where nothing toggles."""
        return self.energy_fj / self.zero_delay_fj if self.zero_delay_fj else 1.0


@dataclass(frozen=True)
class OperandEnergy:
    """One netlist's signals for all operand pairs and the cost of a toggle of each net (fJ, float64 [nets])."""

    netlist: Netlist
    technology: Technology
    signals: Signals
    toggle_fj: np.ndarray

    @classmethod
    def of(cls, netlist: Netlist, technology: Technology) -> OperandEnergy:
        """Of a bare netlist, mapped to this technology."""
        signals = Signals.of(netlist, technology.cells)
        return cls(netlist, technology, signals, power.toggle_energies(netlist, technology))

    @classmethod
    def of_multiplier(cls, multiplier: Multiplier, technology: Technology, weight_port: str = "b") -> OperandEnergy:
        """Of a signed multiplication: an unsigned multiplier gets its sign logic.

        Patterns on `weight_port` then have one bit more: sign * 2**bits + magnitude. `technology` is the catalog's.
        """
        if multiplier.signed:
            return cls.of(multiplier.netlist, technology)
        return cls.of(with_sign_logic(multiplier.netlist, technology, weight_port), technology)

    def zero_delay(self, joint: np.ndarray, order: DataOrder = INDEPENDENT) -> float:
        """fJ per multiplication, exact, no glitches. joint: counts or shares [2**a_bits, 2**b_bits].

        Raises AgnError for what is no such histogram.
        """
        return float(self.signals.toggles(joint, order) @ self.toggle_fj)

    def zero_delay_of_marginals(
        self, a: np.ndarray, b: np.ndarray, order: DataOrder | Sequence[DataOrder] = INDEPENDENT
    ) -> np.ndarray:
        """The same for independent operands, many distributions at once: float64 [L].

        a [L, 2**a_bits], b [L, 2**b_bits]: counts or shares of the patterns on each port. order: one for all, or one
        each (they hold the same operand).
        """
        return self.signals.toggles_of_marginals(a, b, order) @ self.toggle_fj

    def recorded(self, a: np.ndarray, b: np.ndarray) -> float:
        """fJ per step of a recorded sequence, exact, no glitches. a, b: integer patterns [T], T of 2 or more."""
        steps = transitions.of_sequence(a, b)
        self._check(steps)
        a, b = transitions.patterns(a), transitions.patterns(b)
        return float(activity.recorded(self.netlist, self.technology.cells, a, b) @ self.toggle_fj) / len(steps)

    def simulated(self, steps: Transitions, delays: str = LIBRARY) -> Estimate:
        """Glitches included, the mean over these steps. Its standard error holds for steps that were drawn one by one.

        Successive steps of a stream in which operands are held for hundreds of steps resemble each other: shuffle them
        first, or take no notice of it. delays: a key of DELAYS. Raises AgnError for patterns wider than the ports.
        """
        self._check(steps)
        waits = self._waits(delays)
        every, settled = self._sums(steps, waits)
        mean, error = _mean_and_error(every, len(steps))
        return Estimate(mean, error, len(steps), float(settled.sum() / len(steps)))

    def with_glitches(
        self,
        joint: np.ndarray,
        order: DataOrder = INDEPENDENT,
        delays: str = LIBRARY,
        relative_error: float = 0.01,
        most: int = 2**18,
        seed: int = 0,
    ) -> Estimate:
        """Glitches included, from steps drawn from a joint histogram in this data order.

        The part without glitches is exact; what glitches add is sampled in batches of BATCH steps until the standard
        error is at most `relative_error` of the energy, or `most` steps are done (Burch, Najm, Yang, Trick, "A Monte
        Carlo approach for power estimation", 1993). The same seed gives the same figures.
        """
        zero_delay = self.zero_delay(joint, order)
        waits = self._waits(delays)
        rng = np.random.default_rng(seed)
        added = np.empty(0)
        while True:
            every, settled = self._sums(transitions.drawn(joint, order, BATCH, rng), waits)
            added = np.concatenate([added, every - settled])
            steps = 64 * len(added)
            mean, error = _mean_and_error(added, steps)
            if error <= relative_error * (zero_delay + mean) or steps >= most:
                return Estimate(zero_delay + mean, error, steps, zero_delay)

    def _check(self, steps: Transitions) -> None:
        """Raises AgnError for no steps, and for patterns that a port has no bits for."""
        if not len(steps):
            raise AgnError("one step or more", "none came", "give a longer sequence")
        for port, bits in (("a", self.signals.a_bits), ("b", self.signals.b_bits)):
            largest = max(int(getattr(steps, f"{port}_{when}").max()) for when in ("before", "after"))
            if largest >> bits:
                mend = "map the operands to this multiplier's patterns first"
                raise AgnError(f"patterns of {bits} bits on port {port}", f"{largest} came", mend)

    def _waits(self, delays: str) -> np.ndarray:
        if delays not in DELAYS:
            raise AgnError(f"delays out of {', '.join(DELAYS)}", f"'{delays}' came", "choose one of these")
        return DELAYS[delays](self.netlist, self.technology)

    def _sums(self, steps: Transitions, waits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy of each 64 steps, fJ, float64 [words]: of all changes and of the settled ones."""
        parts = []
        for first in range(0, len(steps), BATCH):
            found = glitches.changes(self.netlist, self.technology.cells, waits, steps[first : first + BATCH])
            parts.append((self.toggle_fj @ found.all, self.toggle_fj @ found.settled))
        every, settled = (np.concatenate(sums) for sums in zip(*parts, strict=True))
        return every, settled


def _mean_and_error(sums: np.ndarray, count: int) -> tuple[float, float]:
    """Mean of `count` values and its standard error, from the sums of each 64 of them (the last group may be short)."""
    mean = float(sums.sum() / count)
    if len(sums) < 2:
        return mean, math.inf
    sizes = np.minimum(64, count - 64 * np.arange(len(sums)))
    spread = float(np.square(sums - sizes * mean).sum())
    return mean, math.sqrt(spread * len(sums) / (len(sums) - 1)) / count
