"""What each multiplier family computes, written from the papers' definitions and not from the Verilog.

`table(family, parameters)` is the whole product table: int32 [2**A_BITS, 2**B_BITS], indexed by the raw bit
patterns on the ports, so signed operands come as 0 ... 127, -128 ... -1.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tests.rtl.models import (
    arrays,
    booth,
    compressors,
    corrected_logarithms,
    corrections,
    logarithmic,
    lower_or,
    rounding,
    segments,
)
from tests.rtl.models.operands import IntArray

FAMILIES: dict[str, Callable[[Mapping[str, int]], IntArray]] = {
    **arrays.FAMILIES,
    **lower_or.FAMILIES,
    **compressors.FAMILIES,
    **corrections.FAMILIES,
    **booth.FAMILIES,
    **segments.FAMILIES,
    **logarithmic.FAMILIES,
    **corrected_logarithms.FAMILIES,
    **rounding.FAMILIES,
}


def table(family: str, parameters: Mapping[str, int]) -> NDArray[np.int32]:
    """Product table of a family's multiplier, int32 [2**A_BITS, 2**B_BITS]; KeyError for an unknown one."""
    return FAMILIES[family](dict(parameters)).astype(np.int32)
