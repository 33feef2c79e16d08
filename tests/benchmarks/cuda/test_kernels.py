"""The CUDA benchmark of products on a processor: what is timed, checked, written and judged."""

import csv
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from agn_hw.kernels import op
from agn_hw.kernels.cuda import form
from benchmarks.cuda import cases, contestants, kernels, report, timing
from benchmarks.cuda.bounds import Machine
from benchmarks.cuda.cases import FAMILY, NOISE, Case, Convolution, Product, case, rank, some_rows, table
from benchmarks.cuda.contestants import Contestant
from benchmarks.cuda.timing import Effort, Entry, race
from benchmarks.operands import error_rank
from lut_gen.errors import ToolError

CPU = torch.device("cpu")
TASKS = (Product(40, 24, 16), Product(1, 20, 9), Convolution(2, 4, 6, 3, 7), Convolution(1, 3, 4, 7, 15, 2),
         Convolution(2, 4, 8, 3, 6, 2, 4))


def test_the_family_has_errors_of_rank_one_to_four():
    for name, wanted in FAMILY.items():
        assert error_rank(table(name).numpy()) == rank(name) == wanted
    assert (table("truncated_1") - table("exact")).abs().max() == 1  # one cell


def test_noise_is_one_residual_byte_on_either_side_of_128():
    numbers = {name: form.of(table(name)).numbers for name in NOISE}
    assert {name: (found.terms, found.planes, found.largest) for name, found in numbers.items()} == {
        "noise_127": (1, 1, 127), "noise_255": (1, 1, 255)}
    assert {(kernels.SQUARE, name) for name in NOISE} <= set(kernels.jobs(quick=False))


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


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "kernels.csv").open() as file:
        return list(csv.DictReader(file))


def test_files_and_the_line_of_json(small, tmp_path, capsys):
    kernels.main(["--quick", "--device", "cpu", "--output", str(tmp_path)])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [answer["wanted"] for answer in last.values()] == [">= 4e+12", ">= 5", ">= 3e+13", ">= 0.25"]
    assert [answer["met"] for answer in last.values()][:3] == ["no", "not measured", "no"]
    rows = read(tmp_path)
    assert len(rows) == 6 * 5 + 4
    assert {row["contestant"] for row in rows} == {"prepared", "operator", "int8", "bf16", "fp32"}
    ours = next(row for row in rows if row["contestant"] == "prepared")
    fp32 = next(row for row in rows if row["contestant"] == "fp32")
    assert float(ours["to_fp32"]) == pytest.approx(float(fp32["seconds"]) / float(ours["seconds"]), rel=1e-3)
    page = (tmp_path / "kernels.md").read_text()
    assert page.count("| broken_array |") == 5 + 4 and "not measured" in page


def run_and_fail(folder: Path, capsys: pytest.CaptureFixture, failures: int) -> tuple[str, dict]:
    """What a run prints that ends in an error for so many failures, and its line of JSON."""
    with pytest.raises(SystemExit, match=rf"^{failures} failed: named above, and in kernels.csv"):
        kernels.main(["--quick", "--device", "cpu", "--output", str(folder)])
    out = capsys.readouterr().out
    return out, json.loads(out.splitlines()[-1])


def test_a_wrong_result_ends_in_an_error_but_not_at_once(small, tmp_path, monkeypatch, capsys):
    right = op.lut_matmul_prepared

    def wrong(one: Case):
        kept = contestants.prepared_weights(one.w, one.lut, one.geometry)
        return lambda: right(one.x, kept) + int(one.table == "truncated_2")

    monkeypatch.setattr(contestants, "_prepared", wrong)
    monkeypatch.setattr(kernels, "jobs", lambda quick: small[:-1])
    out, last = run_and_fail(tmp_path, capsys, 1)
    assert "FAILED 32x32x32 truncated_2 prepared: WrongResult: prepared is wrong on 32x32x32 with table trunc" in out
    found = {(row["table"], row["contestant"]): row for row in read(tmp_path)}
    assert len(found) == 6 * 5 and all(row["tera_lookups"] for row in found.values() if row["how"] != "failed")
    assert [key for key, row in found.items() if row["how"] == "failed"] == [("truncated_2", "prepared")]
    assert {answer["met"] for answer in last.values()} == {"not measured"}  # that table might be the worst


@pytest.mark.parametrize("error", [ToolError("multiply.cu for sm_90", "NVRTC failed", "report it"), KeyError("x")])
def test_a_task_that_fails_is_named_and_the_others_measured(small, tmp_path, monkeypatch, capsys, error):
    def failing(lut: torch.Tensor) -> None:
        if torch.equal(lut, table("broken_array")):
            raise error

    monkeypatch.setattr(kernels, "split_of", failing)
    out, last = run_and_fail(tmp_path, capsys, 2)
    assert f"FAILED 32x32x32 broken_array: {type(error).__name__}: {error}" in out
    assert f"FAILED {TASKS[2].name} broken_array" in out
    rows = read(tmp_path)
    assert len(rows) == 2 + 5 * 5
    assert {(row["table"], row["contestant"]) for row in rows if not row["seconds"]} == {("broken_array", "all")}
    assert {answer["met"] for answer in last.values()} == {"not measured"}
    assert "| broken_array |  |  | all | failed |" in (tmp_path / "kernels.md").read_text()


def test_a_yardstick_that_fails_costs_only_its_own_targets(small, tmp_path, monkeypatch, capsys):
    def refused(one: Case) -> None:
        raise ToolError("texture.cu", "NVRTC: a[/i] [bold]:x:[/bold]", "report it")

    original = kernels.contestants
    monkeypatch.setattr(kernels, "contestants", lambda one: [*original(one), Contestant("texture", refused, True)])
    out, last = run_and_fail(tmp_path, capsys, len(small))
    assert out.count("a[/i] [bold]:x:[/bold]") == len(small)  # brackets and colons as they are
    assert [answer["value"] is None for answer in last.values()] == [False, True, False, False]
    rows = read(tmp_path)
    assert {row["contestant"] for row in rows if row["how"] == "failed"} == {"texture"}
    assert len(rows) == 6 * 6 + 5 and not any(row["to_texture"] for row in rows)


def test_without_any_contestant_the_next_task_is_measured(small, tmp_path, monkeypatch, capsys):
    original = kernels.contestants

    def refused(one: Case) -> None:
        raise MemoryError

    def first_fails(one: Case) -> list[Contestant]:
        return [Contestant("prepared", refused)] if one.table == "random_17_bit" else original(one)

    monkeypatch.setattr(kernels, "contestants", first_fails)
    _, last = run_and_fail(tmp_path, capsys, 1)
    assert [row["how"] for row in read(tmp_path)] == ["failed"] + ["eager"] * (5 * 5 + 4)
    assert [answer["met"] for answer in last.values()][:3] == ["not measured", "not measured", "no"]


def test_only_some_tasks(small, tmp_path):
    kernels.main(["--quick", "--device", "cpu", "--output", str(tmp_path), "--only", "32 truncated_3"])
    assert {(row["task"], row["table"]) for row in read(tmp_path)} == {("32x32x32", "truncated_3")}


def test_no_task_is_begun_after_the_time(small, tmp_path):
    rows = report.Rows(tmp_path / "rows.csv", kernels.COLUMNS)
    kernels.measure_all(small, CPU, Effort(0.0, (1, 1)), -1.0, rows, Console(quiet=True))
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
    del rows[2]["to_int8"], rows[1]["to_texture"]
    met = [answer["met"] for answer in report.judged(kernels.targets(rows)).values()]
    assert met == ["yes", "not measured", "yes", "not measured"]


def test_every_kernel_can_be_profiled():
    assert set(kernels.PROFILED) >= {"multiply", "row_add", "gather", "direct", "texture"}
    assert all(name in (*cases.TABLES, *FAMILY) for _, name in kernels.PROFILED.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(capsys):
    with pytest.raises(SystemExit):
        kernels.main([])
    assert "wanted a CUDA device" in capsys.readouterr().err
