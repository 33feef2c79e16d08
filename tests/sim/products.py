"""Multipliers for the accelerator's tests. Their tables come from formulas and papers, not from the Verilog."""

from dataclasses import replace
from functools import cache

import numpy as np

import rtl
from lut_gen.design import Design, read_list
from sim.array_cases import Product, of_design, of_expression
from sim.array_sources import SIGN_MAGNITUDE
from tests.rtl import models


def exact(x_bits: int, w_bits: int) -> Product:
    table = np.outer(np.arange(1 << x_bits), np.arange(1 << w_bits))
    return of_expression("x * w", table, x_bits + w_bits)


def exact_signed(x_bits: int, w_bits: int) -> Product:
    table = np.outer(_twos_complement(x_bits), _twos_complement(w_bits))
    return of_expression("x * w", table, x_bits + w_bits, signed=True)


def _twos_complement(bits: int) -> np.ndarray:
    patterns = np.arange(1 << bits)
    return np.where(patterns < 1 << (bits - 1), patterns, patterns - (1 << bits))


def uneven() -> Product:
    """4x4, not commutative, 1 for zeros: with it, ports and enable bits that are wrong show."""
    x, w = np.arange(16)[:, None], np.arange(16)[None]
    return of_expression("x * w + {4'b0, x} + 8'd1", x * w + x + 1, 8)


def uneven_signed() -> Product:
    """4x4 in two's complement, not commutative, 1 for zeros."""
    x, w = _twos_complement(4)[:, None], _twos_complement(4)[None]
    return of_expression("x * w + x + 8'sd1", x * w + x + 1, 8, signed=True)


def published(name: str, swapped: bool = False) -> Product:
    """Source RTL of a built-in design, and its model's table; `swapped` puts the activation on the weight's port."""
    design = _designs()[name]
    table = models.table(design.family, design.parameters).astype(np.int64)
    if swapped:
        ports = {"activation": design.ports["weight"], "weight": design.ports["activation"], "product": "y"}
        design, table = replace(design, ports=ports), table.T
    bits = design.parameters["A_BITS"] + design.parameters["B_BITS"]
    return of_design(design, table, bits, signed=bool(design.signed))


@cache
def _designs() -> dict[str, Design]:
    return {design.name: design for design in read_list(rtl.MULTIPLIERS)}


def sum_bits(product: Product, mode: int, rows: int) -> int:
    """Two's complement bits of any sum of `rows` products."""
    low, high = rows * int(product.table.min()), rows * int(product.table.max())
    if mode == SIGN_MAGNITUDE:
        low, high = -high, high
    return max(~low, high, 1).bit_length() + 1
