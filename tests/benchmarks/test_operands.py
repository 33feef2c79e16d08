"""Operands and tables are what the benchmark says they are."""

import numpy as np
import pytest
import torch

from benchmarks import operands
from benchmarks.operands import SHAPES, TABLES, Shape

SAMPLE = Shape(500, 400, 300)


def draw(kind: str) -> tuple[np.ndarray, np.ndarray]:
    x, w = operands.OPERANDS[kind](SAMPLE, np.random.default_rng(0))
    assert x.shape == (500, 400) and w.shape == (300, 400)
    assert x.dtype == w.dtype == torch.uint8
    return x.numpy(), w.numpy()


def test_real_activations_are_half_zero_and_reach_255():
    x, _ = draw("real")
    assert (x == 0).mean() == pytest.approx(0.5, abs=0.01)
    assert x.max() == 255
    assert x[x > 0].mean() == pytest.approx(85 * np.sqrt(2 / np.pi), rel=0.02)


def test_real_weights_are_normal_int8_patterns():
    _, w = draw("real")
    signed = w.view(np.int8).astype(float)
    assert signed.mean() == pytest.approx(0, abs=0.3)
    assert signed.std() == pytest.approx(25, rel=0.01)
    assert (np.abs(signed) < 25).mean() == pytest.approx(0.673, abs=0.01)  # 24.5 / 25 standard deviations


def test_uniform_operands_use_every_byte_equally():
    for codes in draw("uniform"):
        counts = np.bincount(codes.ravel(), minlength=256)
        assert counts.min() > 0.7 * counts.mean() and counts.max() < 1.3 * counts.mean()


def test_same_seed_same_operands():
    assert (draw("real")[0] == draw("real")[0]).all()


def test_tables_by_hand():
    tables = {name: operands.table(name) for name in TABLES}
    assert all(lut.shape == (256, 256) and lut.dtype == torch.int32 for lut in tables.values())
    assert tables["exact"][200, 256 - 3] == -600
    assert tables["broken_array"][4, 8] == 32  # one cell, of weight 2^5
    assert tables["broken_array"][4, 256 - 8] == -32
    assert tables["broken_array"][3, 127] == 0  # only the rows left out
    assert tables["broken_array"][4, 4] == 0  # its cell weighs 2^4
    assert tables["or_adder_array"][5, 3] == 5 | 10  # rows 5 and 10 are ORed, not added
    assert tables["or_adder_array"][128, 3] == 128 | 256  # disjoint rows are added exactly
    assert -(2**16) <= tables["random_17_bit"].min() < -65000 and 65000 < tables["random_17_bit"].max() < 2**16


def test_ranks_of_the_errors():
    ranks = {name: operands.error_rank(make()) for name, (make, _) in TABLES.items()}
    assert ranks["exact"] == 0
    assert ranks[operands.LOW_RANK] == 4
    assert ranks["or_adder_array"] > 100
    assert ranks["random_17_bit"] == 256


def test_a_table_of_the_wrong_rank_is_refused(monkeypatch):
    monkeypatch.setitem(TABLES, "exact", (operands.broken_array, range(1)))
    with pytest.raises(ValueError, match=r"table exact: wanted an error of rank 0\.\.0, got rank 4"):
        operands.table("exact")


def test_shapes_are_the_convolutions_they_say():
    assert len(SHAPES) == 7
    for shape in SHAPES:
        assert operands.shape_of(shape.name) == shape
        assert (shape.images is not None) == (shape.depth % 9 == 0)
        if shape.images is not None:
            assert np.prod(shape.images) == shape.rows


@pytest.mark.parametrize("text", ["12", "1x2", "1x2x0", "axbxc", "1x2x3x4"])
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(ValueError):
        operands.shape_of(text)
