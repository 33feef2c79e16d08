"""Products on the array's Verilog against the multiplier's table, bit for bit; builds, tiles and waveforms."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lut_gen.errors import AgnError, ToolError
from sim import array_library, array_sources
from sim.array_sources import ArrayShape, Circuit
from sim.cosim import VIEWS, SystolicArray
from tests.sim import array_oracle, arrays
from tests.sim.array_oracle import Operands
from tests.sim.arrays import circuit, needs_verilator
from tests.sim.element_by_hand import element

ODD = ArrayShape(3, 5, sum_bits=10, acc_bits=16)


@pytest.fixture(scope="session")
def array_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arrays.folder(tmp_path_factory)


def built(view: str, multiplier: Circuit, shape: ArrayShape, folder: Path) -> SystolicArray:
    own = element(multiplier, shape.sum_bits) if view == "bitsliced" else None
    return SystolicArray.build(multiplier, shape, view, folder, element=own)


def cycles(shape: ArrayShape, m: int, k: int, n: int) -> int:
    return -(-k // shape.rows) * -(-n // shape.cols) * (m + 2 * shape.rows + shape.cols - 1)


@needs_verilator
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "name, port, shape",
    [
        ("exact_4x3", "a", ODD),
        ("exact_4x3", "b", ODD),
        ("truncated_4x4_d3_constant", "a", ArrayShape(4, 2, sum_bits=12, acc_bits=40)),
        ("booth_6x4", "b", ArrayShape(2, 3, sum_bits=12, acc_bits=14)),
        ("exact_3x3", "a", ArrayShape(1, 1, sum_bits=7, acc_bits=33)),
        ("exact_3x3", "a", ArrayShape(2, 2, sum_bits=8, acc_bits=7, saturate=True)),
        ("exact_3x3", "a", ArrayShape(2, 2, sum_bits=8, acc_bits=7)),
    ],
)
def test_products_are_those_of_the_table(
    view: str, name: str, port: str, shape: ArrayShape, array_folder: Path
) -> None:
    multiplier = circuit(name, port)
    array = built(view, multiplier, shape, array_folder)
    wrapped = 0
    for m, k, n in ((1, 1, 1), (7, 11, 6), (40, 3 * shape.rows, 2 * shape.cols)):
        given = array_oracle.operands(multiplier, m, k, n, seed=m)
        product = array.matmul(given.x, given.w, given.x_negative, given.w_negative)
        expected = array_oracle.totals(multiplier, shape, given)[-1]
        assert product.sums.dtype == (np.int64 if shape.acc_bits > 32 else np.int32)
        assert np.array_equal(product.sums, expected)
        assert (product.cycles, product.macs, product.toggles) == (cycles(shape, m, k, n), m * k * n, None)
        wrapped += int((expected != array_oracle.products(multiplier, given).sum(axis=2)).sum())
    assert (wrapped > 0) == (shape.acc_bits == 7)


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_a_whole_array_of_eight_bit_multipliers(view: str, array_folder: Path) -> None:
    multiplier, shape = circuit("exact_8x8", "a"), ArrayShape(8, 8, sum_bits=20, acc_bits=22)
    given = array_oracle.operands(multiplier, 200, 27, 12)
    product = built(view, multiplier, shape, array_folder).matmul(given.x, given.w, given.x_negative, given.w_negative)
    x, w = (np.where(signs, -values, values) for values, signs in
            ((given.x, given.x_negative), (given.w, given.w_negative)))  # fmt: skip
    assert np.array_equal(product.sums, x @ w.T)


@needs_verilator
def test_no_signs_are_positive_ones_and_any_integers_will_do(array_folder: Path) -> None:
    array = built("bitsliced", circuit("exact_4x3", "a"), ODD, array_folder)
    x = np.arange(16, dtype=np.uint8).reshape(2, 8)[:, ::2]
    w = np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4) % 8)
    assert np.array_equal(array.matmul(x, w).sums, x.astype(np.int64) @ w.T)
    negative = array.matmul(x, w, np.ones(x.shape, dtype=bool), None)
    assert np.array_equal(negative.sums, -(x.astype(np.int64) @ w.T))


@needs_verilator
def test_an_empty_product_takes_no_cycle(array_folder: Path) -> None:
    array = built("bitsliced", circuit("exact_4x3", "a"), ODD, array_folder)
    for m, k, n in ((0, 4, 2), (3, 0, 2), (3, 4, 0)):
        product = array.matmul(np.zeros((m, k), dtype=int), np.zeros((n, k), dtype=int))
        assert product.sums.shape == (m, n) and not product.sums.any() and (product.cycles, product.macs) == (0, 0)


@needs_verilator
def test_two_arrays_in_one_process_keep_out_of_each_others_way(array_folder: Path) -> None:
    pairs = []
    for view in VIEWS:
        for name in ("exact_4x3", "booth_6x4"):
            multiplier = circuit(name, "b")
            shape = ODD if name == "exact_4x3" else ArrayShape(2, 3, sum_bits=12, acc_bits=14)
            pairs.append((multiplier, shape, built(view, multiplier, shape, array_folder)))
    for _ in range(2):
        for multiplier, shape, array in pairs:
            given = array_oracle.operands(multiplier, 5, 6, 4)
            product = array.matmul(given.x, given.w, given.x_negative, given.w_negative)
            assert np.array_equal(product.sums, array_oracle.totals(multiplier, shape, given)[-1])


@needs_verilator
def test_totals_after_each_tile_of_a_column_of_tiles(array_folder: Path) -> None:
    multiplier = circuit("exact_4x3", "a")
    given = array_oracle.operands(multiplier, 4, 8, 7)
    array = built("rtl", multiplier, ODD, array_folder)
    expected = array_oracle.totals(multiplier, ODD, given)
    first, last = (array.tile_totals(given.x, given.w, given.x_negative, given.w_negative, n_tile=n) for n in (0, 1))
    assert np.array_equal(np.concatenate([first, last], axis=2), expected)
    with pytest.raises(AgnError, match=r"tile \(2, 2\) of 3 by 2"):
        array.tile_totals(given.x, given.w, n_tile=2)


@needs_verilator
def test_a_waveform_shows_the_totals_of_its_tile(array_folder: Path, tmp_path: Path) -> None:
    multiplier, shape = circuit("exact_3x3", "a"), ArrayShape(2, 2, sum_bits=8, acc_bits=8)
    given = array_oracle.operands(multiplier, 6, 5, 3)
    array = built("bitsliced", multiplier, shape, array_folder)
    path = tmp_path / "a tile.vcd"
    array.waveform(given.x, given.w, given.x_negative, given.w_negative, k_tile=1, n_tile=1, path=path)
    expected = array_oracle.totals(multiplier, shape, given)[1][:, 2:]
    assert [value & 0xFF for value in _totals(path.read_text())] == (expected[:, 0] & 0xFF).tolist()
    with pytest.raises(ToolError, match="a waveform at"):
        array.waveform(given.x, given.w, k_tile=0, n_tile=0, path=tmp_path / "nowhere" / "a.vcd")


def _totals(text: str) -> list[int]:
    """Values of the top's out_totals after each rising edge with out_valid."""
    codes = {name: code for code, name in reversed(re.findall(r"\$var wire +\d+ (\S+) (\w+)(?: \[\S+\])? \$end", text))}
    values: dict[str, str] = {}
    found = []
    for step in text.split("$enddefinitions $end")[1].split("\n#")[1:]:
        time, *changes = step.split("\n")
        for change in changes:
            value, _, code = change.partition(" ") if change.startswith("b") else (change[:1], "", change[1:])
            values[code] = value.removeprefix("b")
        if int(time) % 10 == 0 and values[codes["out_valid"]] == "1":
            found.append(int(values[codes["out_totals"]], 2))
    return found


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": np.full((2, 4), 16)}, "activations as integers .* from 0 to 15.*they go from 16 to 16"),
        ({"w": np.full((3, 4), -1)}, "weights as integers .* from 0 to 7.*they go from -1 to -1"),
        ({"x": np.zeros((2, 4))}, "an array of float64"),
        ({"x": np.zeros(4, dtype=int)}, r"an array of int64 \(4,\)"),
        ({"w": np.zeros((3, 5), dtype=int)}, "they have 4 and 5 columns"),
        ({"x_negative": np.zeros((2, 3), dtype=bool)}, r"signs as bool \(2, 4\)"),
        ({"w_negative": np.zeros((3, 4), dtype=int)}, "an array of int64"),
    ],
)
@needs_verilator
def test_operands_that_do_not_fit_are_refused(
    change: dict[str, np.ndarray], message: str, array_folder: Path
) -> None:
    array = built("bitsliced", circuit("exact_4x3", "a"), ODD, array_folder)
    given = {"x": np.zeros((2, 4), dtype=int), "w": np.zeros((3, 4), dtype=int)} | change
    with pytest.raises(AgnError, match=re.compile(message, re.DOTALL)):
        array.matmul(**given)


@needs_verilator
def test_a_signed_multiplier_takes_no_signs(array_folder: Path) -> None:
    array = built("bitsliced", circuit("booth_6x4", "b"), ArrayShape(2, 3, sum_bits=12, acc_bits=14), array_folder)
    zeros = np.zeros((2, 2), dtype=int)
    with pytest.raises(AgnError, match="two's complement patterns"):
        array.matmul(zeros, zeros, zeros == 0)


def test_arrays_and_views_that_there_are_not() -> None:
    for values in ((0, 1, 8, 8), (1, 65, 8, 8), (1, 1, 1, 8), (1, 1, 8, 64)):
        with pytest.raises(AgnError, match=r"from \d to 6\d"):
            ArrayShape(*values)
    with pytest.raises(AgnError, match="the activation's port"):
        circuit("exact_4x3", "y")
    for view, toggles in (("gates", False), ("rtl", True)):
        with pytest.raises(AgnError, match="a view out of bitsliced, rtl"):
            SystolicArray.build(circuit("exact_4x3", "a"), ODD, view, Path("unused"), toggles=toggles)


@needs_verilator
def test_the_same_array_is_built_once_also_by_two_at_a_time(tmp_path: Path, array_folder: Path) -> None:
    multiplier, shape = circuit("exact_3x3", "a"), ArrayShape(2, 1, sum_bits=7, acc_bits=9)
    texts = array_sources.sources(multiplier, shape)
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: array_library.build(texts, multiplier, shape, array_folder, 600.0), range(2)))
    when = paths[0].stat().st_mtime_ns
    assert paths[0] == paths[1] == array_library.build(texts, multiplier, shape, array_folder, 600.0)
    assert paths[0].stat().st_mtime_ns == when
    wider = ArrayShape(2, 1, sum_bits=7, acc_bits=10)
    with pytest.raises(ToolError, match=r"to finish(.|\n)*more than 0.001 s"):
        array_library.build(array_sources.sources(multiplier, wider), multiplier, wider, array_folder, 0.001)
    two = np.ones((1, 2), dtype=int)
    assert built("rtl", multiplier, wider, array_folder).matmul(two, two).sums.tolist() == [[2]]


@needs_verilator
def test_an_array_that_loses_results_is_an_error(
    array_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in array_sources.accelerator_files():
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace("valid_out <= valid_in", "valid_out <= valid_in & x_in[0]"))
    monkeypatch.setattr(array_sources, "ACCELERATOR", tmp_path)
    multiplier = circuit("exact_3x3", "a")
    array = built("rtl", multiplier, ArrayShape(2, 1, sum_bits=7, acc_bits=9), array_folder)
    odd = Operands(np.full((3, 2), 5), np.full((1, 2), 3), None, None)
    assert array.matmul(odd.x, odd.w).sums.tolist() == [[30]] * 3
    with pytest.raises(ToolError, match="one result from the array for each vector"):
        array.matmul(odd.x - 1, odd.w)


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    multiplier = circuit("exact_3x3", "a")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"lacks: .*a C\+\+ compiler called c\+\+"):
        built("rtl", multiplier, ODD, tmp_path)


@needs_verilator
def test_a_compiler_that_fails_leaves_its_log(
    array_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplier, shape = circuit("exact_3x3", "a"), ArrayShape(1, 2, sum_bits=7, acc_bits=9)
    broken = tmp_path / "harness.cpp"
    broken.write_text(f"#error no such harness\n{array_library.HARNESS.read_text()}")
    monkeypatch.setattr(array_library, "HARNESS", broken)
    with pytest.raises(ToolError, match="no such harness") as caught:
        built("rtl", multiplier, shape, array_folder)
    assert caught.value.log is not None and "no such harness" in caught.value.log.read_text()
