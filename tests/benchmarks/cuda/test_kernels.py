"""The CUDA benchmark of products on a processor: what is timed, checked, written and judged."""

import csv
import json

import pytest
import torch
from rich.console import Console

from agn_hw.kernels import op
from benchmarks.cuda import cases, contestants, kernels, report, timing
from benchmarks.cuda.bounds import Machine
from benchmarks.cuda.cases import FAMILY, Case, Convolution, Product, case, rank, some_rows, table
from benchmarks.cuda.timing import Effort, Entry, race
from benchmarks.operands import error_rank

CPU = torch.device("cpu")
TASKS = (Product(40, 24, 16), Product(1, 20, 9), Convolution(2, 4, 6, 3, 7), Convolution(1, 3, 4, 7, 15, 2),
         Convolution(2, 4, 8, 3, 6, 2, 4))


def test_the_family_has_errors_of_rank_one_to_four():
    for name, wanted in FAMILY.items():
        assert error_rank(table(name).numpy()) == rank(name) == wanted
    assert (table("truncated_1") - table("exact")).abs().max() == 1  # one cell


@pytest.mark.parametrize("task", TASKS, ids=[task.name for task in TASKS])
def test_cases_are_seeded_and_checked_rows_are_right(task):
    one, again = (case(task, "random_17_bit", CPU) for _ in range(2))
    assert torch.equal(one.x, again.x) and torch.equal(one.w, again.w)
    assert 0.3 < (one.x == 0).float().mean() < 0.7
    y = contestants._operator(one)()
    picked, expected = some_rows(one)
    rows = y[picked] if y.dim() == 2 else y[0].flatten(1).t()[picked]
    assert len(picked) > 0 and torch.equal(rows, expected)
    assert torch.equal(contestants._prepared(one)(), y)
    assert task.lookups == y.numel() * one.w[0].numel()
    contestants.check("operator", one, y)
    y.view(-1)[0] += 1
    with pytest.raises(contestants.WrongResult, match=r"operator is wrong on .* 1 of"):
        contestants.check("operator", one, y)


def test_yardsticks_are_products_of_the_same_shape():
    for task in TASKS[:1] + TASKS[2:]:
        one = case(task, "exact", CPU)
        made = {contestant.name: contestant.set_up(one)() for contestant in contestants.contestants(one)}
        assert {y.shape for y in made.values()} == {made["operator"].shape}
        assert torch.equal(made["fp32"].to(torch.int32), made["operator"])  # the exact table's
    names = [contestant.name for contestant in contestants.contestants(case(TASKS[1], "exact", CPU))]
    assert names == ["prepared", "operator", "bf16", "fp32"]  # no int8 product of one row


def test_a_bound_is_tensor_cores_and_then_shared_memory():
    h200 = Machine("H200", "9.0", 132, 1.755e9)
    lookups = 4096**3
    assert h200.seconds(lookups, 1, 0) == pytest.approx(lookups / (4096 * 132 * 1.755e9))
    assert h200.seconds(lookups, 1, 2) == pytest.approx(lookups * (1 / 4096 + 2 / 128) / (132 * 1.755e9))
    assert Machine("?", "9.9", 1, 1e9).seconds(1, 1, 1) is None and Machine("?", "9.0", 1).seconds(1, 1, 1) is None


def test_entries_run_in_turn(monkeypatch):
    order: list[str] = []
    monkeypatch.setattr(timing, "seconds_of", lambda run, device: run() or 2.0)
    entries = [Entry(name, lambda name=name: order.append(name), CPU) for name in "abc"]
    race(entries, Effort(5.0, (2, 9)))
    rounds = [order[start : start + 3] for start in range(0, len(order), 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds) and len(rounds) == 1 + 3
    assert [entry.times for entry in entries] == [[2.0] * 3] * 3


def test_short_runs_are_repeated(monkeypatch):
    monkeypatch.setattr(timing, "seconds_of", lambda run, device: run() or 1e-3)
    entry = timing.set_up("a", lambda: None, CPU, piece=0.01)
    assert entry.repeats == 10 and entry.measure() == 1e-4 and entry.how == "eager"


@pytest.fixture
def small(monkeypatch):
    square = Product(32, 32, 32)
    monkeypatch.setattr(kernels, "SQUARE", square)
    jobs = [*((square, name) for name in ("random_17_bit", "broken_array", *FAMILY)), (TASKS[2], "broken_array")]
    monkeypatch.setattr(kernels, "jobs", lambda quick: jobs)
    monkeypatch.setattr(kernels, "QUICK", Effort(0.0, (1, 2)))
    return jobs


def test_files_and_the_line_of_json(small, tmp_path, capsys):
    kernels.main(["--quick", "--device", "cpu", "--output", str(tmp_path)])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [answer["wanted"] for answer in last.values()] == [">= 4e+12", ">= 5", ">= 3e+13", ">= 0.25"]
    assert [answer["met"] for answer in last.values()][:3] == ["no", "not measured", "no"]
    with (tmp_path / "kernels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 5 + 4
    assert {row["contestant"] for row in rows} == {"prepared", "operator", "int8", "bf16", "fp32"}
    ours = next(row for row in rows if row["contestant"] == "prepared")
    fp32 = next(row for row in rows if row["contestant"] == "fp32")
    assert float(ours["to_fp32"]) == pytest.approx(float(fp32["seconds"]) / float(ours["seconds"]), rel=1e-3)
    page = (tmp_path / "kernels.md").read_text()
    assert page.count("| broken_array |") == 5 + 4 and "not measured" in page


def test_a_wrong_result_ends_in_an_error_but_not_at_once(small, tmp_path, monkeypatch, capsys):
    right = op.lut_matmul_prepared

    def wrong(one: Case):
        kept = contestants.prepared_weights(one.w, one.lut, one.geometry)
        return lambda: right(one.x, kept) + int(one.table == "truncated_2")

    monkeypatch.setattr(contestants, "_prepared", wrong)
    monkeypatch.setattr(kernels, "jobs", lambda quick: small[:-1])
    with pytest.raises(SystemExit, match="a task failed"):
        kernels.main(["--quick", "--device", "cpu", "--output", str(tmp_path)])
    assert "prepared is wrong on 32x32x32 with table truncated_2" in " ".join(capsys.readouterr().out.split())
    with (tmp_path / "kernels.csv").open() as file:
        assert {row["table"] for row in csv.DictReader(file)} == {name for _, name in small[:-1]} - {"truncated_2"}


def test_only_some_tasks(small, tmp_path):
    kernels.main(["--quick", "--device", "cpu", "--output", str(tmp_path), "--only", "32 truncated_3"])
    with (tmp_path / "kernels.csv").open() as file:
        assert {(row["task"], row["table"]) for row in csv.DictReader(file)} == {("32x32x32", "truncated_3")}


def test_no_task_is_begun_after_the_time(small, tmp_path):
    rows = report.Rows(tmp_path / "rows.csv", kernels.COLUMNS)
    assert kernels.measure_all(small, CPU, Effort(0.0, (1, 1)), -1.0, rows, Console(quiet=True))
    assert rows.rows == [] and (tmp_path / "rows.csv").read_text().startswith("task,table")


def test_targets_want_the_worst_table():
    def row(name: str, rate: float, rank: int, int8: float, texture: float) -> dict:
        ratios = {"tera_lookups": rate, "to_int8": int8, "to_texture": texture}
        return {"task": "4096x4096x4096", "contestant": "prepared", "table": name, "rank": rank, **ratios}

    rows = [row("random_17_bit", 9.0, 256, 0.01, 8.0), row("broken_array", 40.0, 4, 0.06, 40.0),
            row("truncated_1", 80.0, 1, 0.1, 80.0)]
    found = report.judged(kernels.targets(rows))
    assert [(answer["value"], answer["met"]) for answer in found.values()] == [
        (9e12, "yes"), (8.0, "yes"), (4e13, "yes"), (0.2, "no")]
    assert {answer["met"] for answer in report.judged(kernels.targets(rows[1:])).values()} == {"not measured"}


def test_every_kernel_can_be_profiled():
    assert set(kernels.PROFILED) >= {"multiply", "row_add", "gather", "direct", "texture"}
    assert all(name in (*cases.TABLES, *FAMILY) for _, name in kernels.PROFILED.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(capsys):
    with pytest.raises(SystemExit):
        kernels.main([])
    assert "wanted a CUDA device" in capsys.readouterr().err
