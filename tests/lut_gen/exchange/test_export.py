"""Exported tables against the catalog's, read by the programs that they are for: NumPy, a C compiler, pandas."""

import io
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from lut_gen.errors import CatalogError
from lut_gen.exchange.export import c_header, csv, export, torch_approx
from lut_gen.metrics import exact_table, operand_values
from tests.lut_gen.tables_on_disk import catalog_of, entry


def random_table(a_bits, b_bits, signed, seed=0):
    """Near the product, and not symmetric."""
    noise = np.random.default_rng(seed).integers(-3, 4, (2**a_bits, 2**b_bits))
    table = exact_table(a_bits, b_bits, signed) + noise
    return table if signed else np.abs(table)


FORMS = [(8, 8, False), (8, 8, True), (4, 3, False), (5, 6, True), (8, 2, True), (1, 1, False)]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    entries = [
        entry(f"t{'us'[s]}_{a}x{b}", random_table(a, b, s), signed=s, family="x */ int y; /*") for a, b, s in FORMS
    ]
    entries += [entry("8-bit.v2", random_table(8, 8, False, 1)), entry("wide", random_table(9, 2, False))]
    entries += [entry(name, random_table(2, 2, False, i)) for i, name in enumerate(("int", "A", "a", "1", "m1"))]
    entries += [entry(name, random_table(2, 2, False)) for name in ("a.b", "a_b")]
    entries += [entry("large", np.full((4, 4), 2**20)), entry("negative_large", -np.full((2, 4), 2**15), signed=True)]
    return catalog_of(tmp_path_factory.mktemp("export") / "c", *entries)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weight_first", [False, True])
def test_torch_approx_finds_each_product_by_the_bytes_of_its_codes(catalog, form, weight_first):
    a_bits, b_bits, signed = form
    multiplier = catalog[f"t{'us'[signed]}_{a_bits}x{b_bits}"]
    table = np.load(io.BytesIO(torch_approx(multiplier, weight_first)), allow_pickle=False)
    assert table.dtype == np.int16 and table.shape == (256, 256) and table.flags.c_contiguous
    limits = [(-(2 ** (n - 1)), 2 ** (n - 1) - 1) if signed else (1 - 2**n, 2**n - 1) for n in (a_bits, b_bits)]
    reached = 0
    for x in range(-128, 128):
        for w in range(-128, 128):
            got = table[w & 255, x & 255] if weight_first else table[x & 255, w & 255]
            if not (limits[0][0] <= x <= limits[0][1] and limits[1][0] <= w <= limits[1][1]):
                assert got == 0
                continue
            reached += 1
            if signed:
                assert got == multiplier.lut[x & (2**a_bits - 1), w & (2**b_bits - 1)]
            else:
                sign = -1 if (x < 0) != (w < 0) else 1
                assert got == sign * multiplier.lut[abs(x), abs(w)]
    assert reached == np.prod([min(high, 127) - max(low, -128) + 1 for low, high in limits])


def test_torch_approx_takes_only_what_it_can_hold(catalog, tmp_path):
    with pytest.raises(CatalogError, match="wide has 9 and 2"):
        torch_approx(catalog["wide"])
    for name in ("large", "negative_large"):
        with pytest.raises(CatalogError, match="within int16"):
            torch_approx(catalog[name])
    with pytest.raises(CatalogError):
        export(catalog, tmp_path / "out", ["npy", "h"])
    assert not (tmp_path / "out").exists()  # all or none


PROGRAM = """
#include <stdio.h>
#include "first.h"
#include "first.h"
int main(void) {{
  for (int i = 0; i < {rows}; i++) for (int j = 0; j < {columns}; j++) printf("%ld\\n", (long){name}[i][j]);
  return 0;
}}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler `cc`")
@pytest.mark.parametrize(
    ("name", "identifier", "kind", "weight_first"),
    [
        ("tu_8x8", "agn_tu_8x8", "uint16_t", False),
        ("ts_8x8", "agn_ts_8x8", "int16_t", True),
        ("tu_4x3", "agn_tu_4x3", "int16_t", True),
        ("8-bit.v2", "agn_8_bit_v2", "uint16_t", False),
        ("large", "agn_large", "int32_t", False),
        ("int", "agn_int", "int16_t", False),
    ],
)
def test_the_header_compiles_and_holds_every_product(catalog, tmp_path, name, identifier, kind, weight_first):
    multiplier = catalog[name]
    text = c_header(multiplier, weight_first)
    lut = multiplier.lut.T if weight_first else multiplier.lut
    assert f"static const {kind} {identifier}[{lut.shape[0]}][{lut.shape[1]}]".encode() in text
    assert (b"[weight][activation]" if weight_first else b"[activation][weight]") in text
    (tmp_path / "first.h").write_bytes(text)
    (tmp_path / "p.c").write_text(PROGRAM.format(rows=lut.shape[0], columns=lut.shape[1], name=identifier))
    strict = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "p.c", "-o", "p"]
    subprocess.run(strict, cwd=tmp_path, check=True, timeout=60)
    output = subprocess.run([tmp_path / "p"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert np.array_equal(np.array(output.split(), dtype=np.int64).reshape(lut.shape), lut)


TWO = """
#include "{first}.h"
#include "{second}.h"
int main(void) {{ return agn_{first}[3][3] - {nine} + agn_{second}[3][3] - {other}; }}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler `cc`")
@pytest.mark.parametrize(("first", "second"), [("A", "a"), ("1", "m1"), ("int", "a_b")])
def test_two_headers_in_one_program(catalog, tmp_path, first, second):
    export([catalog[first], catalog[second]], tmp_path, ["h"])
    nine, other = catalog[first].lut[3, 3], catalog[second].lut[3, 3]
    (tmp_path / "p.c").write_text(TWO.format(first=first, second=second, nine=nine, other=other))
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "p.c", "-o", "p"], cwd=tmp_path, check=True, timeout=60)
    subprocess.run([tmp_path / "p"], check=True, timeout=60)


def test_two_names_of_one_identifier_are_refused(catalog, tmp_path):
    both = [catalog["a.b"], catalog["a_b"]]
    with pytest.raises(CatalogError, match=r"a\.b and a_b would both be agn_a_b"):
        export(both, tmp_path / "out", ["csv", "h"])
    assert not (tmp_path / "out").exists()
    assert len(export(both, tmp_path / "out", ["csv"])) == 2
    assert len(export([both[0], both[0]], tmp_path / "out", ["h"])) == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weight_first", [False, True])
def test_pandas_reads_the_matrix(catalog, form, weight_first):
    a_bits, b_bits, signed = form
    multiplier = catalog[f"t{'us'[signed]}_{a_bits}x{b_bits}"]
    table = pd.read_csv(io.BytesIO(csv(multiplier, weight_first)), index_col=0)
    assert table.index.name == ("b\\a" if weight_first else "a\\b")
    if weight_first:
        table = table.T
    assert np.array_equal(table, multiplier.lut)
    assert table.index.astype(int).tolist() == operand_values(a_bits, signed).tolist()
    assert table.columns.astype(int).tolist() == operand_values(b_bits, signed).tolist()


def test_files_and_their_bytes(catalog, tmp_path):
    chosen = [catalog["tu_4x3"], catalog["ts_8x8"]]
    paths = export(chosen, tmp_path / "a" / "b", ["csv", "h", "npy"])
    assert {path.name for path in paths} == {f"{m.name}.{form}" for m in chosen for form in ("csv", "h", "npy")}
    assert set((tmp_path / "a" / "b").iterdir()) == set(paths)
    again = export(chosen, tmp_path / "again", ["npy", "csv", "h"])
    assert {p.name: p.read_bytes() for p in paths} == {p.name: p.read_bytes() for p in again}
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="to write"):
        export(chosen, tmp_path / "file", ["csv"])
