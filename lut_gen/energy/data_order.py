"""Data order: what the operand ports of one multiplier see from one multiplication to the next.

A joint distribution says how often each operand pair is multiplied; energy also needs the order. All orders here
are of first order: operands that change are drawn anew, whatever came before. What a real stream does beyond
that (neighbouring pixels, channels with their own statistics) is in a recorded sequence only
(`transitions.of_sequence`, `transitions.of_product`).

    independent            every pair is drawn from the joint distribution, without memory
    output-stationary      one accumulator stays, activations and weights both stream along the sum: successive
                           pairs are different terms, so to first order this is `independent`
    weight-stationary      the weight is held for `run` multiplications, then drawn anew; the activations are
                           drawn from those that meet this weight, P(activation | weight)
    activation-stationary  the activation is held, the weights stream (also called input-stationary)

The stationary data flows are those of Chen, Emer, Sze, "Eyeriss: A spatial architecture for energy-efficient
dataflow for convolutional neural networks", 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lut_gen.errors import AgnError


@dataclass(frozen=True)
class DataOrder:
    """Which operand is held ("a", "b" or None), and for how many multiplications (1 or more, inf: for ever).

    Of successive multiplications a share 1 - 1/run has the held operand in common; at the others both operands
    are drawn anew (the held one may come out the same). That is exact for runs of a fixed length, and for runs
    of random length with this mean. Raises AgnError for another operand or a shorter run.
    """

    held: str | None = None
    run: float = 1.0

    def __post_init__(self) -> None:
        if self.held not in (None, "a", "b"):
            raise AgnError("the operand that is held", f"{self.held!r} came", "write None, 'a' or 'b'")
        if not self.run >= 1:
            raise AgnError("runs of one multiplication or more", f"run={self.run} came", "give 1 ... math.inf")

    @property
    def stay(self) -> float:
        """Share of the steps from one multiplication to the next that keep the held operand."""
        return 0.0 if self.held is None else 1.0 - 1.0 / self.run


INDEPENDENT = DataOrder()
OUTPUT_STATIONARY = INDEPENDENT


def weight_stationary(run: float = math.inf, port: str = "b") -> DataOrder:
    """The weight is held on `port`; its change is shared by `run` multiplications (inf: costs nothing)."""
    return DataOrder(port, run)


def activation_stationary(run: float = math.inf, port: str = "a") -> DataOrder:
    """The activation is held on `port`; its change is shared by `run` multiplications (inf: costs nothing)."""
    return DataOrder(port, run)
