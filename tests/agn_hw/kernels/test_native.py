"""The compiled matrix product against the reference, bit for bit, on every instruction set of this processor."""

import os
import shutil
import subprocess
import sys
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.kernels import library, native, reference
from tests.agn_hw.kernels.operands import TABLES, instruction_sets, operands, random_bytes, threads, using
from tests.agn_hw.tables import random_table8

KERNELS = (native.ROW_ADD, native.COLUMNS)
COLUMNS = (1, 15, 16, 17, 31, 33, 48, 64, 65, 130)
ROWS = (1, 2, 5, 13, 63, 64, 65, 193, 255, 256, 257)
DEPTHS = (1, 27, 130, 257, 300, 4608)


@cache
def case(rows: int, depth: int, columns: int, table: str) -> tuple[torch.Tensor, ...]:
    """Operands, table and the reference's sums, which every instruction set shares."""
    x, w = operands(rows, depth, columns, seed=rows + depth)
    return x, w, TABLES[table], reference.lut_matmul(x, w, TABLES[table])


def product(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, kernel: int, slopes: bool = True) -> torch.Tensor:
    split = native.split(lut, slopes)
    return native.matmul(split, native.pack(split, w), len(w), x, kernel=kernel)


def check(x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, expected: torch.Tensor | None = None) -> None:
    """Both kernels, with and without slopes, give the reference's sums modulo 2^32."""
    expected = reference.lut_matmul(x, w, lut) if expected is None else expected
    for kernel in KERNELS:
        for slopes in (False, True):
            y = product(x, w, lut, kernel, slopes)
            assert y.dtype == torch.int32 and torch.equal(y, expected), (kernel, slopes)


@pytest.mark.parametrize("depth", DEPTHS)
def test_shapes(isa, depth):
    """Every number of columns, with the numbers of rows dealt out to them, differently for each depth."""
    first = DEPTHS.index(depth) * 3
    for i, columns in enumerate(COLUMNS):
        rows = ROWS[(first + i) % len(ROWS)]
        for table in ("17 bits", "product and a byte") if depth < 1000 else ("17 bits",):
            check(*case(rows, depth, columns, table))


@pytest.mark.parametrize("columns", [1, 40, 64, 65])
@pytest.mark.parametrize("rows", [62, 63, 64, 65, 66, 128, 129, 192, 193, 255, 256, 257])
def test_rows_around_a_panel(isa, rows, columns):
    check(*case(rows, 9, columns, "17 bits"))


def test_more_rows_than_one_task(isa):
    check(*case(8200, 6, 17, "product and two bytes"))


@pytest.mark.parametrize("rows, depth, columns", [(0, 9, 4), (0, 300, 65)])
def test_no_rows(isa, rows, depth, columns):
    check(*case(rows, depth, columns, "17 bits"))


@pytest.mark.parametrize("name", TABLES)
def test_tables(isa, name):
    """All kinds, in one product alone and in sums long enough for several blocks of k; modulo 2^32."""
    for shape in ((9, 1, 17), (66, 2, 33), (70, 330, 40)):
        check(*case(*shape, name))


def test_every_pair_of_codes(isa):
    codes = torch.arange(256, dtype=torch.uint8)[:, None]
    for lut in TABLES.values():
        check(codes, codes, lut, lut)


@pytest.mark.parametrize("largest", [2**31 - 1, 2**30 - 1])
def test_sums_at_the_ends_of_int32(isa, largest):
    depth = (2**31 - 1) // largest
    x, w = operands(70, depth, 35)
    for sign in (-1, 1):
        lut = torch.full((256, 256), sign * largest, dtype=torch.int32)
        lut[:, 0] = -sign * largest
        check(x, w, lut)
        assert reference.lut_matmul(x, w, lut).abs().max() == depth * largest


@pytest.mark.parametrize("extreme", [0, 255])
def test_largest_residuals(isa, extreme):
    """Every byte added is 255 (or 0), in stretches of k longer than 16-bit sums may be."""
    lut = TABLES["zero"].clone()
    lut[1:] = 2**24 - 1 if extreme else 1
    x, w = torch.full((130, 700), extreme, dtype=torch.uint8), random_bytes(66, 700)
    check(x, w, lut)


def test_stretches_of_k_that_need_fewer_bytes(isa):
    """Weights in order: the first columns of x need no residual byte, the last four."""
    lut = TABLES["uneven"]
    x, w = operands(130, 512, 70)
    w = (torch.arange(512) // 64 * 32 + w.long() % 32).to(torch.uint8)
    check(x, w, lut)
    check(x, w.flip(1), lut)
    check(x, w.roll(40, 1), lut)
    check(x[:, :64], w[:, :64], lut)  # none at all, though the table's split has four


@pytest.mark.parametrize("most", [127, 128])
def test_small_activations(isa, most):
    """Below 128 a table row has half the entries to choose from."""
    x, w = operands(200, 70, 20)
    x = x.clamp(max=most)
    check(x, w, TABLES["17 bits"])
    check(x, w, TABLES["signed by signed"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_do_not_matter(isa, count):
    with threads(count):
        check(*case(700, 70, 130, "product and a byte"))
        check(*case(5, 40, 300, "17 bits"))


def test_strided_operands_and_table(isa):
    x, w = operands(140, 60, 26)
    lut = random_table8(3)
    check(x[::2, ::3], w[::2, ::3], lut)
    check(x.t().contiguous().t(), w.t().contiguous().t(), lut.t())
    check(x[1::2, 5:47], w[:, 5:47], torch.cat([lut, lut], 1)[:, ::2])
    check(x[:1].expand(70, -1), w[:1].expand(7, -1), lut)


def test_weights_packed_once_serve_any_instruction_set(isa):
    x, w, lut, expected = case(70, 130, 65, "product and a byte")
    split = native.split(lut)
    packed = native.pack(split, w)
    for other in instruction_sets():
        with using(other):
            for kernel in KERNELS:
                assert torch.equal(native.matmul(split, packed, 65, x, kernel=kernel), expected)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.one_of(st.integers(0, 6), st.integers(60, 70), st.integers(250, 262)),
    depth=st.one_of(st.integers(1, 70), st.integers(250, 260)),
    columns=st.one_of(st.integers(1, 20), st.integers(30, 70)),
    bits=st.integers(0, 31),
    slope=st.integers(-400, 400),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_product(rows, depth, columns, bits, slope, seed):
    x, w = operands(rows, depth, columns, seed)
    lut = random_table8(seed, (2**bits - 1) // depth)
    lut += (slope * torch.arange(256, dtype=torch.int32) // depth)[:, None]  # int32 wraps, as sums do
    expected = reference.lut_matmul(x, w, lut)
    for name in instruction_sets():
        with using(name):
            check(x, w, lut, expected)


# --- fingerprints


@pytest.mark.skipif(not native.available(), reason="no compiled kernels here")
@pytest.mark.parametrize("size", [1, 7, 8, 63, 64, 65, 200])
def test_fingerprints_of_memory(size):
    """Every bit counts, and the order, and the length; how a tensor lies in memory does not."""
    memory = random_bytes(size)
    first = native.fingerprint(memory)
    assert native.fingerprint(memory.clone()) == first and 0 <= first < 2**64
    changed = memory ^ (1 << torch.arange(8).to(torch.uint8))[:, None, None] * torch.eye(size, dtype=torch.uint8)
    longer, empty = torch.cat([memory, memory[:1] * 0]), memory[:0]
    found = [native.fingerprint(other) for other in (*changed.reshape(-1, size), longer, empty)]
    assert len({first, *found}) == 8 * size + 3
    if size > 8:
        assert native.fingerprint(memory.roll(8)) != first != native.fingerprint(memory.flip(0))
    assert native.fingerprint(torch.stack([memory, memory], 1)[:, 0]) == first


# --- which library, which instruction set


def test_an_instruction_set_is_one_of_ours(isa):
    assert native.isa() == isa
    with pytest.raises(ValueError, match=r"wanted one of avx512, avx2, baseline .* got 'mmx'"):
        native.use_isa("mmx")
    assert native.isa() == isa


def test_environment_names_the_instruction_set(isa, monkeypatch):
    load = library.find.__wrapped__
    monkeypatch.setenv("AGN_HW_ISA", "baseline")
    load()
    assert native.isa() == "baseline"
    monkeypatch.setenv("AGN_HW_ISA", isa)
    load()
    assert native.isa() == isa
    monkeypatch.setenv("AGN_HW_ISA", "sse9")
    with pytest.raises(ValueError, match=r"AGN_HW_ISA must be one of avx512, avx2, baseline .* got 'sse9'"):
        load()


@pytest.mark.skipif(not native.available(), reason="no compiled kernels here")
def test_environment_of_another_process():
    program = "from agn_hw.kernels import native; print(native.isa())"
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"AGN_HW_ISA": "baseline"}, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "baseline"


def test_a_library_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("AGN_HW_LIBRARY", str(tmp_path / "lost.so"))
    with pytest.raises(FileNotFoundError, match=r"AGN_HW_LIBRARY names .*lost\.so"):
        library.find.__wrapped__()


def test_a_library_of_another_version(monkeypatch, tmp_path):
    """An old build left beside new sources: it lacks a function."""
    source = tmp_path / "old.c"
    source.write_text("int agn_isa(void) { return 0; }")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(tmp_path / "old.so"), str(source)], check=True)
    monkeypatch.setenv("AGN_HW_LIBRARY", str(tmp_path / "old.so"))
    with pytest.raises(RuntimeError, match=r"old\.so is of another version .*install the package again"):
        library.find.__wrapped__()
