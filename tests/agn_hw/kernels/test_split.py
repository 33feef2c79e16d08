"""How the compiled kernels take a table apart: read as the C structure of csrc/agn_kernels.h and put together again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw.kernels import native, reference
from agn_hw.kernels.decompose import Terms, int8_terms
from tests.agn_hw.kernels.operands import CODES, TABLES, as_table, operands
from tests.agn_hw.tables import random_table8

pytestmark = pytest.mark.skipif(not native.available(), reason="no compiled kernels here")

MOST_TERMS, MOST_PLANES = 16, 4
SPLIT = np.dtype([
    ("terms", "i4"), ("scaled", "i4"), ("planes", "i4"), ("shift", "i4"),
    ("expand", "u1", (MOST_TERMS, 256)), ("factor", "i1", (MOST_TERMS, 256)),
    ("constants", "i4", 256), ("planes_of_weight", "u1", 256),
    ("by_activation", "u1", (MOST_PLANES, 256, 256)), ("by_weight", "u1", (MOST_PLANES, 256, 256)),
    ("residual", "u4", (256, 256)),
])
# Residual bytes with slopes (at most) and without.
PLANES = {
    "exact": (0, 2), "signed by signed": (0, 2), "unsigned by unsigned": (1, 2), "three times the product": (0, 3),
    "product and a byte": (1, 2), "signed product and a byte": (1, 2), "product and two bytes": (2, 3),
    "17 bits": (3, 3), "a byte": (1, 1), "two bytes": (2, 2), "three bytes": (3, 3), "four bytes": (4, 4),
    "uneven": (4, 4),
    "zero": (0, 0), "constant": (0, 0), "constants": (0, 0), "all smallest": (0, 0), "all largest": (0, 0),
    "limits of int32": (4, 4), "limits of the search for slopes": (3, 3), "one entry apart": (1, 1),
}


def read(split: torch.Tensor) -> np.void:
    return split.numpy().view(SPLIT)[0]


def terms_of(split: np.void) -> np.ndarray:
    """The int8 products of a split, int64 [256, 256]."""
    total = np.zeros((256, 256), np.int64)
    for t in range(split["terms"]):
        scale = 256 if t < split["scaled"] else 1
        total += scale * np.outer(split["expand"][t].astype(np.int64), split["factor"][t])
    return total << int(split["shift"])


def check(lut: torch.Tensor, blob: torch.Tensor) -> np.void:
    """The split gives its table back, modulo 2^32, and says the same in all its layouts."""
    split = read(blob)
    terms, planes = int(split["terms"]), int(split["planes"])
    assert 0 <= split["scaled"] <= terms <= MOST_TERMS and 0 <= planes <= MOST_PLANES
    assert native.form(blob) == (terms, planes)
    residual = split["residual"].T.astype(np.int64)  # [x, w]
    rebuilt = terms_of(split) + split["constants"] + residual
    assert np.array_equal((rebuilt - lut.numpy()) % 2**32, np.zeros((256, 256)))
    needed = np.array([(int(largest).bit_length() + 7) // 8 for largest in residual.max(0)])
    assert np.array_equal(split["planes_of_weight"], needed) and planes == needed.max()
    for p in range(planes):
        assert np.array_equal(split["by_weight"][p], residual.T >> 8 * p & 255)
        assert np.array_equal(split["by_activation"][p], residual >> 8 * p & 255)
    assert (residual.min(0) == 0).all()  # nothing left for the constants to take
    return split


def test_layout_is_the_headers():
    assert native.split(TABLES["zero"]).numel() == SPLIT.itemsize


@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_tables(name, slopes):
    split = check(TABLES[name], native.split(TABLES[name], slopes))
    most, without = PLANES[name]
    if slopes:
        assert split["planes"] <= most
    else:
        assert split["planes"] == without and split["terms"] == 0


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(0, 31),
    left=st.integers(-2000, 2000),
    right=st.integers(-900, 900),
    slopes=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_table(bits, left, right, slopes, seed):
    slope = np.random.default_rng(seed).integers(min(left, right), max(left, right) + 1, 256)
    product = torch.from_numpy(np.outer(CODES, slope).astype(np.int32))
    lut = random_table8(seed, 2**bits - 1) + product  # int32 wraps
    check(lut, native.split(lut, slopes))


@pytest.mark.parametrize("least, most, terms", [(-128, 127, 1), (-256, 254, 2), (-384, 381, 3)])
@pytest.mark.parametrize("first", [0, -128])
def test_slopes_within_reach_leave_nothing(first, least, most, terms):
    """Straight lines in the activation, taken as a number from 0 or as a signed byte."""
    slope = np.random.default_rng(0).integers(least, most + 1, 256)
    slope[:2] = least, most
    lut = as_table(np.outer(np.where(first + 256 > CODES, CODES, CODES - 256), slope) - 5000)
    split = check(lut, native.split(lut))
    if native.isa() == "avx512":  # elsewhere an int8 product costs more than a residual byte
        assert split["terms"] <= terms and split["planes"] == 0


def test_slopes_are_used_only_where_they_save_bytes():
    for name, lut in TABLES.items():
        found, plain = (read(native.split(lut, slopes)) for slopes in (True, False))
        bytes_read = [256 * int(split["planes"]) + split["planes_of_weight"].sum() for split in (found, plain)]
        assert found["terms"] == 0 or bytes_read[0] < bytes_read[1], name


def test_a_strided_table():
    for lut in (random_table8(2).t(), torch.cat([random_table8(2)] * 2, 1)[:, ::2]):
        check(lut, native.split(lut))


def check_product(lut: torch.Tensor, blob: torch.Tensor) -> None:
    for shape in ((70, 130, 65), (5, 7, 3), (3, 300, 33)):
        x, w = operands(*shape)
        for kernel in (native.ROW_ADD, native.COLUMNS):
            y = native.matmul(blob, native.pack(blob, w), len(w), x, kernel=kernel)
            assert torch.equal(y, reference.lut_matmul(x, w, lut))


@pytest.mark.parametrize("shift", [0, 1, 3, 9])
@pytest.mark.parametrize("table", [
    np.outer(CODES * CODES, CODES),
    np.outer(CODES, 77 * CODES) + np.outer(CODES & 7, CODES) * 256,
    np.outer(CODES >> 3, CODES) + np.outer(CODES == 9, 1000 * (CODES & 31)),
])
def test_given_terms(isa, table, shift):
    """Products of any bytes, some of them scaled by 256, all shifted; sums modulo 2^32."""
    terms = int8_terms(table)
    assert terms is not None and len(terms) > 1
    noise = np.random.default_rng(1).integers(-90, 90, (256, 256))
    for planes, rest in ((0, 0), (1, noise)):
        lut = as_table((table << shift) + rest)
        blob = native.split_terms(lut, terms, shift)
        split = check(lut, blob)
        assert (split["terms"], split["scaled"], split["shift"]) == (len(terms), (terms.scale == 256).sum(), shift)
        assert split["planes"] == planes
        check_product(lut, blob)
    assert torch.equal(native.split_terms(lut.t().contiguous().t(), terms, shift), blob)  # a strided table


def test_as_many_terms_as_there_may_be(isa):
    """Some see the activations as they are, some alike, some alike but for one of them."""
    generator = np.random.default_rng(2)
    expand = generator.integers(0, 256, (MOST_TERMS, 256)).astype(np.uint8)
    expand[1], expand[3], expand[4], expand[9] = CODES, expand[2], expand[2], CODES
    expand[4, 255] ^= 1
    expand[9, 254] ^= 1
    scale = np.where(np.arange(MOST_TERMS) < 6, 256, 1).astype(np.int32)
    factor = generator.integers(-128, 128, (MOST_TERMS, 256)).astype(np.int8)
    terms = Terms(scale, expand, factor, generator.integers(-(2**20), 2**20, 256).astype(np.int32))
    for shift in (0, 4):
        lut = as_table((terms.table() << shift) + generator.integers(0, 256, (256, 256)))
        blob = native.split_terms(lut, terms, shift)
        split = check(lut, blob)
        assert (split["terms"], split["scaled"], split["planes"]) == (MOST_TERMS, 6, 1)
        check_product(lut, blob)
