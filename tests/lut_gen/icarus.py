"""Toggle counts from a gate-level simulation: Icarus runs the netlist's Verilog, its VCD is counted."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lut_gen.gate_level import cell_models, verilog, with_delays
from lut_gen.library.cell import Cell
from lut_gen.netlist import Netlist

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on the PATH")
SETTLE = 100_000_000
"""Time units that each operand pair has to settle."""


def toggles(
    netlist: Netlist, cells: Mapping[str, Cell], a: np.ndarray, b: np.ndarray, folder: Path, delay: int | None = None
) -> list[int]:
    """Changes of each net, constants included, over a sequence of operands: zero-delay, or `delay` units a gate."""
    used = {gate.cell: cells[gate.cell] for gate in netlist.gates}
    return _count(verilog(netlist, "circuit") + cell_models(used.values(), delay), netlist, a, b, folder)


def toggles_with(
    netlist: Netlist, cells: Mapping[str, Cell], delays: np.ndarray, a: np.ndarray, b: np.ndarray, folder: Path
) -> list[int]:
    """The same with a delay of its own for each gate output, int [nets]."""
    return _count(with_delays(netlist, "circuit", cells, delays.tolist()), netlist, a, b, folder)


def _count(circuit: str, netlist: Netlist, a: np.ndarray, b: np.ndarray, folder: Path) -> list[int]:
    """Simulates and counts from the second operand pair on."""
    pairs = "".join(f"        a = {x}; b = {y}; #{SETTLE};\n" for x, y in zip(a, b, strict=True))
    bench = (
        f"module bench;\n    reg [{len(netlist.a) - 1}:0] a;\n    reg [{len(netlist.b) - 1}:0] b;\n"
        f"    wire [{len(netlist.y) - 1}:0] y;\n    circuit dut (a, b, y);\n"
        f'    initial begin\n        $dumpfile("waves.vcd"); $dumpvars(1, dut);\n{pairs}    end\nendmodule\n'
    )
    (folder / "bench.v").write_text(circuit + bench)
    subprocess.run(["iverilog", "-g2005", "-o", "bench.vvp", "bench.v"], cwd=folder, check=True, timeout=120)
    subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, timeout=120, capture_output=True)
    return _vcd_changes((folder / "waves.vcd").read_text(), netlist.nets, SETTLE)


def _vcd_changes(text: str, nets: int, start: int) -> list[int]:
    """Changes of each net n<number> from time `start` on; only the last value at each time counts."""
    codes = {name: code for code, name in re.findall(r"\$var wire 1 (\S+) (n\d+) \$end", text)}
    count = dict.fromkeys(codes.values(), 0)
    before: dict[str, str] = {}
    now: dict[str, str] = {}

    def close(time: int) -> None:
        for code, value in now.items():
            if time >= start and before.get(code) != value:
                assert before[code] in "01" and value in "01"
                count[code] += 1
        before.update(now)
        now.clear()

    time = 0
    for line in text.split("$enddefinitions $end")[1].splitlines():
        if line.startswith("#"):
            close(time)
            time = int(line[1:])
        elif line[:1] in ("0", "1", "x", "z") and line[1:] in count:
            now[line[1:]] = line[0]
    close(time)
    return [0, 0] + [count[codes[f"n{net}"]] for net in range(2, nets)]
