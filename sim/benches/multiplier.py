"""Bench of `sim.wrapper` under cocotb: drives every operand pair and keeps all products.

AGN_HW_REGRESSION_JOB names the folder of a job. The bench reads `widths.json` there, [a_bits, b_bits] a design,
and writes `products_0.npy` ..., one a design, int64 [2**a_bits, 2**b_bits]. It judges nothing.
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
    widths = json.loads((job / "widths.json").read_text())
    a_bits, b_bits = (max(width) for width in zip(*widths, strict=True))
    assert (len(dut.operands), len(dut.products)) == (a_bits + b_bits, 32 * len(widths)), "another wrapper"
    rows = bytearray()
    for pair in range(2 ** (a_bits + b_bits)):
        dut.operands.value = pair
        await Timer(1, "step")
        rows += dut.products.value.to_unsigned().to_bytes(4 * len(widths), "little")
    products = np.frombuffer(rows, dtype="<i4").reshape(2**a_bits, 2**b_bits, len(widths))
    for i, (a, b) in enumerate(widths):
        np.save(job / f"products_{i}.npy", products[: 2**a, : 2**b, i].astype(np.int64))
