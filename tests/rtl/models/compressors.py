"""Dadda trees of approximate 4:2 compressors, from the compressors' truth tables."""

from collections.abc import Mapping

import numpy as np

from tests.rtl.models.operands import IntArray
from tests.rtl.models.signs import signed_or_unsigned

ONES = np.array([pattern.bit_count() for pattern in range(16)])
"""Exact value of the inputs x1 x2 x3 x4, x1 being the highest bit of the index, int64 [16]."""

MOMENI = np.array([1, 1, 1, 1, 1, 2, 2, 3, 1, 2, 2, 3, 1, 3, 3, 3])
VALUES = {
    1: MOMENI,
    2: MOMENI,
    3: np.array([0, 1, 1, 2, 1, 1, 1, 3, 1, 1, 1, 3, 2, 3, 3, 3]),
    4: np.array([0, 2, 0, 2, 0, 2, 0, 2, 1, 3, 1, 3, 1, 3, 1, 3]),
    5: np.minimum(ONES, 3),
}
"""By KIND: what 2 * carry + sum is for the inputs x1 x2 x3 x4, int64 [16]. Design 1 of Momeni et al. gives the
same while cin is 0, its upper bit on cout."""
WITH_CIN = 1


def compressor(kind: int, x: list[IntArray], cin: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Sum, carry and cout. Momeni's design 1 turns cin into the carry, and a set cin clears the sum."""
    value = VALUES[kind][8 * x[0] + 4 * x[1] + 2 * x[2] + x[3]]
    if kind == WITH_CIN:
        return (value & 1) * (1 - cin), cin, value >> 1
    return value & 1, value >> 1, np.zeros_like(value)


def reduce_column(bits: list[IntArray], couts: list[IntArray], most: int, kind: int) -> tuple[list[IntArray], ...]:
    """What is left of a column, its carries and its couts; kind 0 = adders only."""
    cells = 0
    if kind:
        while len(bits) + max(len(couts) - cells, 0) - 3 * cells >= most + 3:
            cells += 1
    zero = np.zeros_like(bits[0]) if bits else np.zeros((1, 1), dtype=np.int64)
    cins, queue = couts[:cells] + [zero] * (cells - len(couts)), bits + couts[cells:]
    carries, new_couts, sums = [], [], []
    for cin in cins:
        total, carry, cout = compressor(kind, queue[:4], cin)
        queue = queue[4:]
        sums.append(total)
        carries.append(carry)
        new_couts.append(cout)
    queue += sums
    while len(queue) > most:
        taken = 3 if len(queue) - most >= 2 else 2
        total = sum(queue[:taken], zero)
        queue = [*queue[taken:], total & 1]
        carries.append(total >> 1)
    return queue, carries, new_couts if kind == WITH_CIN else []


def compressor_tree(a: IntArray, b: IntArray, parameters: Mapping[str, int]) -> IntArray:
    """Stages that leave at most ..., 4, 2 and 1 bits in every column; the last one is exact."""
    a_bits, b_bits = parameters["A_BITS"], parameters["B_BITS"]
    columns: list[list[IntArray]] = [[] for _ in range(a_bits + b_bits)]
    for j in range(b_bits):
        for i in range(a_bits):
            columns[i + j].append((a >> i & 1) * (b >> j & 1))
    most = 1 << ((min(a_bits, b_bits) - 1).bit_length() - 1)
    while most >= 1:
        carries: list[IntArray] = []
        couts: list[IntArray] = []
        for c, bits in enumerate(columns):
            kind = parameters["KIND"] if c < parameters["APPROXIMATE"] and most > 1 else 0
            columns[c], carries, couts = reduce_column(bits + carries, couts, most, kind)
        most //= 2
    return sum((bits[0] << c for c, bits in enumerate(columns) if bits), np.zeros_like(a * b))


TREE = signed_or_unsigned(compressor_tree)
FAMILIES = {
    "momeni_1": TREE,
    "momeni_2": TREE,
    "venkatachalam": TREE,
    "akbari": TREE,
    "yang": TREE,
}
