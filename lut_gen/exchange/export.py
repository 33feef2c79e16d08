"""Tables for other programs: torch-approx (.npy), C (.h), spreadsheets (.csv).

All three keep the catalog's order, `table[activation][weight]`, unless asked for `table[weight][activation]`: most
approximate multipliers do not commute, and programs differ. torch-approx (E. Trommer et al., DDECS 2023) indexes its
table [activation, weight] in linear layers; in convolutions its versions differ, the last one of 2023 indexes [weight,
activation].
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from lut_gen import files
from lut_gen.catalog import Multiplier
from lut_gen.errors import CatalogError
from lut_gen.metrics import METRICS, operand_values


def export(
    multipliers: Iterable[Multiplier], folder: Path, formats: Iterable[str], weight_first: bool = False
) -> list[Path]:
    """Writes NAME.FORMAT of each multiplier to `folder`, for each of `formats` (keys of FORMATS); the files' paths.

    Nothing is written unless all tables have the forms asked for, and C headers one identifier each. Raises
    CatalogError.
    """
    multipliers, formats = list(multipliers), list(formats)
    if "h" in formats:
        _require_different_identifiers({multiplier.name for multiplier in multipliers})
    contents = {
        folder / f"{multiplier.name}.{form}": FORMATS[form](multiplier, weight_first)
        for multiplier in multipliers
        for form in formats
    }
    for path, data in contents.items():
        files.write_atomically(path, data)
    return list(contents)


def _require_different_identifiers(names: set[str]) -> None:
    found: dict[str, str] = {}
    for name in sorted(names):
        other = found.setdefault(c_identifier(name), name)
        if other != name:
            came = f"{other} and {name} would both be {c_identifier(name)}"
            raise CatalogError("C identifiers that differ", came, "export them to two folders, or not as .h")


def torch_approx(multiplier: Multiplier, weight_first: bool = False) -> bytes:
    """A .npy file, int16 [256, 256], as torch-approx' `lut` takes it: indexed by the bytes of two int8 codes.

    An unsigned multiplier gets its sign outside, as torch-approx does it for unsigned circuits: the product of
    magnitudes, negative where one code is. What codes of a narrower multiplier cannot reach is 0. Raises CatalogError
    for operands wider than 8 bits and for products beyond int16.
    """
    if max(multiplier.a_bits, multiplier.b_bits) > 8:
        came = f"{multiplier.name} has {multiplier.a_bits} and {multiplier.b_bits}"
        raise CatalogError("operands of at most 8 bits", came, "leave it out, or export it as .h or .csv")
    codes = operand_values(8, signed=True)
    table = np.zeros((256, 256), dtype=np.int64)
    rows, row_patterns, row_signs = _reached(codes, multiplier.a_bits, multiplier.signed)
    columns, column_patterns, column_signs = _reached(codes, multiplier.b_bits, multiplier.signed)
    signs = np.outer(row_signs, column_signs)
    table[np.ix_(rows, columns)] = signs * multiplier.lut[np.ix_(row_patterns, column_patterns)]
    if np.abs(table).max() >= 2**15:
        came = f"one of {multiplier.name} is {table.flat[np.abs(table).argmax()]}"
        raise CatalogError("products within int16 (torch-approx holds no others)", came, "leave it out")
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(table.T if weight_first else table, dtype=np.int16))
    return buffer.getvalue()


def _reached(codes: np.ndarray, bits: int, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the int8 `codes` an operand can be; the patterns on its port and the signs outside, both of these."""
    if signed:
        reached = np.flatnonzero((codes >= -(2 ** (bits - 1))) & (codes < 2 ** (bits - 1)))
        return reached, codes[reached] & (2**bits - 1), np.ones_like(reached)
    reached = np.flatnonzero(np.abs(codes) < 2**bits)
    return reached, np.abs(codes[reached]), np.where(codes[reached] < 0, -1, 1)


def c_identifier(name: str) -> str:
    """The array's name in C, no keyword and no name of the C library: agn_drum_8_k4 for drum_8_k4."""
    return "agn_" + re.sub(r"\W", "_", name)


def c_header(multiplier: Multiplier, weight_first: bool = False) -> bytes:
    """A C header: one static const array of the smallest of int16_t, uint16_t, int32_t, by raw operand patterns.

    The array is called c_identifier(name); the guard keeps its letters' case, as C does.
    """
    table = multiplier.lut.T if weight_first else multiplier.lut
    name = c_identifier(multiplier.name)
    kind = next((t for t in (np.int16, np.uint16) if _fits(table, np.iinfo(t))), np.int32)
    order = ("weight", "activation") if weight_first else ("activation", "weight")
    bits = (multiplier.b_bits, multiplier.a_bits) if weight_first else (multiplier.a_bits, multiplier.b_bits)
    form = "signed: two's complement operands and products" if multiplier.signed else "unsigned operands and products"
    metrics = "\n".join(f" *   {m.name:<13} {getattr(multiplier, m.name):.9g} {m.unit}" for m in METRICS)
    rows = ",\n".join("  {" + ",".join(map(str, row)) + "}" for row in table.tolist())
    return f"""/* {multiplier.name}: all products of an approximate multiplier, written by agn-hw.
 *
 * {name}[{order[0]}][{order[1]}], by the raw bit patterns on the ports ({bits[0]} and {bits[1]} bits);
 * {form}.
 *
 * Error against the exact product, all operand pairs counted once:
{metrics}
 * Cost: {multiplier.area_um2:.9g} um2, {multiplier.energy_fj:.9g} fJ a product, {multiplier.delay_ns:.9g} ns.
 */
#ifndef AGN_HW_{name}_H
#define AGN_HW_{name}_H
#include <stdint.h>

static const {np.dtype(kind).name}_t {name}[{table.shape[0]}][{table.shape[1]}] = {{
{rows}
}};

#endif
""".encode()


def _fits(table: np.ndarray, limits: np.iinfo) -> bool:
    return bool(limits.min <= table.min() and table.max() <= limits.max)


def csv(multiplier: Multiplier, weight_first: bool = False) -> bytes:
    r"""A matrix with its operands' values in the first row and column: the corner says what runs where ("a\b")."""
    a, b = (operand_values(bits, multiplier.signed) for bits in (multiplier.a_bits, multiplier.b_bits))
    table, down, along, corner = multiplier.lut, a, b, "a\\b"
    if weight_first:
        table, down, along, corner = table.T, b, a, "b\\a"
    lines = [",".join([corner, *map(str, along)])]
    lines += [",".join(map(str, [value, *row])) for value, row in zip(down, table.tolist(), strict=True)]
    return ("\n".join(lines) + "\n").encode()


FORMATS: dict[str, Callable[[Multiplier, bool], bytes]] = {"npy": torch_approx, "h": c_header, "csv": csv}
"""File ending -> what writes it."""
