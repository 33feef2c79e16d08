"""Bench of `sim.wrapper`: drives every operand pair, reads all products, compares them with the tables.

AGN_HW_REGRESSION_JOB names the folder of a job. The bench reads `tables.npz` there: `table_0` ..., one a
design, int32 [2**a_bits, 2**b_bits], and `widest`, int64 [2], the bits of the widest operands. It writes
`results.json`, one entry a design: [pairs, mismatches, first], where first is null or, of the first pair that
differs, [a, b, expected, got]. A mismatch is a result, not a failure of the bench: `sim.regression` judges.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer


@cocotb.test()
async def all_operand_pairs(dut: Any) -> None:
    job = Path(os.environ["AGN_HW_REGRESSION_JOB"])
    with np.load(job / "tables.npz", allow_pickle=False) as archive:
        a_bits, b_bits = archive["widest"].tolist()
        tables = [archive[f"table_{i}"] for i in range(len(archive.files) - 1)]
    assert (len(dut.operands), len(dut.products)) == (a_bits + b_bits, 32 * len(tables)), "another wrapper"
    rows = bytearray()
    for pair in range(2 ** (a_bits + b_bits)):
        dut.operands.value = pair
        await Timer(1, "step")
        rows += dut.products.value.to_unsigned().to_bytes(4 * len(tables), "little")
    products = np.frombuffer(rows, dtype="<i4").reshape(2**a_bits, 2**b_bits, len(tables))
    results = [compare(table, products[: len(table), : len(table[0]), i]) for i, table in enumerate(tables)]
    (job / "results.json").write_text(json.dumps(results))


def compare(expected: np.ndarray, got: np.ndarray) -> tuple[int, int, list[int] | None]:
    """(pairs, mismatches, first) of two tables of one shape; `first` in table order, `b` fastest."""
    differing = np.argwhere(expected != got)
    if len(differing) == 0:
        return expected.size, 0, None
    a, b = differing[0].tolist()
    return expected.size, len(differing), [a, b, int(expected[a, b]), int(got[a, b])]
