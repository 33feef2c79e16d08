"""A catalog of a few multipliers, for tests that run the whole way."""

from pathlib import Path

import rtl
from lut_gen.characterize import build
from lut_gen.design import gather

FEW = ("exact_8x8", "exact_6x6", "exact_4x4", "exact_3x3", "exact_2x2", "kulkarni_2x2", "truncated_8x8_d8", "drum_8_k4")


def build_few(folder: Path) -> None:
    designs = [design for design in gather([rtl.MULTIPLIERS]) if design.name in FEW]
    assert len(designs) == len(FEW) and [o for o in build(designs, folder) if o.error] == []
