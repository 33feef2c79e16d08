"""Terms of a table by tensor cores (multiply.cu)."""

from __future__ import annotations

from functools import lru_cache

import torch

from agn_hw.kernels.cuda import launch
from agn_hw.kernels.cuda.form import Numbers
from agn_hw.kernels.cuda.images import DEPTH_STEP, Output, Windows
from agn_hw.kernels.cuda.launch import Facts

SOURCE = "multiply"
THREADS = 256
BLOCK_ROWS = 128
QUADS = (4, 2, 1)
"""So many terms are looked up at once."""
CYCLES = {256: 33, 128: 23, 64: 17}
"""Columns of a block, and how long a slab of 64 of the depth takes it, on paper: 100 cycles for four terms."""
_CUT = 4  # slabs' time that it costs to preset sums, add atomically and finish them in a kernel of their own


def splits(windows: Windows, columns: int, groups: int, facts: Facts) -> int:
    """Over how many blocks the depth is best split; they add atomically where it is more than one."""
    return _best(windows.rows, columns, groups, windows.depth // DEPTH_STEP, facts)[1]


def add_terms(
    windows: Windows, expand: torch.Tensor, factors: torch.Tensor, numbers: Numbers, output: Output, splits: int = 1
) -> None:
    """Adds 2^shift * (256 * the sum of the scaled terms + that of the others).

    expand: int32 [Q, 256], words of up to four terms' bytes by activation, scaled terms and others in words of their
    own. factors: int8 [groups, terms, N', depth], N' a multiple of 64, zeros where there is no weight. More than one
    split needs the mode ATOMIC.
    """
    facts = launch.facts(windows.image.device)
    columns, _ = _best(windows.rows, output.columns, output.groups, windows.depth // DEPTH_STEP, facts)
    quad = quad_of(columns, numbers, facts.shared)
    tiles = -(-windows.rows // BLOCK_ROWS) * -(-output.columns // columns)
    launch.launch(
        SOURCE, "multiply", (tiles, output.groups, splits), THREADS, shared_bytes(columns, quad),
        (windows, expand, factors, output, numbers.terms, numbers.scaled, numbers.shift, factors.shape[2], splits),
        **macros(columns, quad),
    )


def macros(columns: int, quad: int) -> dict[str, int]:
    """Of multiply.cu."""
    return {"BLOCK_N": columns, "QUAD": quad}


def shared_bytes(columns: int, quad: int) -> int:
    """Shared memory of a block: the table for each lane, two slabs of activations and of weights for each term."""
    return 256 * 32 * 4 + 2 * quad * DEPTH_STEP * (BLOCK_ROWS + columns)


def quad_of(columns: int, numbers: Numbers, shared: int) -> int:
    """How many terms a block looks up at once: no more than there are, and than it has memory for."""
    most = max(numbers.scaled, numbers.terms - numbers.scaled)
    return next(
        quad for quad in QUADS if quad == 1 or (quad < 2 * most and shared_bytes(columns, quad) <= shared)
    )


@lru_cache(maxsize=1024)
def _best(rows: int, columns: int, groups: int, slabs: int, facts: Facts) -> tuple[int, int]:
    """Columns of a block and splits of the depth that take the least time, on paper."""
    found = []
    for width, cycles in CYCLES.items():
        if shared_bytes(width, 1) > facts.shared:
            continue
        tiles = -(-rows // BLOCK_ROWS) * -(-columns // width) * groups
        for cut in {1, max(1, min(facts.multiprocessors // tiles, slabs // 4))}:
            waves = -(-tiles * cut // facts.multiprocessors)
            found.append((waves * cycles * (-(-slabs // cut) + 1 + _CUT * (cut > 1)), cut, width))
    _, cut, width = min(found)
    return width, cut


VARIANTS = tuple(macros(columns, quad) for columns in CYCLES for quad in QUADS)
