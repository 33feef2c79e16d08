"""Exact low-rank forms: each must rebuild its table to the last unit, and be as short as the structure allows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agn_hw import mapping
from agn_hw.kernels import decompose, lattice
from agn_hw.kernels.decompose import Terms, int8_terms, integer_factors, moebius
from agn_hw.mapping import WEIGHTS
from tests.agn_hw.tables import exact_lut, exact_table8, multiplier, patterns, random_lut, random_table8, truncated_lut

CODES = np.arange(256)
SEEDS = st.integers(0, 2**32 - 1)


def by_sign_and_magnitude(lut: np.ndarray) -> np.ndarray:
    """The folded table of an unsigned multiplier that sees |w|, int32 [256, 256]."""
    return (lut[:, np.abs(WEIGHTS)] * np.sign(WEIGHTS)).astype(np.int32)


def broken_array(dropped: int, rows: int = 0) -> np.ndarray:
    """An array multiplier without the partial products of the lowest columns and rows, int64 [256, 256]."""
    bits = CODES[:, None] >> np.arange(8) & 1
    kept = [(i, j) for i in range(8) for j in range(rows, 8) if i + j >= dropped]
    return sum(np.outer(bits[:, i], bits[:, j]) << (i + j) for i, j in kept)


def small_product(seed: int, rank: int, largest: int) -> np.ndarray:
    """A product of two small integer matrices, int64 [256, 256], with repeated rows and columns."""
    generator = np.random.default_rng(seed)
    left = generator.integers(-largest, largest + 1, (256, rank))[generator.integers(0, 256, 256)]
    return left @ generator.integers(-largest, largest + 1, (rank, 256))[:, generator.integers(0, 256, 256)]


def check_factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = integer_factors(matrix)
    assert found is not None
    left, right = found
    assert left.dtype == right.dtype == np.int64 and left.shape[1] == len(right)
    exact = left.astype(object) @ right.astype(object)
    assert np.array_equal(exact, matrix)
    if np.abs(matrix).max() < 2**20:
        assert len(right) == np.linalg.matrix_rank(matrix.astype(float))
    return left, right


def check_terms(table: np.ndarray, count: int | None = None) -> Terms:
    """The terms of a table, after checking their form and rebuilding the table with plain sums."""
    terms = int8_terms(table)
    assert terms is not None
    kinds = (terms.scale.dtype, terms.expand.dtype, terms.factor.dtype, terms.constants.dtype)
    assert kinds == (np.int32, np.uint8, np.int8, np.int32)
    assert terms.expand.shape == terms.factor.shape == (len(terms), 256) and terms.constants.shape == (256,)
    scales = terms.scale.tolist()
    assert scales == sorted(scales, reverse=True) and set(scales) <= {1, 256}
    rebuilt = np.broadcast_to(terms.constants.astype(object), (256, 256)).copy()
    for scale, expand, factor in zip(scales, terms.expand, terms.factor, strict=True):
        rebuilt += scale * np.outer(expand.astype(object), factor.astype(object))
    assert np.array_equal((rebuilt - table) % 2**32, np.zeros((256, 256)))
    assert terms.table().dtype == np.int64 and np.array_equal(terms.table(), table)
    assert count is None or len(terms) == count
    return terms


# --- Moebius transform


def rebuilt_from(masks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.outer(CODES, np.zeros(rows.shape[1], np.int64)) + sum(
        np.outer((CODES & mask) == mask, row) for mask, row in zip(masks, rows, strict=True)
    )


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, bits=st.integers(0, 31), columns=st.integers(1, 256))
def test_moebius_gives_any_matrix_back(seed, bits, columns):
    matrix = random_lut(seed, 2**bits - 1, (256, columns))
    masks, rows = moebius(matrix)
    assert masks.dtype == np.uint8 and rows.dtype == np.int64 and rows.any(axis=1).all()
    assert np.array_equal(rebuilt_from(masks, rows), matrix)
    masks, rows = moebius(np.tile(matrix, (1, 256))[:, :256].T)  # over the other operand, as a view
    assert np.array_equal(rebuilt_from(masks, rows), np.tile(matrix, (1, 256))[:, :256].T)


def test_moebius_of_a_product_has_one_row_a_bit():
    masks, rows = moebius(exact_table8().numpy())
    assert masks.tolist() == [1 << bit for bit in range(8)]
    assert np.array_equal(rows, [WEIGHTS << bit for bit in range(8)])
    assert moebius(np.zeros((256, 256), np.int32))[1].shape == (0, 256)


def test_moebius_of_one_conjunction():
    masks, rows = moebius(np.outer((CODES & 0b10100010) == 0b10100010, WEIGHTS))
    assert masks.tolist() == [0b10100010] and np.array_equal(rows[0], WEIGHTS)


# --- integer factors


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rank=st.integers(0, 6), largest=st.sampled_from([1, 3, 50, 10000]))
def test_factors_give_products_back(seed, rank, largest):
    matrix = small_product(seed, rank, largest)
    left, right = check_factors(matrix)
    assert max(np.abs(left).max(initial=0), np.abs(right).max(initial=0)) <= max(4 * largest * rank, 1)


EXTREMES = st.sampled_from([-(2**31), 2**31 - 1, 2**31 - 2, 0, 1, 3037000493 - 2**31])


@settings(max_examples=20, deadline=None)
@given(entries=st.tuples(EXTREMES, EXTREMES, EXTREMES, EXTREMES), seed=SEEDS)
def test_factors_at_the_ends_of_int32(entries, seed):
    choice = np.random.default_rng(seed).integers(0, 2, (2, 256))
    matrix = np.array(entries).reshape(2, 2)[np.ix_(*choice)]
    _, right = check_factors(matrix)
    assert len(right) <= 2
    _, right = check_factors(np.full((256, 256), entries[0]))
    assert len(right) == (entries[0] != 0)


def test_factors_of_zero_and_of_other_shapes():
    assert [side.shape for side in check_factors(np.zeros((256, 256), np.int32))] == [(256, 0), (0, 256)]
    left, right = check_factors(np.array([[6, 10, 0], [9, 15, 0]]))
    assert np.abs(left).max() == 3 and np.abs(right).max() == 5


def test_rank_above_the_limit():
    matrix = small_product(0, 5, 9)
    assert integer_factors(matrix, most=4) is None
    assert integer_factors(random_lut(0)) is None
    assert integer_factors(matrix, most=5)[1].shape == (5, 256)


def test_rank_thirty():
    generator = np.random.default_rng(0)
    matrix = generator.integers(-3, 4, (256, 30)) @ generator.integers(-3, 4, (30, 256))
    left, right = check_factors(matrix)
    assert np.abs(left).max() == np.abs(right).max() == 3  # as small as those it was made from


def test_rank_hidden_by_a_prime_is_found_with_another():
    prime = lattice._PRIMES[0]
    matrix = np.array([[prime // 2, 1], [-1, 2]])  # its determinant is the prime
    assert lattice._independent(matrix, 5, prime) == ([0], [0])
    _, right = check_factors(matrix)
    assert len(right) == 2


def test_right_factor_generates_the_rows():
    """Rows that no two of them generate: their lattice is all points with an even sum."""
    matrix = np.array([[2, 0], [6, 0], [0, 2], [5, 7]])
    left, right = lattice.factors(matrix, 2)
    assert np.array_equal(left @ right, matrix)
    assert round(abs(np.linalg.det(right))) == 2 and np.abs(right).max() == 1


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, rank=st.integers(1, 7))
def test_reduced_bases(seed, rank):
    basis = np.random.default_rng(seed).integers(-1000, 1001, (rank, rank + 2))
    reduced = lattice._reduce(basis.astype(object)).astype(float)
    volume = np.linalg.slogdet(basis.astype(float) @ basis.T)[1]
    assert np.isclose(np.linalg.slogdet(reduced @ reduced.T)[1], volume)
    triangle = np.linalg.qr(reduced.T)[1]
    lengths = np.diag(triangle) ** 2
    along = np.triu(triangle, 1) / np.diag(triangle)[:, None]
    assert np.abs(along).max() <= 0.5 + 1e-9
    previous = np.diag(along, 1) ** 2
    assert (lengths[1:] >= (0.75 - previous - 1e-9) * lengths[:-1]).all()


def test_balance_undoes_a_skewed_exchange():
    generator = np.random.default_rng(5)
    left, right = generator.integers(-9, 10, (256, 4)), generator.integers(-9, 10, (4, 256))
    skew = np.array([[1, 40, 7, 0], [0, 1, -30, 5], [0, 0, 1, 90], [0, 0, 0, 1]])
    back = np.rint(np.linalg.inv(skew)).astype(int)
    balanced = lattice.balance(left @ back, skew @ right)
    assert np.array_equal(balanced[0] @ balanced[1], left @ right)
    assert all(np.abs(side).max() <= 9 for side in balanced)


# --- products of bytes


def test_exact_product_is_one_term():
    terms = check_terms(exact_table8().numpy(), 1)
    assert terms.largest_sum() == 255 * 128
    assert len(int8_terms(exact_table8().numpy(), most=1)) == 1
    assert int8_terms(exact_table8().numpy(), most=0) is None


@pytest.mark.parametrize("dropped", [1, 3, 6])
def test_dropped_bits_are_one_term(dropped):
    check_terms(by_sign_and_magnitude(truncated_lut(dropped)), 1)
    check_terms(by_sign_and_magnitude(truncated_lut(dropped).T), 1)
    check_terms(np.outer(CODES, WEIGHTS >> dropped << dropped), 1)


@pytest.mark.parametrize("table, count, scaled", [
    (np.zeros((256, 256)), 0, 0),
    (np.tile(random_lut(0, 2**31 - 1)[0], (256, 1)), 0, 0),  # constants only
    (np.outer(patterns(8, True), patterns(8, True)), 1, 0),  # negative expand column
    (np.outer(CODES - 1000, WEIGHTS) + np.arange(256) * 7, 1, 0),
    (np.outer(CODES, 2 * WEIGHTS), 2, 0),
    (np.outer(CODES, 256 * WEIGHTS), 1, 1),
    (np.outer(CODES, 77 * WEIGHTS), 2, 1),
    (np.outer(CODES * 256, CODES >> 1), 1, 1),
    (np.outer(CODES * CODES, WEIGHTS), 2, 1),
    (np.outer(CODES * CODES, 15 - (CODES & 15)), 2, 1),
    (np.outer(CODES * CODES, CODES), 4, 2),
    (np.outer(CODES, WEIGHTS) + np.outer(CODES & 7, WEIGHTS & 3) - np.outer(CODES == 9, WEIGHTS == 5), 3, 0),
])
def test_made_up_tables(table, count, scaled):
    terms = check_terms(table.astype(np.int32), count)
    assert (terms.scale == 256).sum() == scaled


@pytest.mark.parametrize("dropped", range(1, 9))
def test_broken_arrays(dropped):
    """The product less a term for each bit of x that loses some partial products; from 8 on, bits lose all."""
    check_terms(by_sign_and_magnitude(broken_array(dropped)), min(dropped + 1, 15 - dropped))


@pytest.mark.parametrize("dropped, rows, count", [(0, 0, 2), (3, 0, 4), (4, 0, 5), (6, 0, 6), (7, 0, 7), (6, 2, 5)])
def test_broken_arrays_by_the_default_mapping(dropped, rows, count):
    """The port sees 2 |w|, too wide for a byte: one more term, unless the factors are exchanged well."""
    array = multiplier(broken_array(dropped, rows))
    table = mapping.default(array).table8(array.lut)
    check_terms(table, count)
    assert int8_terms(table, most=count - 1) is None


def test_slope_and_error():
    """A slope that is not an integer: floor(0.7 w) and an error of rank 2."""
    slope = np.floor(0.7 * WEIGHTS).astype(int)
    error = np.outer(CODES % 5 == 0, WEIGHTS % 3) + np.outer(CODES % 16, WEIGHTS > 99)
    check_terms(np.outer(CODES, slope) + error, 3)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rank=st.integers(0, 6), largest=st.sampled_from([1, 5, 60]), constant=st.sampled_from([0, 1, -1]))
def test_small_products_rebuild(seed, rank, largest, constant):
    product = small_product(seed, rank, largest)
    constants = constant * (2**31 - 1 - np.abs(product).max(axis=0))  # up to the ends of int32
    table = product + constants
    terms = check_terms(table.astype(np.int32))
    fewest = np.linalg.matrix_rank((table - table[0]).astype(float))
    assert fewest <= len(terms) <= rank
    if fewest:
        assert int8_terms(table, most=fewest - 1) is None


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, rank=st.integers(1, 3), largest=st.sampled_from([300, 20000]))
def test_wide_products_rebuild_or_are_refused(seed, rank, largest):
    table = small_product(seed, rank, largest)
    if int8_terms(table) is not None:
        check_terms(table)
    else:
        assert largest == 20000 or rank > 1


def test_no_form():
    assert int8_terms(random_table8(0).numpy()) is None
    assert int8_terms(np.outer(CODES > 0, [-(2**31)] * 256)) is None
    assert int8_terms(np.outer(CODES * CODES, CODES * CODES >> 1)) is None  # would need a scale of 2^16


def test_a_wrong_form_is_not_handed_out(monkeypatch):
    split = decompose._split
    monkeypatch.setattr(decompose, "_split", lambda e, f: [(s, a, b ^ (b == 3)) for s, a, b in split(e, f)])
    with pytest.raises(RuntimeError, match="do not give the table back"):
        int8_terms(exact_table8().numpy())
    monkeypatch.setattr(lattice, "balance", lambda left, right: (left * 0, right * 0))
    with pytest.raises(RuntimeError, match="do not give the matrix back"):
        integer_factors(exact_table8().numpy())


@pytest.mark.slow
def test_published_signed_multipliers(evoapprox):
    tables = {name: table for name, table in np.load(evoapprox / "tables.npz").items() if name.startswith("mul8s")}
    assert len(tables) == 13
    for table in tables.values():
        error = table - exact_lut(signed=True)
        found = integer_factors(error, most=4)
        assert found is not None and np.array_equal(found[0] @ found[1], error)
        signed = multiplier(table, signed=True)
        check_terms(table)
        assert len(check_terms(mapping.default(signed).table8(signed.lut))) <= 5
