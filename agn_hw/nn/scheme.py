"""How a network is quantised: bits, symmetry, observers; for all layers or for some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from agn_hw.nn.errors import ModelError

Observer = Literal["minmax", "percentile", "mse"]
OBSERVERS: tuple[str, ...] = get_args(Observer)
BITS = (2, 8)


@dataclass(frozen=True)
class Scheme:
    """Of one layer: its weights, and the activations it multiplies them with.

    weight_bits, activation_bits: 2..8. Weights are symmetric, activations that cannot be negative are 0..2^bits - 1;
    others are symmetric too (`affine` False) or have a zero point (True). per_channel: one weight scale an output
    channel. Observers: "minmax", "percentile" (99.99 %) or "mse"; None for weights takes minmax from six bits on and
    mse below. What enters the network, or leaves a float part, always takes minmax.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    affine: bool = False
    per_channel: bool = True
    weight_observer: Observer | None = None
    activation_observer: Observer = "mse"

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits"):
            bits = getattr(self, name)
            if not isinstance(bits, int) or not BITS[0] <= bits <= BITS[1]:
                raise ModelError(f"{name} of {BITS[0]} to {BITS[1]}", f"{bits!r} came", "choose a number of bits")
        for name in ("weight_observer", "activation_observer"):
            observer = getattr(self, name)
            if observer not in OBSERVERS and not (observer is None and name == "weight_observer"):
                raise ModelError(f"{name} of {', '.join(OBSERVERS)}", f"{observer!r} came", "choose one of them")

    def observer_of_weights(self) -> Observer:
        """The weights' observer, chosen by their bits if none was."""
        return self.weight_observer or ("minmax" if self.weight_bits >= 6 else "mse")
