"""The weight remap against trying every pattern for every weight."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from agn_hw.codes import SIGNED, UNSIGNED, Codes
from agn_hw.mapping import WEIGHTS, Mapping, affine, default
from agn_hw.search.pairs.operands import Operands
from agn_hw.search.pairs.remap import GAINS, PRESCALES, best_mapping, fit
from lut_gen.catalog import Multiplier
from tests.agn_hw.tables import exact_lut, multiplier, random_lut, truncated_lut


def operands(seed: int = 0, spread: float = 40.0, codes: Codes = UNSIGNED, largest: int = 127) -> Operands:
    """Half of the activations zero, the rest falling, faster below zero; weights bell-shaped."""
    rng = np.random.default_rng(seed)
    x = codes.of_bytes()
    activations = np.exp(-np.where(x < 0, -2 * x, x) / 50) * rng.uniform(0.5, 1.5, 256)
    activations[(x != np.arange(256)) & (x != np.arange(256) - 256)] = 0  # bytes of no code
    activations[0] = activations.sum()
    weights = np.exp(-((WEIGHTS / spread) ** 2)) * rng.uniform(0.5, 1.5, 256)
    weights[np.abs(WEIGHTS) > largest] = 0
    return Operands("Conv2d", 1000, 9, activations / activations.sum(), weights / weights.sum(), codes, largest)


def error(rows: np.ndarray, scale: float, found: Operands) -> np.ndarray:
    """Of table rows (by activation byte): mean squared error against scale * x, less half the squared mean error."""
    wrong = rows - scale * found.codes.of_bytes()
    return wrong**2 @ found.activations - (wrong @ found.activations) ** 2 / 2


def brute_force(mapping: Mapping, made: Multiplier, found: Operands) -> float:
    """The least cost over all gains and all patterns, with a signed weight's own row and scale."""
    signed = bool(made.signed)
    table = made.lut.astype(float) if mapping.activation_port == "a" else made.lut.T.astype(float)
    rows = table[mapping.activation_codes].T  # [pattern, activation byte]
    if mapping.encoding == "affine":
        shifted = mapping.activation_codes.astype(int) - mapping.activation_zero
        patterns = np.arange(len(rows))[:, None]
        exact = mapping.activation_codes.astype(int) * patterns
        rows = rows - exact + shifted * (patterns - mapping.weight_zero)  # the error stays, the product is the shifted
        signed = True
    elif not signed:
        rows = rows * np.where(found.codes.of_bytes() < 0, -1, 1)
    costs = []
    for gain in GAINS * mapping.gain:
        cost = 0.0
        for byte in np.flatnonzero(found.weights):
            sign = -1 if WEIGHTS[byte] < 0 and not signed else 1
            cost += found.weights[byte] * float(error(sign * rows, gain * WEIGHTS[byte], found).min())
        costs.append(cost / gain**2)
    return min(costs)


def cost_of(mapping: Mapping, made: Multiplier, found: Operands) -> float:
    """The cost of a mapping as it stands, from its folded table."""
    table = mapping.table8(made.lut).astype(float)
    errors = [error(table[:, byte], mapping.gain * WEIGHTS[byte], found) for byte in range(256)]
    return float(found.weights @ errors) / mapping.gain**2


SMALL = [
    multiplier(exact_lut(3, 3)),
    multiplier(exact_lut(4, 3, signed=True), signed=True),
    multiplier(random_lut(0, 60, (8, 16))),
    multiplier(random_lut(1, 30, (8, 8)), signed=True),
    multiplier(truncated_lut(3)[:32:2, 1:33] // 4),
]


RANGES = [(UNSIGNED, 127), (SIGNED, 127), (Codes(-40, 215), 127), (Codes(-3, 12), 7)]


@pytest.mark.parametrize("codes, largest", RANGES, ids=["unsigned", "signed", "affine codes", "4 bits"])
@pytest.mark.parametrize("port", ["a", "b"])
@pytest.mark.parametrize("made", SMALL, ids=["exact", "exact signed", "random", "random signed", "truncated"])
def test_patterns_and_gain_are_the_best_of_all(made, port, codes, largest):
    found = operands(codes=codes, largest=largest)
    mapping = default(made, port, 1.5, codes, largest)
    check_fit(mapping, made, found)
    if not made.signed:
        check_fit(affine(made, port, codes, largest), made, found)


def check_fit(mapping: Mapping, made: Multiplier, found: Operands) -> None:
    """The fit against brute force and against its own folded table."""
    result = fit(mapping, made, found)
    assert result.cost == pytest.approx(brute_force(mapping, made, found), rel=1e-9)
    assert result.cost == pytest.approx(cost_of(result.mapping, made, found), rel=1e-9)
    assert np.isclose(GAINS, result.mapping.gain / mapping.gain).any()
    assert result.mapping.remap == "gain" and result.mapping.weight_codes.max() < max(made.lut.shape)
    assert np.array_equal(result.mapping.activation_codes, mapping.activation_codes)


def test_remap_never_costs_more_than_the_plain_mapping():
    for made in (*SMALL, multiplier(truncated_lut(5)), multiplier(truncated_lut(2))):
        mapping = default(made)
        assert fit(mapping, made, operands(1)).cost <= cost_of(mapping, made, operands(1)) * (1 + 1e-9)


@pytest.mark.parametrize("codes, largest", RANGES, ids=["unsigned", "signed", "affine codes", "4 bits"])
def test_exact_multiplier_costs_nothing_and_stays_itself(codes, largest):
    made = multiplier(exact_lut())
    best = best_mapping(made, operands(codes=codes, largest=largest))
    assert best.cost == pytest.approx(0, abs=1e-6)
    assert (best.mapping.codes, best.mapping.largest_weight) == (codes, largest)
    usual = np.abs(WEIGHTS) <= largest
    table = best.mapping.table8(made.lut)[:, usual]
    assert np.array_equal(table, best.mapping.gain * np.outer(codes.of_bytes(), WEIGHTS[usual]))


def test_signed_codes_fill_the_port_where_that_pays():
    """-128 is rare here: all codes doubled, with that one clipped, lose less than all codes as they are."""
    made = multiplier(np.arange(256)[:, None] // 8 * 8 * np.arange(256))  # operand a loses its low bits
    uneven = Codes(-128, 127)
    found = operands(codes=uneven)
    costs = [fit(default(made, "a", scale, uneven), made, found).cost for scale in (1.0, 2.0)]
    assert costs[1] < costs[0]
    best = best_mapping(multiplier(made.lut[:, ::2]), found)  # weights on b
    assert best.mapping.prescale > 1 and best.cost < costs[0]


def test_a_constant_factor_is_undone_by_the_gain():
    made = multiplier(np.outer(np.arange(256), np.arange(256)) * 4 // 5)
    best = best_mapping(made, operands())
    plain = cost_of(default(made), made, operands())
    assert best.cost < plain / 100


def test_best_of_all_orders_and_prescales():
    for made in (SMALL[2], multiplier(truncated_lut(5))):
        found = operands(2)
        every = [fit(default(made, port, scale), made, found) for port in "ab" for scale in PRESCALES]
        best = best_mapping(made, found)
        assert best.cost == pytest.approx(min(one.cost for one in every), rel=1e-12)
    turned = multiplier(truncated_lut(5).T)
    best, other = best_mapping(turned, found), best_mapping(multiplier(truncated_lut(5)), found)
    assert best.cost == pytest.approx(other.cost)
    assert {best.mapping.activation_port, other.mapping.activation_port} == {"a", "b"}


def test_a_multiplier_that_returns_zero_costs_the_whole_product():
    made, found = multiplier(np.zeros((16, 16))), operands()
    expected = sum(found.weights[b] * error(np.zeros(256), float(WEIGHTS[b]), found) for b in range(256))
    assert best_mapping(made, found).cost == pytest.approx(expected)


def plain_best(made: Multiplier, found: Operands) -> float:
    """The least cost over both orders, all pre-scales and gains, every pattern tried for every weight."""
    share, x = found.activations, found.codes.of_bytes()
    costs = []
    for port, prescale in product("ab", PRESCALES):
        mapping = default(made, port, prescale, found.codes, found.largest_weight)
        table = mapping.products(made.lut).astype(float)
        means, squares, mixed = share @ table, share @ table**2, (share * x) @ table
        sign = np.where(mapping.weight_negative, -1, 1)[:, None]
        for gain in GAINS * mapping.gain:
            scale = gain * WEIGHTS[:, None]
            errors = squares - 2 * scale * sign * mixed + scale**2 * (share @ x**2)
            errors -= (sign * means - scale * (share @ x)) ** 2 / 2
            costs.append(found.weights @ errors.min(1) / gain**2)
    return float(min(costs))


def uneven(seed: int, codes: Codes, largest: int) -> Operands:
    """Random shares of very unlike sizes, more than half of them 0."""
    rng = np.random.default_rng(seed)
    shares = np.exp(rng.normal(0, 4, (2, 256))) * (rng.random((2, 256)) < rng.uniform(0.02, 0.5))
    shares[:, 1] += 1e-3  # never none at all
    shares[0, (codes.of_bytes() & 255) != np.arange(256)] = 0
    shares[1, np.abs(WEIGHTS) > largest] = 0
    activations, weights = shares / shares.sum(1, keepdims=True)
    return Operands("Linear", 10, 10, activations, weights, codes, largest)


SHAPES = [(256, 256), (128, 8), (32, 64), (4, 256)]


@pytest.mark.parametrize("codes, largest", RANGES, ids=["unsigned", "signed", "affine codes", "4 bits"])
@pytest.mark.parametrize("signed", [False, True], ids=["magnitudes", "two's complement"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_is_cheaper_whatever_the_table_and_the_histograms(shape, signed, codes, largest):
    a_bits, b_bits = (side.bit_length() - 1 for side in shape)
    noise = random_lut(largest, max(shape), shape)
    for table in (noise, exact_lut(a_bits, b_bits, signed) + noise, np.abs(noise) // 9 * 9):
        made, found = multiplier(table, signed=signed), uneven(len(table) + largest, codes, largest)
        best = best_mapping(made, found)
        assert best.cost == pytest.approx(plain_best(made, found), rel=1e-9)
        assert best.cost == pytest.approx(cost_of(best.mapping, made, found), rel=1e-9)


def test_of_patterns_that_do_the_same_the_first_is_taken():
    made = multiplier(np.outer(np.arange(256), np.arange(256) // 4))
    for found in (operands(), operands(codes=SIGNED)):
        patterns = fit(default(made, "a", 1.0, found.codes), made, found).mapping.weight_codes
        assert not (patterns % 4).any() and len(np.unique(patterns)) > 9


def test_layers_and_multipliers_do_not_meddle_with_each_other():
    one, other = multiplier(truncated_lut(5)), multiplier(random_lut(3, 60000))
    before = best_mapping(one, operands(2))
    for found in (operands(3), operands(4, codes=SIGNED), operands(5, codes=Codes(-3, 12), largest=7)):
        best_mapping(other, found)
    after = best_mapping(one, operands(2))
    assert before.cost == after.cost and np.array_equal(before.mapping.weight_codes, after.mapping.weight_codes)
    with pytest.raises(ValueError, match="read-only"):
        before.mapping.activation_codes[0] = 1


def test_a_layer_whose_activations_are_all_zero_takes_the_pattern_nearest_to_zero():
    made, found = multiplier(random_lut(4, 900, (16, 16))), uneven(0, UNSIGNED, 127)
    found = replace(found, activations=np.eye(256)[0])
    best = best_mapping(made, found)
    assert best.cost > 0 and best.cost == pytest.approx(plain_best(made, found), rel=1e-9)
