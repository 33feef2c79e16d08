"""Multipliers for processing elements, mapped once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lut_gen.design import Design
from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.synthesis import synthesise
from lut_gen.library.liberty import Technology
from lut_gen.netlist import Netlist
from lut_gen.synthesis import synthesise as synthesise_multiplier

MULTIPLIERS: dict[str, tuple[str, str, bool]] = {
    # ports, body, signed
    "exact_4x4": ("input [3:0] a, b, output [7:0] y", "assign y = a * b;", False),
    "signed_4x4": ("input signed [3:0] a, b, output signed [7:0] y", "assign y = a * b;", True),
    "truncated_5x3": ("input [4:0] a, input [2:0] b, output [7:0] y", "assign y = (a * b) & 8'hf8;", False),
    "odd_2x5": ("input [1:0] a, input [4:0] b, output [7:0] y", "assign y = (a * b) ^ (b >> 3) | 1;", False),
    "signed_odd_3x4": (
        "input signed [2:0] a, input signed [3:0] b, output signed [6:0] y", "assign y = (a * b) | 2;", True
    ),
    "exact_8x8": ("input [7:0] a, b, output [15:0] y", "assign y = a * b;", False),
}
"""Not commutative, constant bits, an offset at 0: what an error of ports or widths would show in."""


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of this session's syntheses."""
    return tmp_path_factory.mktemp("elements")


@pytest.fixture(scope="session")
def mapped(work: Path) -> Callable[[str, Technology], Netlist]:
    """A multiplier of MULTIPLIERS as a netlist of a technology."""
    found: dict[tuple[str, str], Netlist] = {}

    def make(name: str, technology: Technology) -> Netlist:
        key = name, technology.sha256
        if key not in found:
            ports, body, signed = MULTIPLIERS[name]
            source = work / f"{name}.v"
            source.write_text(f"module m ({ports}); {body} endmodule\n")
            design = Design(name, "test", (source,), "m", signed=signed)
            folder = work / f"{name}_{technology.sha256[:8]}"
            found[key] = synthesise_multiplier(design, technology, folder).netlists["abc"]
        return found[key]

    return make


@pytest.fixture(scope="session")
def element(mapped, technology, work) -> Callable[..., ElementNetlist]:
    """The processing element around a multiplier of MULTIPLIERS, in the built-in technology."""
    def make(name: str, port: str = "a", sum_bits: int = 12) -> ElementNetlist:
        netlist = mapped(name, technology)
        return synthesise(netlist, MULTIPLIERS[name][2], port, sum_bits, technology, work / "frames")

    return make
