"""An array of processing elements: area, clock period and energy, with what stands around the elements.

Around the elements of systolic_array.v are delay lines that skew activations and deskew sums, and one accumulator
(accumulator.v) a column. Delay lines are flip-flops like the elements' own: each register of the Verilog
(gated_register.v) has a clock gate, or multiplexers where the library has none; the valid bits are not gated. Memories,
the host and wires are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lut_gen import timing
from lut_gen.element.assembly import plain_flip_flop
from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.operand_streams import Operands, column_sums
from lut_gen.element.power import clock_output_fj, clock_pin_fj
from lut_gen.element.prediction import Prediction, cycles_of
from lut_gen.element.simulate import toggles as toggles_of
from lut_gen.element.synthesis import mapped
from lut_gen.energy import power
from lut_gen.library.cell import Cell
from lut_gen.library.liberty import INPUT_SLEW_NS, Technology
from lut_gen.netlist import Netlist, from_yosys

DELAY_LINES, ACCUMULATORS = "delay_lines", "accumulators"


@dataclass(frozen=True)
class ArrayShape:
    """rows x cols elements; totals of acc_bits bits, wrapping or saturating."""

    rows: int
    cols: int
    acc_bits: int
    saturate: bool = False


def accumulator(sum_bits: int, shape: ArrayShape, technology: Technology, folder: Path) -> Netlist:
    """accumulator.v mapped, operand a the total and b the sum: of all recipes the one with the lowest energy for
    uniform independent operands (area decides a tie). Raises LibertyError, ToolError."""
    parameters = {"SUM_BITS": sum_bits, "ACC_BITS": shape.acc_bits, "SATURATE": int(shape.saturate)}
    ports = {"activation": "total", "weight": "sum", "product": "y"}
    modules = mapped("accumulator", parameters, {}, technology, folder)
    found = [from_yosys(_circuit(module), ports, technology.cells) for module in modules]
    rng = np.random.default_rng(0)
    operands = (rng.integers(0, 2**bits, 4096) for bits in (shape.acc_bits, sum_bits))
    total, tile = tuple(operands)

    def cost(netlist: Netlist) -> tuple[float, float]:
        words = netlist.evaluate(technology.cells, total, tile)
        energy = power.energy_fj(netlist, technology, words, len(total))
        return energy, power.area_um2(netlist, technology.cells)

    return min(found, key=cost)


def _circuit(module: dict) -> dict:
    """Without the notes of where modules stood."""
    return {**module, "cells": {k: cell for k, cell in module["cells"].items() if cell["type"] != "$scopeinfo"}}


@dataclass(frozen=True)
class Surroundings:
    """What stands around the elements of an array. `element` gives the widths of activations and sums."""

    element: ElementNetlist
    shape: ArrayShape
    accumulator: Netlist
    technology: Technology

    @classmethod
    def of(cls, element: ElementNetlist, shape: ArrayShape, technology: Technology, folder: Path) -> Surroundings:
        """Works below `folder`. Raises LibertyError, ToolError."""
        adder = accumulator(len(element.outputs["sum_out"]), shape, technology, folder)
        return cls(element, shape, adder, technology)

    @cached_property
    def registers(self) -> dict[int, int]:
        """Gated registers of the delay lines: how many of each width (bits)."""
        names = ("x_out", "x_sign_out")
        x_bits = sum(net > 1 for name in names for net in self.element.outputs[name])
        rows, cols = self.shape.rows, self.shape.cols
        found = {x_bits: rows * (rows - 1) // 2}
        sum_bits = len(self.element.outputs["sum_out"])
        found[sum_bits] = found.get(sum_bits, 0) + cols * (cols - 1) // 2
        return {bits: count for bits, count in found.items() if count}

    @property
    def valid_bits(self) -> int:
        """Flip-flops of the skewed valid bit, which no clock gate serves."""
        return self.shape.rows - 1

    @property
    def _gated_bits(self) -> int:
        return sum(bits * count for bits, count in self.registers.items())

    @cached_property
    def area_um2(self) -> dict[str, float]:
        """Area by part: delay lines and accumulators."""
        adders = self.shape.cols * power.area_um2(self.accumulator, self.technology.cells)
        return {DELAY_LINES: sum(cell.area_um2 for cell in self._delay_cells()), ACCUMULATORS: adders}

    @cached_property
    def leakage_nw(self) -> dict[str, float]:
        """Leakage by part."""
        adders = self.shape.cols * power.leakage_nw(self.accumulator, self.technology.cells)
        return {DELAY_LINES: sum(cell.leakage_nw for cell in self._delay_cells()), ACCUMULATORS: adders}

    def _delay_cells(self) -> Iterator[Cell]:
        """Every cell of the delay lines."""
        flip_flop, _ = plain_flip_flop(self.technology)
        yield from [flip_flop] * (self._gated_bits + self.valid_bits)
        if self.technology.clock_gate:
            yield from [self.technology.clock_gate[0]] * sum(self.registers.values())
        else:
            gates = self.technology.gates
            held = ["mux"] if "mux" in gates else ["not", "nand", "nand", "nand"]
            yield from [gates[name][0] for name in held] * self._gated_bits

    @cached_property
    def clock_fj(self) -> tuple[float, float]:
        """What the clock costs in the delay lines, fJ: in every cycle, and for every vector that passes them."""
        flip_flop, pins = plain_flip_flop(self.technology)
        pin = clock_pin_fj(flip_flop, pins.clock, self.technology)
        if self.technology.clock_gate is None:
            return (self._gated_bits + self.valid_bits) * pin, 0.0
        gate, gate_pins = self.technology.clock_gate
        always = self.valid_bits * pin
        always += sum(self.registers.values()) * clock_pin_fj(gate, gate_pins.clock, self.technology)
        vector = self._gated_bits * pin
        for bits, count in self.registers.items():
            load = bits * flip_flop.input_ff[pins.clock]
            vector += count * clock_output_fj(gate, load, self.technology)
        return always, vector

    @cached_property
    def toggle_fj(self) -> float:
        """A toggle of one bit of a delay line: the flip-flop's output and the data pin that it drives, fJ."""
        cell, pins = plain_flip_flop(self.technology)
        load = cell.input_ff[pins.data] + cell.output_ff.get(pins.output, 0.0)
        energy = 0.5 * load * self.technology.voltage**2 + cell.input_energy_fj[pins.data]
        table = cell.energy_fj.get(pins.output)
        return energy + (0.0 if table is None else table.at(INPUT_SLEW_NS, load))

    def delay_lines_fj(self, toggles: np.ndarray, vectors: float, cycles: float) -> float:
        """Energy of all delay lines, fJ. toggles: a vector's mean at each net of an element, float64 [nets] (sums
        switch below the last row as they do in the mean row); vectors: of all tiles; cycles: of the array."""
        rows, cols = self.shape.rows, self.shape.cols
        x = sum(toggles[net] for name in ("x_in", "x_sign_in") for net in self.element.inputs[name])
        sums = sum(toggles[net] for net in self.element.outputs["sum_out"])
        switched = rows * (rows - 1) / 2 * x + cols * (cols - 1) / 2 * sums
        always, vector = self.clock_fj
        return float(cycles * always + vectors * (vector + switched * self.toggle_fj))

    def accumulator_fj(self, totals: np.ndarray, sums: np.ndarray) -> float:
        """Energy of one accumulator for one vector, fJ: the mean over streams of 64 vectors, integers [streams, 64]."""
        words = self.accumulator.evaluate(self.technology.cells, totals.ravel(), sums.ravel())
        costs = power.toggle_energies(self.accumulator, self.technology)
        return float(costs @ toggles_of(words).sum(axis=1) / (63 * len(sums)))

    @cached_property
    def accumulator_ns(self) -> float:
        """From the last register of a column to its total: clock to output and the accumulator's delay, ns."""
        cell, pins = plain_flip_flop(self.technology)
        load = cell.input_ff[pins.data]
        arcs = [arc for arc in cell.arcs if arc.output == pins.output]
        launch = max((table.at(INPUT_SLEW_NS, load) for arc in arcs for table in (arc.delay_rise, arc.delay_fall)),
                     default=0.0)  # fmt: skip
        return launch + timing.delay_ns(self.accumulator, self.technology)


def predict(
    around: Surroundings, elements: Prediction, operands: Operands, table: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Energy of delay lines and accumulators for a matrix product, fJ by part; `elements` is its prediction.

    A column without outputs adds zeros, which costs nothing.
    """
    shape = around.shape
    tiles, cycles = cycles_of(operands, shape.rows, shape.cols)
    vectors = len(operands.x)
    totals, sums = column_sums(operands, table, shape.rows, np.random.default_rng(seed))
    results = vectors * operands.w.shape[0] * -(-operands.w.shape[1] // shape.rows)
    return {
        DELAY_LINES: around.delay_lines_fj(elements.toggles, tiles * vectors, cycles),
        ACCUMULATORS: results * around.accumulator_fj(totals, sums),
    }
