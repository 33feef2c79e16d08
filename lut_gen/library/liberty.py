"""Technology: what a Liberty file says about cells, in one set of units.

Units throughout: ns, fF, fJ, nW, um2, V. Arcs of one input to one output are merged by their sense: the worst
delay and transition over their `when` conditions (as timing sign-off takes them). Internal energy is the mean over
conditions, inputs and the two edges (as toggles are counted without their cause), added up over supply rails.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from pathlib import Path

from lut_gen.errors import LibertyError
from lut_gen.library.boolean import Function
from lut_gen.library.liberty_writer import gate_library
from lut_gen.library.nldm import Table

BUILT_IN = Path(__file__).parent.parent / "technologies" / "sky130hd_tt.lib"
INPUT_SLEW_NS = 0.05
"""Transition time of a primary input, and of every edge where only energy is asked."""
OUTPUT_LOAD_FF = 5.0
"""Load of each product bit: about two gate inputs (an adder follows every multiplier)."""

FUNCTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "not": (("A",), "!A"),
    "buffer": (("A",), "A"),
    "and": (("A", "B"), "A&B"),
    "nand": (("A", "B"), "!(A&B)"),
    "or": (("A", "B"), "A|B"),
    "nor": (("A", "B"), "!(A|B)"),
    "xor": (("A", "B"), "A^B"),
    "xnor": (("A", "B"), "!(A^B)"),
    "andnot": (("A", "B"), "A&(!B)"),
    "ornot": (("A", "B"), "A|(!B)"),
    "mux": (("A", "B", "S"), "(A&(!S))|(B&S)"),
}
"""The gates that synthesis asks a technology for: ordered operands and function."""
MOST_BYTES = 256 << 20
"""No Liberty file may be longer, uncompressed: twenty times SKY130's."""
REQUIRED = ("not", "buffer", "nand", "and", "or", "xor")
"""Without these a library cannot carry a multiplier economically (and abc fails without a buffer); the others are
built from them."""


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
class Cell:
    """One standard cell. `energy_fj[pin]` is the internal energy per transition of that output (over slew and
    load), `input_energy_fj[pin]` per transition of that input at INPUT_SLEW_NS. `edge_ff[pin]` holds an input's
    capacitance for rising and falling edges where the library tells them apart; `input_ff` is what energy takes.
    `sequential` cells hold a state or have a pin that no Boolean function describes: no multiplier may use them."""

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


@dataclass(frozen=True)
class Technology:
    """The cells of one Liberty file. `sha256` is that of the (uncompressed) file's bytes."""

    name: str
    voltage: float
    cells: dict[str, Cell]
    sha256: str
    path: Path

    @cached_property
    def gates(self) -> dict[str, tuple[Cell, dict[str, str]]]:
        """For each gate of FUNCTIONS that the library has: the smallest cell and its pins by operand."""
        found: dict[str, tuple[Cell, dict[str, str]]] = {}
        by_area = sorted(self.cells.values(), key=lambda cell: (cell.area_um2, cell.name))
        for gate, (operands, function) in FUNCTIONS.items():
            for cell in by_area:
                pins = cell.pins_for(operands, function)
                if pins is not None:
                    found[gate] = (cell, pins)
                    break
        return found

    @cached_property
    def full_adder(self) -> tuple[Cell, dict[str, str]] | None:
        """The smallest cell with a three-input parity and a majority output; pins by A, B, C, SUM, CARRY."""
        parity, majority = (0, 1, 1, 0, 1, 0, 0, 1), (0, 0, 0, 1, 0, 1, 1, 1)
        for cell in sorted(self.cells.values(), key=lambda c: (c.area_um2, c.name)):
            if cell.sequential or len(cell.inputs) != 3 or len(cell.functions) != 2:
                continue
            if any(set(function.pins) != set(cell.inputs) for function in cell.functions.values()):
                continue
            tables = {f.truth_table(cell.inputs): pin for pin, f in cell.functions.items()}
            if set(tables) == {parity, majority}:
                names = dict(zip("ABC", cell.inputs, strict=True))
                return cell, {**names, "SUM": tables[parity], "CARRY": tables[majority]}
        return None

    def text(self) -> bytes:
        """The Liberty file's bytes, uncompressed."""
        return read_bytes(self.path)

    @cached_property
    def gate_text(self) -> bytes:
        """The combinational cells as a plain Liberty file, which any synthesis tool can read. Raises LibertyError."""
        return gate_library(self.cells.values(), self.voltage).encode()

    def require(self) -> None:
        """Raises LibertyError when a cell that synthesis needs is missing, or has no delays."""
        missing = [f"{gate} ({FUNCTIONS[gate][1]})" for gate in REQUIRED if gate not in self.gates]
        if missing:
            raise LibertyError(
                f"a cell for each of {', '.join(REQUIRED)} in {self.path.name}",
                f"none computes {', '.join(missing)}",
                "take a library with these cells, or leave --liberty out to use the built-in technology",
            )
        untimed = [cell.name for cell in self.cells.values() if not cell.sequential and cell.untimed]
        if untimed:
            came = f"{len(untimed)} cells have an output without, '{untimed[0]}' for one"
            raise LibertyError(f"delay tables in {self.path.name}", came, "take a library of NLDM tables")


def file_sha256(path: Path) -> str:
    """The identity of a Liberty file without parsing it."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The bytes of a Liberty file, uncompressed. Raises LibertyError where it cannot be read or holds more than
    MOST_BYTES."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        mend = "give the path of a .lib or .lib.gz file"
        raise LibertyError(f"a readable Liberty file at {path}", str(error), mend) from None
    if len(data) > MOST_BYTES:
        came = f"{path} holds more, uncompressed"
        raise LibertyError(f"a Liberty file of at most {MOST_BYTES >> 20} MiB", came, "take out what is no NLDM table")
    return data
