"""Standard cells that published netlists instantiate without defining them: `rtl/cells/NAME.v`, one a cell.

Names and pins are those of the OSU libraries for FreePDK45 (J. E. Stine et al., "FreePDK: An Open-Source
Variation-Aware Design Kit", MSE 2007), as EvoApproxLib's `_pdk45.v` files use them (V. Mrazek et al., "EvoApprox8b",
DATE 2017). A design gets those that it instantiates and does not define itself, as further source files: synthesis
and simulation see ordinary modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import rtl
from lut_gen.errors import DesignError
from lut_gen.sources.source import read_source

CELLS = rtl.ROOT / "cells"
_AMBIGUOUS = "MUX2X1"


@cache
def known_cells() -> dict[str, Path]:
    """File of every cell by name."""
    return {path.stem: path for path in sorted(CELLS.glob("*.v"))}


def cells_for(undefined: Iterable[str], files: Iterable[Path]) -> list[Path]:
    """Files of those undefined modules that are known cells, sorted.

    Raises DesignError for MUX2X1 in a netlist that is not EvoApproxLib's (its files name themselves in their
    licence line): the cell inverts in the OSU libraries and does not there.
    """
    names = sorted(set(undefined) & set(known_cells()))
    if _AMBIGUOUS in names and not any(b"ApproxLib" in read_source(path) for path in files):
        came = "it inverts in the OSU libraries and does not in EvoApproxLib, and the source is silent"
        raise DesignError(f"a definition of {_AMBIGUOUS}", came, f"add `module {_AMBIGUOUS} (...)` to the source")
    return [known_cells()[name] for name in names]
