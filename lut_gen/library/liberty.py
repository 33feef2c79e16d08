"""Technology: the cells of one Liberty file, and the gates among them that synthesis asks for. Units as in cell.py."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lut_gen.errors import LibertyError
from lut_gen.library.cell import Cell, ClockGate, FlipFlop
from lut_gen.library.liberty_writer import gate_library

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

    @cached_property
    def flip_flop(self) -> tuple[Cell, FlipFlop] | None:
        """The smallest plain D flip-flop with its pins, or None where there is none."""
        found = [(cell, cell.state) for cell in self.cells.values() if isinstance(cell.state, FlipFlop)]
        return min(found, key=lambda pair: (pair[0].area_um2, pair[0].name), default=None)

    @cached_property
    def clock_gate(self) -> tuple[Cell, ClockGate] | None:
        """The smallest clock gate with its pins, or None where there is none."""
        found = [(cell, cell.state) for cell in self.cells.values() if isinstance(cell.state, ClockGate)]
        return min(found, key=lambda pair: (pair[0].area_um2, pair[0].name), default=None)

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
