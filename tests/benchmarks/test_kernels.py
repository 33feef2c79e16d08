"""The benchmark itself, on tiny shapes: files, ratios, the line of JSON, and a wrong result that stops it."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from agn_hw.kernels import reference
from benchmarks import kernels, results
from benchmarks.contestants import Case, Contestant, contestants
from benchmarks.operands import LOW_RANK, Shape, table, uniform_operands

TINY = Shape(2 * 6 * 5, 18, 5, (2, 6, 5))


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(kernels, "QUICK", kernels.Effort(0.01, (1, 2), 60))
    monkeypatch.setattr(kernels, "FULL", kernels.Effort(0.01, (1, 2), 60))


def a_case(shape: Shape) -> Case:
    return Case(shape, *uniform_operands(shape, np.random.default_rng(3)), table("random_17_bit"))


def test_quick_ends_in_a_line_of_json(short, tmp_path, capsys):
    kernels.main(["--quick", "--shapes", "40x9x5", "7x3x11", "--output", str(tmp_path)])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(last) == ["40x9x5", "7x3x11"]
    for ratios in last.values():
        assert ratios["to_fp32"] > 0
        assert ratios["to_scalar"] is None or ratios["to_scalar"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"kernels.csv", "machine.json", "kernels.png"}
    written = pd.read_csv(tmp_path / "kernels.csv")
    assert set(written["table"]) == {LOW_RANK} and set(written["operands"]) == {"real"}
    assert "torch" in json.loads((tmp_path / "machine.json").read_text())


def test_a_full_run_measures_every_combination(short):
    found = kernels.measure([TINY], [1], False, None, Console(quiet=True))
    assert len(found[results.GROUP].drop_duplicates()) == 8
    each = found.groupby(results.GROUP).size()
    assert (each == len(contestants(TINY, None))).all()
    assert (found["seconds"] > 0).all() and (found["seconds"] <= found["median_seconds"]).all()
    results.show(found, Console(quiet=True))


def test_ratios_are_those_of_rates_within_a_group():
    def row(back_end: str, threads: int, rows: int, seconds: float) -> dict[str, object]:
        who = {"back_end": back_end, "threads": threads, "rows": rows, "seconds": seconds}
        return {"shape": "100x10x2", "operands": "real", "table": LOW_RANK, **who}

    found = results.with_ratios(
        pd.DataFrame(
            [
                row("operator", 1, 100, 2e-6),
                row("fp32 matmul", 1, 100, 1e-6),
                row("scalar loop", 1, 10, 1e-6),
                row("operator", 2, 100, 1e-6),
                row("fp32 matmul", 2, 100, 4e-6),
            ]
        )
    )
    assert found["giga_lookups"].tolist() == pytest.approx([1.0, 2.0, 0.2, 2.0, 0.5])
    assert found["to_fp32"].tolist() == pytest.approx([0.5, 1.0, 0.1, 4.0, 1.0])
    assert found["to_scalar"].iloc[:3].tolist() == pytest.approx([5.0, 10.0, 1.0])
    assert found["to_scalar"].iloc[3:].isna().all()
    assert json.loads(results.summary(found)) == {"100x10x2": {"to_fp32": 0.5, "to_scalar": 5.0}}


def test_a_wrong_result_stops_the_benchmark():
    def off_by_one(case: Case, threads: int):
        y = reference.lut_matmul(case.x, case.w, case.lut)
        y[-1, -1] += 1
        return lambda: y

    case = a_case(Shape(50, 6, 4))
    message = r"broken is wrong on 50x6x4: y\[49, 3\] is .*; 1 of \d+ compared sums differ"
    with pytest.raises(kernels.WrongResult, match=message):
        kernels.line_up([Contestant("broken", off_by_one)], case, kernels.expected_rows(case), 1)


def test_a_result_of_the_wrong_size_stops_the_benchmark():
    case = a_case(Shape(50, 6, 4))

    def short_of_a_column(part: Case, threads: int):
        return lambda: reference.lut_matmul(part.x, part.w, part.lut)[:, :3]

    with pytest.raises(kernels.WrongResult, match=r"wanted \[50, 4\] sums for 50x6x4, got \[50, 3\]"):
        kernels.line_up([Contestant("narrow", short_of_a_column)], case, kernels.expected_rows(case), 1)


def test_a_convolution_is_checked_against_its_own_windows():
    case = a_case(TINY)
    wide = torch.nn.functional.pad(case.image.long(), (1, 1, 1, 1))
    y = torch.zeros(2, 5, 6, 5, dtype=torch.int64)
    for n, c, i, j in np.ndindex(*case.filters.shape):
        y[:, n] += case.lut.long()[wide[:, c, i : i + 6, j : j + 5], int(case.filters[n, c, i, j])]

    right = Contestant("right", lambda part, threads: lambda: y.to(torch.int32))
    mirrored = Contestant("mirrored", lambda part, threads: lambda: y.to(torch.int32).flip(3))
    assert len(kernels.line_up([right], case, kernels.expected_rows(case), 1)) == 1
    with pytest.raises(kernels.WrongResult, match="mirrored"):
        kernels.line_up([mirrored], case, kernels.expected_rows(case), 1)


def test_a_loop_on_fewer_rows_is_checked_on_those():
    case = a_case(Shape(500, 6, 4))

    def right(part: Case, threads: int):
        return lambda: reference.lut_matmul(part.x, part.w, part.lut)

    def wrong(part: Case, threads: int):
        return lambda: reference.lut_matmul(part.x, part.w, part.lut) + 1

    (entry,) = kernels.line_up([Contestant("loop", right, most_lookups=240)], case, kernels.expected_rows(case), 1)
    assert entry.rows == 10
    with pytest.raises(kernels.WrongResult):
        kernels.line_up([Contestant("loop", wrong, most_lookups=240)], case, kernels.expected_rows(case), 1)


def test_checked_rows_cover_both_ends():
    assert kernels.checked_rows(3).tolist() == [0, 1, 2]
    many = kernels.checked_rows(1000).tolist()
    assert {0, 1, 2, 3, 996, 997, 998, 999} < set(many)


def test_rounds_go_in_turn_and_slow_ones_leave_early(monkeypatch):
    order: list[str] = []
    clock = [0]
    monkeypatch.setattr(kernels, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(kernels, "PATIENCE", 15)

    def entry(name: str, seconds: int) -> kernels.Entry:
        def run() -> torch.Tensor:
            order.append(name)
            clock[0] += seconds
            return torch.empty(0)

        return kernels.Entry(Contestant(name, lambda case, threads: run), 1, run)

    entries = [entry("fast", 1), entry("slow", 6), entry("slowest", 16)]
    kernels.race(entries, kernels.Effort(30, (2, 6), 60), 1)
    assert [set(order[:3]), set(order[3:5]), order[5:]] == [{"fast", "slow", "slowest"}, {"fast", "slow"}, ["fast"] * 4]
    assert [entry.times for entry in entries] == [[1] * 6, [6] * 2, [16]]


def test_a_late_run_hurries():
    effort = kernels.Effort(4.0, (3, 9), 100)
    assert effort.after(0.0, 0.1) == effort
    assert effort.after(10.0, 0.1) == effort
    assert effort.after(10.5, 0.1) == kernels.Effort(1.0, (1, 9), 100)


def test_more_threads_than_cores_are_refused(capsys):
    with pytest.raises(SystemExit):
        kernels.main(["--threads", "4096"])
    assert "threads on this machine, got [4096]" in capsys.readouterr().err


def test_without_a_compiler_the_rest_is_measured(short, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kernels.yardsticks, "BUILD", tmp_path / "empty")
    monkeypatch.setenv("CXX", "no-such-compiler")
    kernels.main(["--quick", "--shapes", "40x9x5", "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "are left out" in printed
    assert json.loads(printed.splitlines()[-1])["40x9x5"]["to_scalar"] is None
    assert json.loads((tmp_path / "out" / "machine.json").read_text())["compiler"] == "none"
