"""Every multiplier's source RTL in a simulator against the catalog's table, all operand pairs.

The table was computed from the *mapped netlist* by numpy; this simulates the *source*. Synthesis, netlist
reader, cell functions, port order and signedness must all be right for the two to agree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lut_gen.catalog import Catalog
from lut_gen.design import Design
from sim import process, simulators, wrapper


@dataclass(frozen=True)
class Result:
    """One design's comparison: operand pairs driven, pairs that differ, and the first of those.

    `first` is (a, b, expected, got): operand patterns, the netlist's product, the RTL's (None if it has a bit
    that is x or z); `first` is None if all agree.
    """

    name: str
    pairs: int
    mismatches: int
    first: tuple[int, int, int, int | None] | None


def run(
    designs: list[Design],
    catalog: Catalog,
    folder: Path,
    simulator: str = "verilator",
    limit_s: float = process.LIMIT_S,
) -> list[Result]:
    """Compares all designs on all operand pairs; one Result a design, in order. Names must differ.

    An x or z is a mismatch in a simulator that has them (Icarus); Verilator reads both as 0, as the netlist does.
    Simulations stay below `folder`; `simulator.json` there names the simulator that ran last, and its version.
    Raises CatalogError for a design that is not in the catalog, DesignError for a source that cannot be read,
    ToolError where a tool is missing, or a build or simulation fails or takes longer than `limit_s` seconds.
    """
    tool = simulators.get(simulator)
    instances = [instance(design, catalog) for design in designs]
    if not instances:
        return []
    version = tool.version()
    products = tool.products(instances, folder, limit_s)
    (folder / "simulator.json").write_text(json.dumps({"simulator": simulator, "version": version}))
    return [
        Result(design.name, *compare(catalog[design.name].lut, got))
        for design, got in zip(designs, products, strict=True)
    ]


def instance(design: Design, catalog: Catalog) -> wrapper.Instance:
    """The design as the wrapper needs it. Raises CatalogError for a design that is not in the catalog."""
    multiplier = catalog[design.name]
    widths = int(multiplier.a_bits), int(multiplier.b_bits), len(multiplier.netlist.y)
    return wrapper.Instance(design, *widths, signed=bool(multiplier.signed))


def compare(expected: np.ndarray, got: np.ndarray) -> tuple[int, int, tuple[int, int, int, int | None] | None]:
    """(pairs, mismatches, first) of two tables of one shape; `first` in table order, `b` fastest."""
    differing = np.argwhere(expected != got)
    if len(differing) == 0:
        return expected.size, 0, None
    a, b = differing[0].tolist()
    found = int(got[a, b])
    return expected.size, len(differing), (a, b, int(expected[a, b]), None if found == wrapper.UNKNOWN else found)
