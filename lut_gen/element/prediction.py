"""What an array of processing elements will spend on a matrix product, without simulating all of it.

    operands = Operands(x, w, x_negative, w_negative)
    predict(element, energy, technology, operands, table, rows=8, cols=8)   ->  Prediction, fJ by part

Some places are drawn evenly from all that the product has (tile, row, column, stretch of 64 successive vectors),
padding and unused columns included; operand_streams.py says what such an element sees. Its netlist is evaluated for the
63 steps between the vectors, at zero delay; so are the step from one tile to the next and the loading of weights.
Clocks are counted, not sampled.

Places are stratified; the standard error is that of the sampled part, from the differences of neighbouring strata:
K. M. Wolter, "An investigation of some estimators of variance for systematic sampling", J. American Statistical
Association, vol. 79, no. 388, 1984. Activity from a few thousand sampled vectors: R. Burch, F. N. Najm, P. Yang, T. N.
Trick, "A Monte Carlo approach for power estimation", IEEE Trans. VLSI Systems, vol. 1, no. 1, 1993.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lut_gen.element import simulate
from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.operand_streams import (
    STEPS,
    Operands,
    Stream,
    draw_places,
    first_step,
    load_streams,
    tile_before,
    valid_streams,
)
from lut_gen.element.power import Counts, ElementEnergy
from lut_gen.library.liberty import Technology


@dataclass(frozen=True)
class Prediction:
    """Of one matrix product on the array's elements. by_part: fJ, the parts of ElementEnergy.by_part; standard_error_fj
    is that of their sum. cycles: of the array. toggles: a vector's mean at each net of an element, float64 [nets]."""

    by_part: dict[str, float]
    standard_error_fj: float
    macs: int
    cycles: int
    toggles: np.ndarray

    @property
    def total_fj(self) -> float:
        return sum(self.by_part.values())

    @property
    def fj_per_mac(self) -> float:
        return self.total_fj / self.macs


def cycles_of(operands: Operands, rows: int, cols: int) -> tuple[int, int]:
    """Tiles of a product, and cycles of the array over all of them (see systolic_array.v)."""
    (m, k), n = operands.x.shape, operands.w.shape[0]
    tiles = -(-k // rows) * -(-n // cols)
    return tiles, tiles * (m + 2 * rows + cols - 1)


def predict(
    element: ElementNetlist,
    energy: ElementEnergy,
    technology: Technology,
    operands: Operands,
    table: np.ndarray,
    rows: int,
    cols: int,
    streams: int = 128,
    seed: int = 0,
) -> Prediction:
    """table: the multiplier's products, integers [x patterns, w patterns], activations first. The same seed gives the
    same figures."""
    rng = np.random.default_rng(seed)
    vectors = len(operands.x)
    drawn = draw_places(operands, rows, cols, streams, rng)
    old = tile_before(operands, rows, cols, drawn)
    tiles, cycles = cycles_of(operands, rows, cols)
    steps, loads = min(vectors, STEPS) - 1, min(rows, STEPS - 1)
    sampled = (
        (vectors - 1, steps, valid_streams(operands, drawn, table)),
        (1, 1, first_step(operands, drawn, old, table)),
        (rows, loads, load_streams(operands, drawn, old, table, rows, rng)),
    )
    elements = tiles * rows * cols
    toggles = np.zeros((element.nets, streams))
    for happens, of, stream in sampled:
        if of:
            toggles += elements * happens / of * _toggles(element, technology, stream)
    for net in element.inputs["load"] + element.inputs["valid_in"] + element.outputs["valid_out"]:
        toggles[net] += 2 * elements  # each rises and falls once in a tile
    spread = energy.toggle_fj.sum(axis=0) @ toggles
    error = math.sqrt(float(np.square(np.diff(spread)).mean()) / (2 * streams)) if streams > 1 else math.inf
    edges = _edges(element, elements, vectors, rows)
    mean = toggles.mean(axis=1)
    by_part = energy.by_part(Counts(mean, rows * cols * cycles, edges, operands.macs))
    return Prediction(by_part, error, operands.macs, cycles, mean / (elements * vectors))


def _load_enable(element: ElementNetlist) -> int | None:
    """The net that opens the weights' clock; -1 where no clock is gated."""
    weights = [register.clocked_by for register in element.registers if register.q in element.outputs["w_out"]]
    return weights[0] if weights and weights[0] is not None else -1


def _edges(element: ElementNetlist, elements: int, vectors: int, rows: int) -> dict[int, float]:
    """Clock edges behind each clock gate: that of the weights is open while loading, the others for valid vectors."""
    found: dict[int, float] = {}
    for register in element.registers:
        if register.clocked_by is not None:
            edges = rows if register.clocked_by == _load_enable(element) else vectors
            found[register.clocked_by] = float(elements * edges)
    return found


def _toggles(element: ElementNetlist, technology: Technology, stream: Stream) -> np.ndarray:
    """Toggles of each net in each stream, int64 [nets, streams]."""
    state, inputs = stream
    held = np.zeros((len(element.registers), len(next(iter(inputs.values())))), dtype=bool)
    place = {net: (name, bit) for name, nets in element.outputs.items() for bit, net in enumerate(nets)}
    for number, register in enumerate(element.registers):
        name, bit = place[register.q]
        if name in state:
            held[number] = state[name] >> bit & 1
    packed = {name: simulate.cycles(values, len(element.inputs[name])) for name, values in inputs.items()}
    steps = next(iter(inputs.values())).shape[1] - 1
    found = simulate.toggles(simulate.streams(element, technology.cells, held, packed), steps)
    for register in element.registers:
        if "valid_in" in inputs and register.clocked_by != _load_enable(element):
            found[register.q] = found[register.data]  # one cycle later, beyond the stream's end
    return found
