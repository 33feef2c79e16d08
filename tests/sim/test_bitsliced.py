"""The bit-sliced view: its gates' expressions, what it counts, and that its products are those of the plain RTL."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lut_gen.errors import DesignError
from lut_gen.library.boolean import Function
from sim import bitsliced, word_logic
from sim.array_sources import ArrayShape
from sim.cosim import SystolicArray, Toggles
from tests.sim import array_oracle, arrays
from tests.sim.arrays import circuit, needs_verilator
from tests.sim.element_by_hand import element

SMALL = ArrayShape(2, 3, sum_bits=10, acc_bits=12)


@pytest.fixture(scope="session")
def array_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arrays.folder(tmp_path_factory)


def same(found: Toggles | None, expected: Toggles) -> bool:
    assert found is not None and found.nets.dtype == np.int64
    return found.nets.tolist() == expected.nets.tolist() and found.clocks == expected.clocks


def test_every_cell_keeps_its_function() -> None:
    for cell in circuit("exact_3x3", "a").technology.cells.values():
        if cell.sequential:
            continue
        inputs = len(cell.inputs)
        for function in cell.functions.values():
            table = function.truth_table(cell.inputs)
            text = word_logic.shortest(table, inputs)
            assert text is not None
            columns = [sum((row >> i & 1) << row for row in range(2**inputs)) for i in range(inputs)]
            value = eval(text.format(*columns), {"ZERO": 0, "ONES": -1}) & (2 ** 2**inputs - 1)
            assert value == sum(bit << row for row, bit in enumerate(table)), (cell.name, text)


@pytest.mark.parametrize(
    "function, operations",
    [("A&!B&!C | !A&B&!C | !A&!B&C | A&B&C", 2), ("A&B | A&C | B&C", 4), ("!A | !B", 2), ("A&B | C&D", 3), ("A", 0)],
)
def test_the_shortest_form_of_usual_cells(function: str, operations: int) -> None:
    pins = tuple(sorted(set(function) & set("ABCD")))
    text = word_logic.shortest(Function(function).truth_table(pins), len(pins))
    assert text is not None and sum(text.count(operator) for operator in "&|^~") == operations


def test_functions_of_many_inputs_are_left_as_they_are() -> None:
    assert word_logic.shortest((0,) * 2**7, 7) is None


@needs_verilator
@pytest.mark.parametrize(
    "name, port, shape, sizes",
    [
        ("exact_4x3", "b", SMALL, (4, 5, 4)),
        ("truncated_4x4_d3_constant", "a", ArrayShape(3, 2, sum_bits=11, acc_bits=11), (3, 4, 5)),
        ("booth_6x4", "a", ArrayShape(1, 1, sum_bits=11, acc_bits=16), (5, 3, 2)),
    ],
)
def test_every_net_switches_as_often_as_in_numpy(
    name: str, port: str, shape: ArrayShape, sizes: tuple[int, int, int], array_folder: Path
) -> None:
    multiplier = circuit(name, port)
    own = element(multiplier, shape.sum_bits)
    given = array_oracle.operands(multiplier, *sizes)
    array = SystolicArray.build(multiplier, shape, "bitsliced", array_folder, toggles=True, element=own)
    product = array.matmul(given.x, given.w, given.x_negative, given.w_negative)
    expected = array_oracle.switching(own, multiplier.technology, shape, given)
    assert same(product.toggles, expected) and expected.nets.sum() > 0
    again = array.matmul(given.x, given.w, given.x_negative, given.w_negative)
    assert same(again.toggles, expected)
    assert np.array_equal(product.sums, array_oracle.totals(multiplier, shape, given)[-1])


@needs_verilator
@pytest.mark.parametrize("name, port", [("booth_6x4", "b"), ("truncated_4x4_d3_constant", "b")])
def test_a_synthesised_element(name: str, port: str, array_folder: Path) -> None:
    multiplier, shape = circuit(name, port), ArrayShape(2, 2, sum_bits=11, acc_bits=12)
    given = array_oracle.operands(multiplier, 5, 5, 3)
    array = SystolicArray.build(multiplier, shape, "bitsliced", array_folder, toggles=True)
    product = array.matmul(given.x, given.w, given.x_negative, given.w_negative)
    assert np.array_equal(product.sums, array_oracle.totals(multiplier, shape, given)[-1])
    assert array.element is not None
    assert same(product.toggles, array_oracle.switching(array.element, multiplier.technology, shape, given))


@needs_verilator
def test_more_elements_than_a_machine_word_has_bits(array_folder: Path) -> None:
    """Nine rows: slices of seven and of three columns; where toggles are counted, one word of ninety bits."""
    multiplier, shape = circuit("exact_4x3", "a"), ArrayShape(9, 10, sum_bits=12, acc_bits=14)
    own = element(multiplier, shape.sum_bits)
    given = array_oracle.operands(multiplier, 20, 13, 12)
    sliced = SystolicArray.build(multiplier, shape, "bitsliced", array_folder, element=own)
    expected = array_oracle.totals(multiplier, shape, given)[-1]
    assert np.array_equal(sliced.matmul(given.x, given.w, given.x_negative, given.w_negative).sums, expected)
    counting = SystolicArray.build(multiplier, shape, "bitsliced", array_folder, toggles=True, element=own)
    product = counting.matmul(given.x, given.w, given.x_negative, given.w_negative)
    assert np.array_equal(product.sums, expected)
    assert same(product.toggles, array_oracle.switching(own, multiplier.technology, shape, given))


def test_an_element_of_other_widths_is_refused() -> None:
    own = element(circuit("exact_4x3", "a"), 10)
    with pytest.raises(DesignError, match="an element with 3 bits of x_in"):
        bitsliced.sources(own, circuit("exact_4x3", "b"), SMALL, toggles=False)
    with pytest.raises(DesignError, match="an element with 9 bits of sum_in"):
        bitsliced.sources(own, circuit("exact_4x3", "a"), replace(SMALL, sum_bits=9), toggles=False)


def test_a_path_through_an_element_is_refused() -> None:
    own = element(circuit("exact_4x3", "a"), 10)
    leaking = replace(own, outputs={**own.outputs, "valid_out": own.inputs["valid_in"]})
    with pytest.raises(DesignError, match="valid_out is none"):
        bitsliced.sources(leaking, circuit("exact_4x3", "a"), SMALL, toggles=False)
