"""The array families' models against what the papers say: adders, compressors, corrections, Booth, merged rows."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import rtl
from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design, read_list
from tests.rtl import models
from tests.rtl.models import booth, compressors, lower_or

EIGHT = {"A_BITS": 8, "B_BITS": 8}
EXACT = models.table("exact_array", EIGHT)
LARGEST = 255**2

SWITCHED_OFF = [
    ("lower_or_array", {"LOW": 0}),
    ("lower_or_array", {"LOW": 1}),
    ("lower_or_recursive", {"LOW": 0}),
    ("momeni_1", {"KIND": 1, "APPROXIMATE": 0}),
    ("yang", {"KIND": 5, "APPROXIMATE": 3}),  # a column of three bits needs no compressor
    ("corrected_truncated", {"DROP": 0}),
    ("perforated", {"FIRST": 3, "ROWS": 0}),
    ("logic_compression", {"DEPTH": 4, "COLUMNS": 1}),
    ("generate_or", {"GROUP": 1}),
    ("rehman", {"EXACT_COLUMN": 0}),
]
"""Families with the parameter SIGNED and their settings without approximation."""
APPROXIMATE = [
    ("lower_or_array", {"LOW": 6}),
    ("lower_or_recursive", {"LOW": 4}),
    ("momeni_1", {"KIND": 1, "APPROXIMATE": 7}),
    ("venkatachalam", {"KIND": 3, "APPROXIMATE": 16}),
    ("corrected_truncated", {"DROP": 6, "VARIABLE": 1}),
    ("perforated", {"FIRST": 1, "ROWS": 2}),
    ("logic_compression", {"DEPTH": 2, "COLUMNS": 8}),
    ("generate_or", {"GROUP": 4}),
    ("rehman", {}),
]


def error(family: str, parameters: dict[str, int]) -> np.ndarray:
    """Product minus exact product of an unsigned 8x8 multiplier, int32 [256, 256]."""
    return models.table(family, {**EIGHT, **parameters}) - EXACT


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (8, 4), (4, 6), (2, 2)])
@pytest.mark.parametrize(("family", "parameters"), SWITCHED_OFF)
def test_without_approximation_the_product_is_exact(
    family: str, parameters: dict[str, int], size: tuple[int, int]
) -> None:
    widths = {"A_BITS": size[0], "B_BITS": size[1]}
    parameters = {**widths, **parameters, "FIRST": min(parameters.get("FIRST", 0), size[1] - 1)}
    assert np.array_equal(models.table(family, parameters), models.table("exact_array", widths))
    signed = models.table(family, {**parameters, "SIGNED": 1})
    assert np.array_equal(signed, models.table("baugh_wooley", {**widths, "DROP": 0}))


def switched_off() -> list[Design]:
    """The designs of SWITCHED_OFF, unsigned 6x4 and signed 4x4, and two exact Booth multipliers."""
    known = {design.family: design for design in read_list(rtl.MULTIPLIERS)}
    widths = [{"A_BITS": 6, "B_BITS": 4, "SIGNED": 0}, {"A_BITS": 4, "B_BITS": 4, "SIGNED": 1}]
    designs = [
        replace(known[family], parameters={**parameters, **width}, signed=bool(width["SIGNED"]))
        for family, parameters in SWITCHED_OFF
        for width in widths
    ]
    designs += [replace(known["booth"], parameters={"A_BITS": 5, "B_BITS": bits}) for bits in (5, 6)]
    return [replace(design, name=f"off_{number}") for number, design in enumerate(designs)]


@pytest.mark.slow
def test_the_verilog_too_is_exact_without_approximation(tmp_path: Path) -> None:
    """No list can hold these: their tables would be those of the exact multipliers again."""
    designs = switched_off()
    assert [outcome.error for outcome in build(designs, tmp_path / "catalog", jobs=1) if outcome.error] == []
    catalog = Catalog.load(tmp_path / "catalog")
    for design in designs:
        family = "baugh_wooley" if design.signed else "exact_array"
        exact = models.table(family, {**design.parameters, "DROP": 0})
        assert np.array_equal(catalog[design.name].lut, exact), design


@pytest.mark.parametrize(("family", "parameters"), APPROXIMATE)
def test_signed_forms_multiply_magnitudes(family: str, parameters: dict[str, int]) -> None:
    unsigned = models.table(family, {**EIGHT, **parameters})
    signed = models.table(family, {**EIGHT, **parameters, "SIGNED": 1})
    assert (unsigned != EXACT).any()
    assert np.array_equal(signed[:128, :128], unsigned[:128, :128])
    assert np.array_equal(signed[256 - 99, :128], -unsigned[99, :128])
    assert signed[128, 256 - 77] == unsigned[128, 77]


@pytest.mark.parametrize(("low", "paper"), [(2, 0.40), (8, 0.90)])
def test_the_lower_part_or_adder_errs_as_often_as_in_the_paper(low: int, paper: float) -> None:
    a, b = np.arange(1 << low)[:, None], np.arange(1 << low)[None, :]
    wrong = (lower_or.lower_or_sum(a, b, low) != a + b).mean()
    assert wrong == 1 - 0.75**low  # wherever both operands have a bit in the low part
    assert wrong == pytest.approx(paper, abs=0.05)  # "about"


@pytest.mark.parametrize(("kind", "wrong"), [(2, 4), (3, 5), (4, 10), (5, 1)])
def test_compressors_err_as_often_as_in_the_papers(kind: int, wrong: int) -> None:
    distance = compressors.VALUES[kind] - compressors.ONES
    assert (distance != 0).sum() == wrong
    assert abs(distance).max() == (2 if kind == 4 else 1)


def test_momenis_first_compressor_errs_as_often_as_in_the_paper() -> None:
    pattern, cin = np.arange(16)[:, None], np.arange(2)[None, :]
    bits = [np.broadcast_to(pattern >> k & 1, (16, 2)) for k in (3, 2, 1, 0)]
    total, carry, cout = compressors.compressor(1, bits, np.broadcast_to(cin, (16, 2)))
    distance = total + 2 * carry + 2 * cout - compressors.ONES[pattern] - cin
    assert (distance != 0).sum() == 12  # of 32
    assert abs(distance).max() == 1


@pytest.mark.parametrize(
    ("kind", "columns", "ned", "correct"),
    [(1, 16, 0.06065, None), (2, 16, 0.05352, None), (1, 7, 0.9199e-3, 5888), (2, 7, 0.7827e-3, 9320)],
)
def test_compressor_trees_come_near_momenis_four_multipliers(
    kind: int, columns: int, ned: float, correct: int | None
) -> None:
    """Near, because the paper does not say which bit goes to which input. It leaves out zero operands."""
    distance = abs(error(f"momeni_{kind}", {"KIND": kind, "APPROXIMATE": columns})[1:, 1:])
    assert distance.mean() / LARGEST == pytest.approx(ned, rel=0.1)
    assert correct is None or (distance == 0).sum() == pytest.approx(correct, rel=0.02)


def test_a_zero_operand_gives_zero_unless_the_compressor_turns_zeros_into_ones() -> None:
    tables = {kind: models.table("yang", {**EIGHT, "KIND": kind, "APPROXIMATE": 16}) for kind in range(1, 6)}
    assert [bool(tables[kind][0].any()) for kind in range(1, 6)] == [True, True, False, False, False]
    assert all((tables[kind] <= EXACT).all() for kind in (3, 5))  # their compressors are never too large


@pytest.mark.parametrize(("drop", "largest", "mean_square"), [(4, 0.6289, 0.0842), (3, 0.5352, 0.0834)])
def test_the_correction_constant_keeps_schultes_bounds(drop: int, largest: float, mean_square: float) -> None:
    """Table 1 there, n = 8 with k = 4 and 5, in units of the rounded product's last place."""
    distance = error("corrected_truncated", {"DROP": drop, "ROUND": 8}) / 256
    assert abs(distance).max() == pytest.approx(largest, abs=5e-5)
    assert np.square(distance).mean() == pytest.approx(mean_square, rel=0.02)  # theirs assumes independent bits


@pytest.mark.parametrize("drop", [4, 6, 8])
def test_the_variable_correction_is_better_than_the_constant_and_both_than_none(drop: int) -> None:
    none = error("truncated", {"DROP": drop})
    constant = error("corrected_truncated", {"DROP": drop})
    variable = error("corrected_truncated", {"DROP": drop, "VARIABLE": 1})
    squares = [np.square(distance).mean() for distance in (none, constant, variable)]
    assert squares == sorted(squares, reverse=True)
    assert abs(constant.mean()) <= 2 ** (drop - 1)
    assert abs(variable.mean()) <= 2 ** (drop - 1)


@pytest.mark.parametrize(("first", "rows"), [(0, 3), (1, 1), (1, 3), (2, 2)])
def test_perforation_loses_what_the_papers_formula_says(first: int, rows: int) -> None:
    nmed = -error("perforated", {"FIRST": first, "ROWS": rows}).mean() / LARGEST
    assert nmed == pytest.approx(2**first * (2**rows - 1) / (4 * 255), rel=1e-12)


def test_perforation_from_row_0_is_the_broken_array() -> None:
    broken = models.table("broken_array", {**EIGHT, "HBL": 3, "VBL": 0})
    assert np.array_equal(models.table("perforated", {**EIGHT, "FIRST": 0, "ROWS": 3}), broken)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_clusters_of_rows_lose_only_where_they_hold_two_bits_of_b(depth: int) -> None:
    distance = error("logic_compression", {"DEPTH": depth, "COLUMNS": 16})
    clusters = [np.arange(256) >> row & (1 << depth) - 1 for row in range(0, 8, depth)]
    full = np.any([cluster & (cluster - 1) for cluster in clusters], axis=0)
    assert (distance <= 0).all()
    assert np.array_equal(distance.any(axis=0), full)


def test_clusters_err_more_the_deeper_and_the_wider_they_are() -> None:
    def mean(depth: int, columns: int) -> float:
        return float(-error("logic_compression", {"DEPTH": depth, "COLUMNS": columns}).mean())

    assert mean(2, 8) < mean(3, 8) < mean(4, 8) < mean(8, 8)
    assert mean(2, 6) < mean(2, 8) < mean(2, 12) < mean(2, 16)


def test_generate_bits_are_as_rare_as_in_the_paper() -> None:
    """Column 3 has two; each is set for 1/16 of all operands, and they share no operand bits."""
    distance = error("generate_or", {"GROUP": 2, "COLUMNS": 4})
    assert set(np.unique(distance)) == {-8, 0}
    assert (distance != 0).mean() == 1 / 16**2


def test_larger_groups_of_generate_bits_lose_more() -> None:
    losses = [-error("generate_or", {"GROUP": group}).mean() for group in (1, 2, 3, 4)]
    assert losses == sorted(set(losses)) and losses[0] == 0


def test_rehmans_block_is_one_too_small_for_three_products() -> None:
    distance = models.table("rehman", {"A_BITS": 2, "B_BITS": 2}) - np.outer(range(4), range(4))
    assert np.argwhere(distance).tolist() == [[1, 1], [1, 3], [3, 1]]
    assert distance.sum() == -3


@pytest.mark.parametrize("size", [(8, 8), (8, 6), (6, 5), (5, 8), (3, 3), (2, 2)])
def test_booth_is_exact_without_truncation_and_approximate_columns(size: tuple[int, int]) -> None:
    widths = {"A_BITS": size[0], "B_BITS": size[1]}
    assert np.array_equal(models.table("booth", widths), models.table("baugh_wooley", {**widths, "DROP": 0}))


@pytest.mark.parametrize(("encoder", "wrong"), [(1, 4), (2, 8)])
def test_the_booth_encoders_err_as_often_as_in_the_paper(encoder: int, wrong: int) -> None:
    """Bit 1 of a row for all 32 patterns of three bits of b and two of a."""
    b, a = np.arange(8)[:, None], np.arange(4)[None, :]
    digit, above = (b & 1) + (b >> 1 & 1) - 2 * (b >> 2), b >> 2
    exact, approximate = (booth.encoded(kind, digit, above, a) >> 1 & 1 for kind in (0, encoder))
    assert (exact != approximate).sum() == wrong
    assert encoder == 2 or (approximate <= exact).all()  # R4ABE1 only turns ones into zeros


@pytest.mark.parametrize("family", ["r4abm1", "r4abm2"])
def test_approximate_booth_errs_more_with_every_column(family: str) -> None:
    exact = models.table("booth", EIGHT)
    encoder = {"ENCODER": int(family[-1])}
    means = [
        abs(models.table(family, {**EIGHT, **encoder, "APPROXIMATE": p}) - exact).mean() for p in (0, 2, 4, 6, 8, 10)
    ]
    assert means[0] == 0
    assert all(larger > 3 * smaller for smaller, larger in pairwise(means))


@pytest.mark.parametrize("drop", [4, 6, 8])
def test_the_correction_centres_truncated_booth(drop: int) -> None:
    exact = models.table("booth", EIGHT)
    plain, corrected = (models.table("booth", {**EIGHT, "DROP": drop, "CORRECTION": on}) - exact for on in (0, 1))
    assert plain.max() <= 0 < corrected.max()
    assert abs(corrected.mean()) <= 2 ** (drop - 1) < abs(plain.mean())
    assert np.square(corrected).mean() < np.square(plain).mean()
