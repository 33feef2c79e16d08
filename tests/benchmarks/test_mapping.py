"""The ablation's bookkeeping: which cells there are, which are measured again, what is printed."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from agn_hw.mapping import default
from benchmarks import mapping
from tests.agn_hw.tables import exact_lut, multiplier, truncated_lut


class Subject:
    """Measures nothing, but counts."""

    seed, images = 3, 100

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def measure(self, made, way, compensation) -> dict[str, float]:
        self.asked.append((way.name, compensation))
        figures = {"accuracy": 0.5, "exact_accuracy": 0.75, "lost_points": 25.0, "standard_error": 1.0}
        return figures | {"accuracy": 0.875} if compensation == "gain and bias" else figures


def test_half_range_is_half_of_the_default():
    lut = exact_lut()
    half, full = mapping.half_range(multiplier(lut)), default(multiplier(lut))
    assert np.array_equal(2 * half.table8(lut)[:, np.arange(256) != 128], full.table8(lut)[:, np.arange(256) != 128])
    assert half.gain == 1 and full.gain == 2


@pytest.mark.parametrize("made, absent", [
    (multiplier(truncated_lut(3)), set()),
    (multiplier(exact_lut()), {"default, other order"}),
    (multiplier(exact_lut(4, 4)), {"half range", "default, other order"}),
    (multiplier(exact_lut(signed=True), signed=True), {"affine", "half range", "default, other order"}),
])
def test_mappings_that_a_multiplier_can_take(made, absent):
    assert {way.name for way, _ in mapping._cells(made)} == {way.name for way in mapping.WAYS} - absent


def test_only_what_is_missing_is_measured_and_all_is_shown():
    made, subject = multiplier(truncated_lut(3)), Subject()
    steps: list[int] = []
    empty = pd.DataFrame(columns=mapping.KEY)
    table = mapping._extended(empty, subject, made, 0.5, lambda: steps.append(1))
    assert len(table) == len(subject.asked) == len(set(subject.asked)) == len(steps) == 4 * 2 + 2 * 5
    assert mapping._extended(table, subject, made, 0.5, lambda: steps.append(1)) is table and len(steps) == 36
    again = mapping._extended(table.drop(index=[4, 7]), subject, made, 0.5, lambda: None)
    assert len(again) == len(table) and subject.asked[-2:] == [subject.asked[4], subject.asked[7]]
    console = Console(width=140, file=io.StringIO())
    mapping.show(table, console)
    printed = console.file.getvalue()
    assert printed.count("87.5") == len(mapping.WAYS) + len(mapping.COMPENSATED) and printed.count("75.0") == 4
