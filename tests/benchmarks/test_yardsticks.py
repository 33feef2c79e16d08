"""The compiled yardsticks against the reference, on sizes that fill no vector and no thread evenly."""

import ctypes

import numpy as np
import pytest
import torch

from agn_hw.kernels import reference
from benchmarks import contestants, yardsticks
from benchmarks.operands import TABLES, Shape, table, uniform_operands

SIZES = [(1, 1, 1), (3, 5, 7), (13, 17, 9), (2, 9, 8), (33, 31, 18)]


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    try:
        return yardsticks.load()
    except yardsticks.NoCompiler as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("size", SIZES)
def test_loops_are_the_table_product(library, size, name, threads):
    x, w = uniform_operands(Shape(*size), np.random.default_rng(1))
    lut = table(name)
    wanted = reference.lut_matmul(x, w, lut)
    assert torch.equal(yardsticks.scalar_loop(library, x, w, lut, threads), wanted)
    assert torch.equal(yardsticks.compiler_loop(library, x, w, lut, threads), wanted)
    if library.has_gather():
        gathered = yardsticks.gather_loop(library, x, yardsticks.eights(w), lut, threads)
        assert gathered.shape[1] % 8 == 0
        assert torch.equal(gathered[:, : size[2]], wanted)


def test_fp32_yardsticks_have_the_size_of_the_product():
    shape = Shape(2 * 5 * 4, 9 * 3, 7, (2, 5, 4))
    x, w = uniform_operands(shape, np.random.default_rng(2))
    case = contestants.Case(shape, x, w, table("exact"))
    by_name = {one.name: one for one in contestants.contestants(shape, None)}
    product = by_name["fp32 matmul"].set_up(case, 1)()
    assert torch.equal(product.to(torch.int32), reference.lut_matmul(x, w, case.lut))
    assert by_name["fp32 conv2d"].set_up(case, 1)().shape == (2, 7, 5, 4)


def test_no_compiler_is_said_plainly(monkeypatch, tmp_path):
    monkeypatch.setattr(yardsticks, "BUILD", tmp_path / "build")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(yardsticks.NoCompiler, match=r"install g\+\+ or set CXX"):
        yardsticks.load()


def test_a_failing_compiler_is_quoted(monkeypatch, tmp_path):
    broken = tmp_path / "broken.cpp"
    broken.write_text("this is no C++")
    monkeypatch.setattr(yardsticks, "BUILD", tmp_path / "build")
    monkeypatch.setattr(yardsticks, "SOURCE", broken)
    with pytest.raises(yardsticks.NoCompiler, match="failed on"):
        yardsticks.load()
