"""Predicted energy of a matrix product against the array simulated cycle by cycle at gate level."""

import numpy as np
import pytest

from lut_gen.element.operand_streams import Operands, column_sums
from lut_gen.element.power import CLOCK, IDLE, PARTS, ElementEnergy
from lut_gen.element.prediction import cycles_of, predict
from lut_gen.element.synthesis import synthesise
from tests.lut_gen.element.conftest import MULTIPLIERS
from tests.lut_gen.element.gate_level_array import Array
from tests.lut_gen.element.test_element_synthesis import without


def layer(rng: np.random.Generator, x_bits: int, w_bits: int, signed: bool, shape: tuple[int, int, int]) -> Operands:
    """Activations that resemble those before (a random walk), weights that do not; M, K, N = shape."""
    vectors, depth, outputs = shape
    walk = rng.integers(-2, 3, (vectors, depth)).cumsum(axis=0) + rng.integers(0, 2**x_bits, depth)
    x, w = walk % 2**x_bits, rng.integers(0, 2**w_bits, (outputs, depth))
    if signed:
        return Operands(x, w)
    return Operands(x, w, None, rng.random((outputs, depth)) < 0.5)


CASES = [
    ("exact_4x4", "a", (70, 10, 6), 4, 4), ("odd_2x5", "b", (30, 7, 5), 3, 2), ("signed_4x4", "a", (90, 9, 3), 4, 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "port", "shape", "rows", "cols"), CASES)
def test_it_agrees_with_the_whole_simulation(element, mapped, technology, name, port, shape, rows, cols):
    found, signed = element(name, port), MULTIPLIERS[name][2]
    table = mapped(name, technology).table(technology.cells, signed)
    table = table if port == "a" else table.T
    x_bits, w_bits = (size.bit_length() - 1 for size in table.shape)
    operands = layer(np.random.default_rng(5), x_bits, w_bits, signed, shape)
    array = Array(found, technology, rows, cols)
    products = table[operands.x[:, None], operands.w[None]].astype(int)
    if operands.w_negative is not None:
        products = np.where(operands.w_negative, -products, products)
    array.matmul(operands)
    array.forget()  # what came before the first tile
    assert np.array_equal(array.matmul(operands), products.sum(axis=2))
    energy = ElementEnergy.of(found, technology)
    simulated = energy.by_part(array.counts(operands.macs))
    came = predict(found, energy, technology, operands, table, rows, cols, streams=1500)
    _, cycles = cycles_of(operands, rows, cols)
    assert came.cycles == cycles and rows * cols * cycles == array.cycles and came.macs == operands.macs
    for part in (CLOCK, IDLE):
        assert came.by_part[part] == pytest.approx(simulated[part], rel=1e-9)
    assert came.standard_error_fj < 0.005 * came.total_fj
    for part in PARTS:
        assert came.by_part[part] == pytest.approx(simulated[part], rel=0.04), part
    assert came.total_fj == pytest.approx(sum(simulated.values()), rel=0.01)


def test_it_agrees_without_clock_gates(mapped, technology, tmp_path):
    """Multiplexers hold the registers: the clock costs the same in every cycle."""
    cut = without(technology, tmp_path, "dlclkp_1")
    netlist = mapped("exact_4x4", technology)
    found, table = synthesise(netlist, False, "a", 12, cut, tmp_path), netlist.table(cut.cells, False)
    operands = layer(np.random.default_rng(8), 4, 4, False, (70, 8, 6))
    array, energy = Array(found, cut, 4, 2), ElementEnergy.of(found, cut)
    array.matmul(operands)
    array.forget()
    array.matmul(operands)
    simulated = energy.by_part(array.counts(operands.macs))
    came = predict(found, energy, cut, operands, table, 4, 2, streams=1500)
    assert came.by_part == pytest.approx(simulated, rel=0.04)
    assert came.by_part[CLOCK] + came.by_part[IDLE] == pytest.approx(8 * came.cycles * energy.every_cycle_fj)


def test_few_streams_err_as_they_say(element, mapped, technology):
    found, table = element("exact_4x4"), mapped("exact_4x4", technology).table(technology.cells, False)
    operands = layer(np.random.default_rng(1), 4, 4, False, (300, 12, 8))
    energy = ElementEnergy.of(found, technology)
    best = predict(found, energy, technology, operands, table, 4, 4, streams=4000).total_fj
    tries = [predict(found, energy, technology, operands, table, 4, 4, streams=60, seed=s) for s in range(40)]
    away = np.array([(t.total_fj - best) / t.standard_error_fj for t in tries])
    assert abs(away.mean()) < 0.6 and 0.6 < away.std() < 1.5
    again = predict(found, energy, technology, operands, table, 4, 4, streams=60, seed=3)
    assert again.by_part == tries[3].by_part


def test_still_operands_cost_the_clock_alone(element, mapped, technology):
    found, table = element("exact_4x4"), mapped("exact_4x4", technology).table(technology.cells, False)
    operands = Operands(np.full((80, 4), 9), np.full((4, 4), 5))
    came = predict(found, ElementEnergy.of(found, technology), technology, operands, table, 4, 4)
    assert came.by_part["multiplier"] == came.by_part["accumulator"] == 0
    assert 0 < came.by_part["registers"] < 0.01 * came.by_part[CLOCK]  # load and valid come and go
    assert came.standard_error_fj == 0


def test_short_layers(element, mapped, technology):
    """One vector, arrays larger than the product and taller than a stream."""
    found, table = element("exact_4x4"), mapped("exact_4x4", technology).table(technology.cells, False)
    energy = ElementEnergy.of(found, technology)
    rng = np.random.default_rng(2)
    for shape, rows, cols in (((1, 3, 2), 4, 4), ((2, 3, 2), 1, 1), ((5, 200, 2), 100, 3)):
        came = predict(found, energy, technology, layer(rng, 4, 4, False, shape), table, rows, cols, streams=16)
        assert np.isfinite(came.total_fj) and came.total_fj > 0


def test_column_sums(mapped, technology):
    """Every drawn stream is a column's: found again among all tiles and outputs."""
    table = mapped("exact_4x4", technology).table(technology.cells, False)
    operands = layer(np.random.default_rng(4), 4, 4, False, (64, 7, 3))
    totals, sums = column_sums(operands, table, 3, np.random.default_rng(0), streams=20)
    products = table[operands.x[:, None], operands.w[None]].astype(int)
    products = np.where(operands.w_negative, -products, products)
    known = {(tuple(products[:, n, :k].sum(axis=1)), tuple(products[:, n, k : k + 3].sum(axis=1)))
             for n in range(3) for k in (0, 3, 6)}  # fmt: skip
    drawn = set(zip(map(tuple, totals), map(tuple, sums), strict=True))
    assert drawn <= known and len(drawn) >= 6
