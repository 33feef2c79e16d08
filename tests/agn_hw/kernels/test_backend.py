"""Which kernels serve: the compiled ones or, where they are missing, pure torch; and which of the compiled ones."""

import csv
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.kernels import backend, choice, library, native, op, prepare, reference
from agn_hw.kernels.autograd import add_codes, conv2d, linear, requantize
from agn_hw.kernels.choice import Shape
from agn_hw.mapping import WEIGHTS
from tests.agn_hw.kernels.operands import CODES, TABLES, as_table, codes, finish, operands, random_bytes

PLAIN = ([1, 1], [0, 0], [1, 1], 1)
GEOMETRY = ([2, 1], [1, 2], [1, 2], 2)
PAIRS = [(terms, planes) for terms in range(4) for planes in range(5)]
SIZES = st.integers(1, 10_000)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where the package was installed without a C++ compiler: no library beside library.py."""
    monkeypatch.delenv("AGN_HW_LIBRARY", raising=False)
    monkeypatch.setattr(library, "_FILE", "not_built.so")
    monkeypatch.setattr(library, "find", library.find.__wrapped__)
    backend.compiled.cache_clear()
    yield
    backend.compiled.cache_clear()


def everything() -> list[torch.Tensor]:
    """What all operators make of some operands."""
    x, w = operands(70, 30, 6)
    images, kernels = random_bytes(2, 4, 6, 5), random_bytes(6, 2, 3, 2, seed=1)
    lut, constants = TABLES["product and a byte"], finish(6, -128, 127, largest_bias=4000)
    geometry = op.geometry_of(*GEOMETRY)
    sums, planes = op.lut_matmul(x, w, lut), op.lut_conv2d(images, kernels, lut, *GEOMETRY)
    gain, factors = torch.tensor(1.0).double(), torch.tensor([0.75, 0.5]).double()
    float_x, float_w = codes(9, 30, low=0, high=255), codes(6, 30, low=-127, high=127)
    y = linear(float_x, float_w, lut, backend.split_table(lut), gain, [], *constants)
    y_images = conv2d(images.float(), float_w.reshape(6, 30, 1, 1)[:, :2], lut, [], gain, [], *constants, *GEOMETRY)
    return [
        sums, op.lut_matmul_prepared(x, prepare(w, lut)),
        planes, op.lut_conv2d_prepared(images, prepare(kernels, lut, geometry), *GEOMETRY),
        y, *torch.autograd.grad(y.sum(), (float_x, float_w)), y_images,
        requantize(sums, *constants), requantize(planes.double(), *constants), add_codes(y, y, factors, -128, 127),
    ]


def test_without_the_library_everything_works_alike(request):
    expected = everything() if native.available() else []
    request.getfixturevalue("no_library")
    with pytest.warns(RuntimeWarning) as caught:
        found = everything()
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "no compiled kernels" in message and "Install the package again with a C++ compiler" in message
    assert not native.available() and not backend.compiled()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=bool(expected)))


def test_without_the_library_the_warning_comes_once(no_library):
    with pytest.warns(RuntimeWarning, match="no compiled kernels"):
        assert not backend.compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        everything()
    lut = TABLES["exact"]
    assert len(prepare(random_bytes(3, 4), lut)) == 2  # the weights and the table alone
    assert backend.split_table(lut) == backend.best_split(lut, 64) == []


def test_without_the_library_the_compiled_kernels_say_so(no_library):
    for call in (native.isa, lambda: native.use_isa("avx2"), lambda: native.split(TABLES["exact"])):
        with pytest.raises(RuntimeError, match="compiled kernels are missing: install the package again"):
            call()


def test_no_memory_is_an_error(isa, monkeypatch):
    x, w = operands(3, 4, 5)
    images, kernels = random_bytes(1, 2, 3, 3), random_bytes(3, 2, 2, 2)
    matrices, prepared = prepare(w, TABLES["17 bits"]), prepare(kernels, TABLES["17 bits"], op.geometry_of(*PLAIN))
    loaded = library.load()
    monkeypatch.setattr(loaded, "agn_matmul", lambda *arguments: -1)
    monkeypatch.setattr(loaded, "agn_conv2d", lambda *arguments: -1)
    with pytest.raises(MemoryError, match=r"product of \(3, 4\) by 5 columns"):
        op.lut_matmul_prepared(x, matrices)
    with pytest.raises(MemoryError, match=r"convolution of \(1, 2, 3, 3\) by \(3, 2, 2, 2\)"):
        op.lut_conv2d_prepared(images, prepared, *PLAIN)


def test_few_columns_take_no_slopes(isa):
    """Depthwise convolutions: an int8 product costs more than the bytes it saves."""
    lut, fewest = TABLES["exact"], choice.FEWEST_COLUMNS_FOR_SLOPES
    for groups, expected in ((8, 0), (8 // fewest, 1), (1, 1)):
        prepared = prepare(random_bytes(8, 8 // groups, 3, 3), lut, op.geometry_of([1, 1], [1, 1], [1, 1], groups))
        assert native.form(prepared[2])[0] == expected


@pytest.mark.parametrize("name", TABLES)
def test_best_split(isa, name):
    """Exact whatever form it finds, and not slower than the split that takes no search."""
    lut = TABLES[name]
    x, w = operands(70, 40, 65)
    best, plain = backend.best_split(lut, 65), backend.split_table(lut)
    shape = Shape(70, 65, 40)
    times = [
        choice.time_of(shape, choice.kernel(shape, *native.form(split), isa), *native.form(split), isa)
        for (split,) in (best, plain)
    ]
    assert times[0] <= times[1]
    for kernel in (native.ROW_ADD, native.COLUMNS):
        y = native.matmul(best[0], native.pack(best[0], w), 65, x, kernel=kernel)
        assert torch.equal(y, reference.lut_matmul(x, w, lut))


def test_best_split_of_low_rank_tables(isa):
    """Two products of bytes, times 8: the search finds both, where monomials of the activation's bits are many."""
    lut = as_table(8 * (np.outer(CODES, WEIGHTS) - np.outer(CODES * CODES // 257, CODES & 7)) + 5 * CODES)
    found, soon = (native.form(split[0]) for split in (backend.best_split(lut, 64), backend.split_table(lut)))
    assert choice.time_of(Shape(4096, 64, 9), native.ROW_ADD, *found, isa) <= choice.time_of(
        Shape(4096, 64, 9), native.ROW_ADD, *soon, isa
    )
    assert isa != "avx512" or (found == (2, 0) and soon[1] > 0)


# --- the choice by expected time


@given(columns=st.integers(0, 2000))
def test_blocks_cover_the_columns(columns):
    widths = [choice.WIDTHS[i] for i in choice.blocks(columns)]
    assert sum(widths[:-1]) < columns <= sum(widths) if columns else widths == []
    assert all(width == choice.WIDTHS[0] for width in widths[:-1])
    last = columns - sum(widths[:-1])
    assert not widths or widths[-1] == min(width for width in choice.WIDTHS if width >= last)


@pytest.mark.parametrize("name", native.ISAS)
@settings(deadline=None)
@given(rows=SIZES, columns=SIZES, depth=SIZES)
def test_expected_times(name, rows, columns, depth):
    """More work takes longer, and the choice is the shorter time."""
    shape = Shape(rows, columns, depth)
    for kernel in (native.ROW_ADD, native.COLUMNS):
        times = {pair: choice.time_of(shape, kernel, *pair, name) for pair in PAIRS}
        assert times[0, 0] == 0 and all(times[pair] > 0 for pair in PAIRS[1:])
        for fewer, more in pairwise(range(5)):
            assert all(times[terms, fewer] < times[terms, more] for terms in range(4))
        for more_rows, more_columns, more_depth in ((1, 0, 0), (0, 64, 0), (0, 0, 1)):
            larger = Shape(rows + more_rows, columns + more_columns, depth + more_depth)
            assert choice.time_of(larger, kernel, 1, 2, name) > times[1, 2]
    for terms, planes in PAIRS:
        chosen = choice.kernel(shape, terms, planes, name)
        other = native.ROW_ADD + native.COLUMNS - chosen
        assert choice.time_of(shape, chosen, terms, planes, name) <= choice.time_of(shape, other, terms, planes, name)


@pytest.mark.parametrize("name", native.ISAS)
def test_kernels_by_shape(name):
    """Row tables pay for many rows; a single output is better looked up."""
    assert choice.kernel(Shape(1, 1, 100), 0, 2, name) == native.COLUMNS
    assert choice.kernel(Shape(100_000, 64, 100), 0, 2, name) == native.ROW_ADD


@pytest.mark.parametrize("name", native.ISAS)
def test_forms(name):
    """Of forms that differ in one number alone, the smaller one; else the shorter time."""
    for shape in (Shape(1000, 64, 100), Shape(10, 3, 9), Shape(4096, 130, 1)):
        assert choice.form(shape, [(1, 3), (1, 2), (1, 4)], name) == 1
        assert choice.form(shape, [(2, 1), (1, 1), (3, 1)], name) == 1
        forms = [(0, 3), (1, 1), (2, 0)]
        times = [choice.time_of(shape, choice.kernel(shape, *form, name), *form, name) for form in forms]
        assert times[choice.form(shape, forms, name)] == min(times)


def test_rates_are_those_of_the_committed_tuning_run():
    """choice.RATES is a copy, so that the package needs no report: it must not drift from it."""
    tuning = Path(__file__).parents[3] / "reports" / "kernels" / "tuning.csv"
    with tuning.open() as file:
        measured = {
            (row["isa"], row["work"], row["width"]): float(row["picoseconds"]) for row in csv.DictReader(file)
        }
    for isa, rates in choice.RATES.items():
        for work in ("term", "row", "build"):
            assert getattr(rates, work) == tuple(measured[isa, work, str(width)] for width in choice.WIDTHS)
        assert (rates.column, rates.panel) == (measured[isa, "column", ""], measured[isa, "panel", ""])
