"""Catalogs for tests, made of tables alone: no Yosys is run."""

from pathlib import Path

import numpy as np

from lut_gen.catalog import COLUMNS, SCHEMA_VERSION, Catalog
from lut_gen.exchange.new_catalog import Entry, write
from lut_gen.files import npz_bytes, sha256
from lut_gen.metrics import error_metrics
from lut_gen.netlist import Gate, Netlist

TECHNOLOGY = {"file": "cells.lib", "sha256": "a" * 64}
TOOLS = {"yosys": "0.70", "evaluator": 1}


def wire(a_bits: int, b_bits: int) -> Netlist:
    """A netlist of one gate: its form is what counts."""
    gate = Gate("and2", {"A": 2, "B": 2 + a_bits}, {"X": 2 + a_bits + b_bits})
    return Netlist(
        tuple(range(2, 2 + a_bits)), tuple(range(2 + a_bits, 2 + a_bits + b_bits)), (2 + a_bits + b_bits,), (gate,)
    )


def entry(name: str, lut: np.ndarray, energy: float = 100.0, **columns: object) -> Entry:
    """A catalog's entry with this table; its identity follows from all of it."""
    lut = np.asarray(lut, dtype=np.int32)
    a_bits, b_bits = (int(n).bit_length() - 1 for n in lut.shape)
    data, netlist = npz_bytes(lut=lut), wire(a_bits, b_bits).to_json().encode()
    signed = bool(columns.get("signed", False))
    row = dict.fromkeys(COLUMNS, "1.0") | {
        **{"name": name, "family": "test", "parameters": "{}", "a_bits": a_bits, "b_bits": b_bits, "signed": signed},
        **{"recipe": "abc", "energy_fj": energy, **error_metrics(lut, signed), "source_sha256": "b" * 64},
        **{"lut_sha256": sha256(data), "netlist_sha256": sha256(netlist), **columns},
    }
    text = {column: str(value) for column, value in row.items()}
    text["identity"] = str(columns.get("identity", sha256(repr(sorted(text.items())).encode())))
    return Entry(text, data, netlist)


def catalog_of(folder: Path, *entries: Entry, technology: dict | None = None, tools: dict | None = None) -> Catalog:
    """A catalog of these entries in `folder`."""
    header = {"schema_version": SCHEMA_VERSION, "technology": technology or TECHNOLOGY, "tools": tools or TOOLS}
    write(folder, header, list(entries))
    return Catalog.load(folder)
