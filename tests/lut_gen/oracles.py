"""Slow, obvious counterparts of the circuit code, and random netlists to compare on."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from hypothesis import strategies as st

from lut_gen.library.boolean import Function
from lut_gen.library.cell import Cell
from lut_gen.netlist import Gate, Netlist

CELLS = ("inv_1", "nand2_1", "nor2_1", "and2_0", "or2b_1", "xor2_1", "xnor2_1", "mux2_1", "maj3_1", "o21ai_0",
         "a31oi_1", "ha_1", "fa_1")
"""Cells of the built-in technology that random netlists are made of."""


@st.composite
def netlists(draw: st.DrawFn, cells: Mapping[str, Cell], most_gates: int = 12, bits: int = 3) -> Netlist:
    """A random netlist: any cell on any earlier nets, constants included; any nets as product."""
    a_bits, b_bits = draw(st.integers(1, bits)), draw(st.integers(1, bits))
    known = 2 + a_bits + b_bits
    gates = []
    for _ in range(draw(st.integers(0, most_gates))):
        cell = cells[draw(st.sampled_from(CELLS))]
        inputs = {pin: draw(st.integers(0, known - 1)) for pin in cell.inputs}
        outputs = {pin: known + i for i, pin in enumerate(sorted(cell.functions))}
        known += len(outputs)
        gates.append(Gate(cell.name, inputs, outputs))
    y = draw(st.lists(st.integers(0, known - 1), min_size=1, max_size=6))
    a = tuple(range(2, 2 + a_bits))
    return Netlist(a, tuple(range(2 + a_bits, 2 + a_bits + b_bits)), tuple(y), tuple(gates))


def net_values(netlist: Netlist, cells: Mapping[str, Cell], a: int, b: int) -> list[int]:
    """Value of every net for one operand pair: one vector, gate by gate, by truth table."""
    values = [0, 1] + [0] * (netlist.nets - 2)
    for nets, operand in ((netlist.a, a), (netlist.b, b)):
        for bit, net in enumerate(nets):
            values[net] = operand >> bit & 1
    for gate in netlist.gates:
        cell = cells[gate.cell]
        row = sum(values[gate.inputs[pin]] << i for i, pin in enumerate(cell.inputs))
        for pin, net in gate.outputs.items():
            values[net] = _truth_table(cell.functions[pin].text, cell.inputs)[row]
    return values


@cache
def _truth_table(function: str, pins: tuple[str, ...]) -> tuple[int, ...]:
    return Function(function).truth_table(pins)


def product(netlist: Netlist, values: list[int], signed: bool) -> int:
    """The number on the product bits."""
    bits = [values[net] for net in netlist.y]
    number = sum(bit << i for i, bit in enumerate(bits))
    return number - (1 << len(bits)) if signed and bits[-1] else number


def vector_matrix(netlist: Netlist, cells: Mapping[str, Cell], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Values of all nets for a sequence of operand pairs, int [vectors, nets]."""
    return np.array([net_values(netlist, cells, int(x), int(y)) for x, y in zip(a, b, strict=True)])


def changes_while_settling(
    netlist: Netlist, cells: Mapping[str, Cell], delays: np.ndarray, before: tuple[int, int], after: tuple[int, int]
) -> list[int]:
    """How often each net changes after the operands (a, b) do: one event at a time, with inertial delays."""
    values, count = net_values(netlist, cells, *before), [0] * netlist.nets
    goal = net_values(netlist, cells, *after)
    pending = {net: (0, goal[net]) for net in (*netlist.a, *netlist.b)}  # time and new value
    while pending:
        now = min(time for time, _ in pending.values())
        due = [net for net, (time, _) in pending.items() if time == now]
        changed = {net: pending.pop(net)[1] for net in due}
        changed = {net: value for net, value in changed.items() if values[net] != value}
        for net, value in changed.items():
            values[net] = value
            count[net] += 1
        for gate in netlist.gates:
            if changed.keys() & set(gate.inputs.values()):
                cell = cells[gate.cell]
                row = sum(values[gate.inputs[pin]] << i for i, pin in enumerate(cell.inputs))
                for pin, net in gate.outputs.items():
                    asked = _truth_table(cell.functions[pin].text, cell.inputs)[row]
                    if net in pending and pending[net][1] != asked:
                        del pending[net]
                    if net not in pending and values[net] != asked:
                        pending[net] = now + int(delays[net]), asked
    assert values == goal
    return count


def steady_toggles(
    netlist: Netlist, cells: Mapping[str, Cell], joint: np.ndarray, held: str | None, run: float
) -> np.ndarray:
    """Mean toggles of each net per step, float64 [nets], over all ordered pairs of operand pairs.

    A step that keeps the held operand (1 - 1/run of them) draws the other one from those that meet it.
    """
    shares = joint / joint.sum()
    pairs = [(a, b) for a in range(joint.shape[0]) for b in range(joint.shape[1])]
    values = {pair: np.array(net_values(netlist, cells, *pair)) for pair in pairs}
    total = np.zeros(netlist.nets)
    for before in pairs:
        for after in pairs:
            anew = shares[after]
            kept = 0.0
            if held == "a" and before[0] == after[0] and shares[after]:
                kept = shares[after] / shares[after[0], :].sum()
            if held == "b" and before[1] == after[1] and shares[after]:
                kept = shares[after] / shares[:, after[1]].sum()
            stay = 0.0 if held is None else 1 - 1 / run
            total += shares[before] * (stay * kept + (1 - stay) * anew) * (values[before] != values[after])
    return total
