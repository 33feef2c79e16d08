"""Multipliers to put on an array, synthesised when first asked for, and what a test needs to simulate one."""

import tempfile
from functools import cache
from pathlib import Path

import pytest

import rtl
from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import gather
from lut_gen.library import liberty_reader
from sim import verilator
from sim.array_sources import Circuit

NAMES = ("exact_8x8", "exact_4x3", "exact_3x3", "truncated_4x4_d3_constant", "booth_6x4", "baugh_wooley_4x4")
needs_verilator = pytest.mark.skipif(
    bool(verilator.missing()), reason=f"this machine lacks {', '.join(verilator.missing())}"
)


@cache
def _catalog() -> Catalog:
    with tempfile.TemporaryDirectory() as folder:
        designs = [design for design in gather([rtl.MULTIPLIERS]) if design.name in NAMES]
        assert len(designs) == len(NAMES) and not [outcome for outcome in build(designs, Path(folder)) if outcome.error]
        catalog = Catalog.load(folder)
        assert all(multiplier.netlist for multiplier in catalog)  # read before the folder goes
    return catalog


def circuit(name: str, port: str) -> Circuit:
    """One of NAMES, its port `port` taking the activation."""
    multiplier = _catalog()[name]
    return Circuit(multiplier.netlist, bool(multiplier.signed), port, liberty_reader.load())


def folder(factory: pytest.TempPathFactory) -> Path:
    """Where the session's arrays are built, the same for all modules."""
    return factory.getbasetemp() / "arrays"
