"""Energy per multiplication of a mapped netlist, and its leakage and area.

Zero-delay model: a net with signal probability p toggles 2 p (1 - p) times a multiplication when successive
operands are independent; the probabilities are exact, counted over all operand pairs. A toggle costs 1/2 C
V^2 of the net's load (input pins it drives; OUTPUT_LOAD_FF for a product bit), the driving cell's internal
energy and the driven pins' internal energy. Glitches are not counted; a primary input's toggle pays for the
pins that it drives. Other operands, data orders and glitches, at these same costs: operand_energy.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lut_gen.library.cell import Cell
from lut_gen.library.liberty import INPUT_SLEW_NS, OUTPUT_LOAD_FF, Technology
from lut_gen.netlist import Netlist


def net_loads(netlist: Netlist, cells: Mapping[str, Cell]) -> np.ndarray:
    """Capacitance that each net drives, fF, float64 [nets]."""
    loads = np.zeros(netlist.nets)
    for gate in netlist.gates:
        for pin, net in gate.inputs.items():
            loads[net] += cells[gate.cell].input_ff[pin]
        for pin, net in gate.outputs.items():
            loads[net] += cells[gate.cell].output_ff.get(pin, 0.0)
    for net in netlist.y:
        loads[net] += OUTPUT_LOAD_FF
    loads[:2] = 0.0
    return loads


def toggle_energies(netlist: Netlist, technology: Technology) -> np.ndarray:
    """What one toggle of each net costs, fJ, float64 [nets]: evaluated once, then good for any activity."""
    cells = technology.cells
    loads = net_loads(netlist, cells)
    energy = 0.5 * loads * technology.voltage**2
    for gate in netlist.gates:
        cell = cells[gate.cell]
        for pin, net in gate.inputs.items():
            energy[net] += cell.input_energy_fj[pin]
        for pin, net in gate.outputs.items():
            if pin in cell.energy_fj:
                energy[net] += cell.energy_fj[pin].at(INPUT_SLEW_NS, loads[net])
    energy[:2] = 0.0
    return energy


def probabilities(words: np.ndarray, vectors: int) -> np.ndarray:
    """Share of the vectors in which each net is 1, float64 [nets]."""
    full, rest = divmod(vectors, 64)
    ones = np.bitwise_count(words[:, :full]).sum(axis=1, dtype=np.int64)
    if rest:
        ones = ones + np.bitwise_count(words[:, full] & np.uint64(2**rest - 1))
    return ones / vectors


def energy_fj(netlist: Netlist, technology: Technology, words: np.ndarray, vectors: int) -> float:
    """Energy per multiplication, fJ, for independent successive operands drawn evenly from the evaluated
    vectors.

    With `words` of all operand pairs this is the energy under uniform operands.
    """
    p = probabilities(words, vectors)
    return float(2 * p * (1 - p) @ toggle_energies(netlist, technology))


def area_um2(netlist: Netlist, cells: Mapping[str, Cell]) -> float:
    """Sum of the cells' areas, um2."""
    return sum(cells[gate.cell].area_um2 for gate in netlist.gates)


def leakage_nw(netlist: Netlist, cells: Mapping[str, Cell]) -> float:
    """Sum of the cells' state-independent leakage, nW."""
    return sum(cells[gate.cell].leakage_nw for gate in netlist.gates)
