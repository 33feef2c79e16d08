"""Narrow accumulators in a network's layers, as an explicit choice: what overflow does to it, before hardware exists.

Without it sums never overflow. `agn_hw.accelerator.bounds` says how many bits that takes; here is what fewer do:

    a = agn_hw.approximate(q, multiplier)
    set_accumulator(a, bits=16, overflow="saturate", rows=8)
    agn_hw.compensate(a, loader)
"""

from __future__ import annotations

from torch import nn

from agn_hw.nn.accumulator import SATURATE, WRAP, Accumulator
from agn_hw.nn.errors import ModelError
from agn_hw.nn.layers import table_layers

__all__ = ["SATURATE", "WRAP", "Accumulator", "set_accumulator"]

_BITS = range(2, 33)


def set_accumulator(model: nn.Module, bits: int | None, overflow: str = SATURATE, rows: int = 8) -> None:
    """Gives a layer, or every layer of a network, an accumulator of this many bits, in place; None takes it away.

    model: what `agn_hw.quantize` or `agn_hw.approximate` returned, or one of its layers. bits: 2..32, in units of the
    layer's table (an exact unsigned 8-bit multiplier makes 2 * x * w: `layer.gain`). overflow: "wrap" or "saturate",
    where the sum of a tile is added to the total of the tiles before. rows: of the array, which adds that many products
    in one tile, exactly; wrapping does not depend on it. Outputs are then bit-equal to the array's; saturation is
    several times slower than the plain layer. In training, gradients are those of sums that do not overflow.

    Call it after `approximate`: a new table forgets the accumulator. It is saved with the network's state. Raises
    ModelError for other values, and for a model without quantised layers.
    """
    chosen = None
    if bits is not None:
        if bits not in _BITS:
            raise ModelError(f"an accumulator of {_BITS[0]} to {_BITS[-1]} bits", f"{bits!r} came", "choose a width")
        if overflow not in (WRAP, SATURATE):
            raise ModelError(f"overflow of {WRAP!r} or {SATURATE!r}", f"{overflow!r} came", "choose one of the two")
        if not isinstance(rows, int) or rows < 1:
            raise ModelError("an array of one row or more", f"rows={rows!r} came", "give the array's number of rows")
        chosen = Accumulator(int(bits), overflow, rows)
    layers = table_layers(model)
    if not layers:
        raise ModelError("a quantised model", "it has no quantised layer", "call agn_hw.quantize(model, loader) first")
    for layer in layers.values():
        layer.accumulator = chosen
