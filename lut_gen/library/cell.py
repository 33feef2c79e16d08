"""Cells of a library: areas, loads, functions, arcs and energies, in one set of units.

Units throughout: ns, fF, fJ, nW, um2, V. Arcs of one input to one output are merged by their sense: the worst
delay and transition over their `when` conditions (as timing sign-off takes them). Internal energy is the mean over
conditions, inputs and the two edges (as toggles are counted without their cause), added up over supply rails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations

from lut_gen.library.boolean import Function
from lut_gen.library.nldm import Table


@dataclass(frozen=True)
class Arc:
    """Worst-case delay (ns) and output transition (ns) from one input pin to one output pin, for input edges
    of one sense."""

    input: str
    output: str
    sense: str  # positive_unate | negative_unate | non_unate
    delay_rise: Table
    delay_fall: Table
    slew_rise: Table
    slew_fall: Table


@dataclass(frozen=True)
class FlipFlop:
    """Pins of a plain D flip-flop: `output` takes `data` at the rising edge of `clock`; no set, reset, enable or scan.

    setup: times (ns) for data that rises and that falls, over the transitions of data (`slews`) and clock (`loads`);
    None where the library has none."""

    data: str
    clock: str
    output: str
    setup: tuple[Table, Table] | None = None


@dataclass(frozen=True)
class ClockGate:
    """Pins of a clock gate with a latch: `output` follows `clock` where `enable` was 1 before it rose. `tied`: pins
    that are to be 0 (test enables). setup: of the enable, as for a flip-flop."""

    enable: str
    clock: str
    output: str
    tied: tuple[str, ...] = ()
    setup: tuple[Table, Table] | None = None


@dataclass(frozen=True)
class Cell:
    """One standard cell. `energy_fj[pin]` is the internal energy per transition of that output (over slew and
    load), `input_energy_fj[pin]` per transition of that input at INPUT_SLEW_NS. `edge_ff[pin]` holds an input's
    capacitance for rising and falling edges where the library tells them apart; `input_ff` is what energy takes.
    `output_ff[pin]` is what an output adds to the load of its own net, where that is not nothing.
    `sequential` cells hold a state or have a pin that no Boolean function describes: no multiplier may use them.
    `state` says how those work that registers are made of."""

    name: str
    area_um2: float
    leakage_nw: float
    input_ff: dict[str, float]
    functions: dict[str, Function]
    arcs: tuple[Arc, ...]
    energy_fj: dict[str, Table]
    input_energy_fj: dict[str, float]
    sequential: bool
    edge_ff: dict[str, tuple[float, float]] = field(default_factory=dict)
    output_ff: dict[str, float] = field(default_factory=dict)
    state: FlipFlop | ClockGate | None = None

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.input_ff)

    @property
    def untimed(self) -> bool:
        """Whether some output depends on inputs but has no arc from any."""
        timed = {arc.output for arc in self.arcs}
        return any(function.pins and pin not in timed for pin, function in self.functions.items())

    def pins_for(self, operands: tuple[str, ...], function: str) -> dict[str, str] | None:
        """Pin of each operand (and of "Y") when this one-output cell computes `function`, else None."""
        if self.sequential or len(self.functions) != 1 or len(self.inputs) != len(operands):
            return None
        output, own = next(iter(self.functions.items()))
        wanted = Function(function).truth_table(operands)
        for pins in permutations(self.inputs):
            if set(own.pins) == set(pins) and own.truth_table(pins) == wanted:
                return {**dict(zip(operands, pins, strict=True)), "Y": output}
        return None
