"""Netlist of a processing element (rtl/accelerator/pe.v): mapped gates, registers, and the part each belongs to.

Nets are numbers as in lut_gen.netlist: 0 and 1 are the constants, then come the bits of the input ports in order of
INPUTS (least significant first), then one net an output of each register, then one net an output pin of each gate.
Gates stand in topological order from inputs and register outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lut_gen.netlist import Gate

INPUTS = ("reset", "load", "valid_in", "x_in", "x_sign_in", "w_in", "w_sign_in", "enable_in", "sum_in")
OUTPUTS = ("valid_out", "x_out", "x_sign_out", "w_out", "w_sign_out", "enable_out", "sum_out")
"""Ports of pe.v, without the clock."""
MULTIPLIER, ACCUMULATOR, REGISTERS = "multiplier", "accumulator", "registers"
"""Parts. What stands between the product and the adder (signs, enable) belongs to the multiplier, gates that steer
registers to the registers."""


@dataclass(frozen=True)
class Register:
    """A flip-flop of this cell: at the rising clock edge `q` takes the value of net `data`.

    clocked_by: net that must be 1 for the edge to reach it (through the clock gate that all registers with this net
    share), or None for a register that every edge reaches. Input pins of the cell are `data_pin` and `clock_pin`.
    """

    cell: str
    data_pin: str
    clock_pin: str
    data: int
    q: int
    clocked_by: int | None


@dataclass(frozen=True)
class ElementNetlist:
    """inputs, outputs: nets of each port, by the names of INPUTS and OUTPUTS (a port without use has its nets all the
    same). parts: the part of each gate, in order. clock_gate: cell that gates a clock; None where none is needed."""

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    registers: tuple[Register, ...]
    gates: tuple[Gate, ...]
    parts: tuple[str, ...]
    clock_gate: str | None

    @cached_property
    def nets(self) -> int:
        """Number of nets, the two constants included."""
        ports = sum(len(nets) for nets in self.inputs.values())
        return 2 + ports + len(self.registers) + sum(len(gate.outputs) for gate in self.gates)
