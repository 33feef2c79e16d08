"""Faults seeded in the accelerator's Verilog, each of which the regression has to see; without them all is equal.

All faulty designs share one simulation, so that each costs seconds and not a build.
"""

from dataclasses import dataclass, replace

import pytest

from sim import array_cases, array_regression
from sim.array_cases import Case
from sim.array_regression import Result
from sim.array_sources import SIGN_MAGNITUDE, SIGNED
from tests.sim import products
from tests.sim.test_pe import EACH

ELEMENT, SIGNED_ELEMENT, ARRAY, SATURATING = "element", "signed element", "array", "saturating array"


@dataclass(frozen=True)
class Fault:
    """Text of one file replaced by another, and the design it is seen in."""

    name: str
    file: str
    text: str
    instead: str
    seen_in: str


def pe(name: str, text: str, instead: str, seen_in: str = ARRAY) -> Fault:
    return Fault(name, "pe.v", text, instead, seen_in)


def array(name: str, text: str, instead: str) -> Fault:
    return Fault(name, "systolic_array.v", text, instead, ARRAY)


def total(name: str, text: str, instead: str, seen_in: str = SATURATING) -> Fault:
    return Fault(name, "accumulator.v", text, instead, seen_in)


def unit(name: str, text: str, instead: str) -> Fault:
    return Fault(name, "matrix_unit.v", text, instead, ARRAY)


FAULTS = [
    pe("swapped ports", ".x(x_in), .w(w_out)", ".x(w_out), .w(x_in)"),
    pe("activation one cycle late", ".x(x_in)", ".x(x_out)"),
    pe("missing enable", " & {SUM_BITS{enable_out}}", ""),
    pe("carry without enable", "negative & enable_out", "negative"),
    pe("missing carry-in", " + {{SUM_BITS-1{1'b0}}, carry}", ""),
    pe("wrong sign", "x_sign_in ^ w_sign;", "x_sign_in | w_sign;"),
    pe("sign of the weight to come", "x_sign_in ^ w_sign;", "x_sign_in ^ w_sign_in;"),
    pe("no sign extension", "(MODE == 1) ?", "(MODE == 0) ?", SIGNED_ELEMENT),
    pe("product without its top bit", "{fill}}, product}", "{fill}}, 1'b0, product[PRODUCT_BITS-2:0]}"),
    pe("top bit not complemented", "extended ^ {SUM_BITS{negative}}", "extended ^ {1'b0, {SUM_BITS-1{negative}}}"),
    pe("weight taken always", "if (load) w_out", "w_out"),
    pe("weight's sign taken always", "if (load) w_sign", "w_sign"),
    pe("weight not taken while valid", "if (load) w_out", "if (load & ~valid_out) w_out", ELEMENT),
    pe("x register not gated", "if (valid_in) begin", "x_out <= x_in; if (valid_in) begin", ELEMENT),
    pe("x sign register not gated", "if (valid_in) x_sign", "x_sign", ELEMENT),
    pe("x and sum registers not gated", "if (valid_in) begin", "begin", ELEMENT),
    pe("valid not reset", "valid_in & ~reset", "valid_in"),
    pe("enable bit not reset", "if (reset) enable_out <= 1'b0;\n        else ", ""),
    pe("load goes before reset", "if (reset) enable", "if (reset & ~load) enable", ELEMENT),
    array("stale weights in one row", ".load(load),", ".load(load & (row != 1)),"),
    array("weights not shifted", ".w_in(weights[(row*COLS+column)*W_BITS +:", ".w_in(in_weights[column*W_BITS +:"),
    array("weight signs not shifted", ".w_sign_in(weight_signs[row*COLS+", ".w_sign_in(in_weight_signs[0*COLS+"),
    array("enable bits not shifted", ".enable_in(enables[row*COLS+column])", ".enable_in(in_enables[column])"),
    array("rows in the wrong order", "in_activations[row*X_BITS +: X_BITS]};",
          "in_activations[(ROWS-1-row)*X_BITS +: X_BITS]};"),
    array("skew of one cycle too few", "x[X_BITS-1:0]} = skew[row*", "x[X_BITS-1:0]} = skew[(row > 1 ? 1 : row)*"),
    array("valid not skewed", "<= row_valid[row-1] & ~reset", "<= in_valid & ~reset"),
    array("skewed valid not reset", "row_valid[row-1] & ~reset", "row_valid[row-1]"),
    array("skew taken a cycle early", ".take(row_valid[stage]),", ".take(row_valid[stage+1]),"),
    array("deskew of one cycle too few", "deskew[(COLS-1-column)*", "deskew[(column == 1 ? 1 : COLS-1-column)*"),
    array("deskew taken with the last column", ".take(column_valid[column+stage]),", ".take(column_valid[COLS-1]),"),
    array("out_valid of the first column", "out_valid = column_valid[COLS-1]", "out_valid = column_valid[0]"),
    array("sums not passed on", ".sum_in(sums[(row*COLS+column)*SUM_BITS +: SUM_BITS])", ".sum_in({SUM_BITS{1'b0}})"),
    total("saturation one off below", ": bound;", ": bound | {{ACC_BITS-1{1'b0}}, 1'b1};"),
    total("bounds swapped", "bound = ~(", "bound = ("),
    total("saturation a factor of two late", "exact[WIDE-2:ACC_BITS-1]", "exact[WIDE-1:ACC_BITS]"),
    total("sum without a sign", "{WIDE-SUM_BITS{sum[SUM_BITS-1]}}", "{WIDE-SUM_BITS{1'b0}}"),
    total("always saturating", "SATURATE != 0", "SATURATE == 0", ARRAY),
    unit("total of the first column", ".total(in_totals[column*", ".total(in_totals[0*"),
    unit("sum without its top bit", "sums[column*SUM_BITS +: SUM_BITS]",
         "{sums[column*SUM_BITS+SUM_BITS-2], sums[column*SUM_BITS +: SUM_BITS-1]}"),
]  # fmt: skip


def sound(name: str) -> Case:
    """A design by its name, without a fault; arrays are 3x4, and sums as narrow as they may be."""
    product, mode = products.uneven(), SIGN_MAGNITUDE
    if name == SIGNED_ELEMENT:
        product, mode = products.uneven_signed(), SIGNED
    bits = products.sum_bits(product, mode, 3)
    parameters = {"MODE": mode, "SUM_BITS": bits}
    if name in (ELEMENT, SIGNED_ELEMENT):
        return Case(name, "pe", product, parameters)
    parameters |= {"ROWS": 3, "COLS": 4, "ACC_BITS": bits + 1, "SATURATE": int(name == SATURATING)}
    return Case(name, "matrix_unit", product, parameters)


def faulty(fault: Fault) -> Case:
    texts = array_cases.accelerator()
    assert texts[fault.file].count(fault.text) == 1, "the fault is to be seeded in one place"
    texts[fault.file] = texts[fault.file].replace(fault.text, fault.instead)
    assert texts != array_cases.accelerator()
    return replace(sound(fault.seen_in), name=fault.name, rtl=texts)


def mistaken() -> list[Case]:
    """Sound Verilog, and a table with one wrong entry, or sums that are too narrow."""
    element, array = sound(ELEMENT), sound(ARRAY)
    table = element.product.table.copy()
    table[3, 2] += 1
    wrong = replace(element, name="wrong table", product=replace(element.product, table=table))
    narrow = {**array.parameters, "SUM_BITS": array.parameters["SUM_BITS"] - 1}
    return [wrong, replace(array, name="narrow sums", parameters=narrow)]


@pytest.fixture(scope="module")
def results(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = [sound(name) for name in (ELEMENT, SIGNED_ELEMENT, ARRAY, SATURATING)]
    cases += [*(faulty(fault) for fault in FAULTS), *mistaken()]
    found = array_regression.run(cases, tmp_path_factory.mktemp(simulator), simulator)
    return {result.name: result for result in found}


@EACH
@pytest.mark.parametrize("name", [ELEMENT, SIGNED_ELEMENT, ARRAY, SATURATING])
def test_without_a_fault_all_is_equal(name: str, results: dict[str, Result]) -> None:
    assert results[name].difference is None and results[name].cycles > 200


@EACH
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_seen(fault: Fault, results: dict[str, Result]) -> None:
    assert results[fault.name].difference is not None


@EACH
@pytest.mark.parametrize(("name", "shows"), [("wrong table", "sum_out is "), ("narrow sums", " gave ")])
def test_a_wrong_expectation_is_seen(name: str, shows: str, results: dict[str, Result]) -> None:
    """The bench meets every entry, and the largest sums there are."""
    difference = results[name].difference
    assert difference is not None and shows in difference


def test_faults_have_names_of_their_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
