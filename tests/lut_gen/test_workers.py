"""Jobs in worker processes: results as they come, whatever is asked of them; who stops early waits for nothing."""

import multiprocessing
import os

from lut_gen import workers
from lut_gen.errors import LibertyError, ToolError

FAIL = "__import__('lut_gen.library.liberty_reader', fromlist=['load']).load(__import__('pathlib').Path('nowhere'))"
DIE = "__import__('os')._exit(1)"
SLEEP = "__import__('time').sleep(3600)"


def run(*expressions: str, processes: int):
    """Python expressions as jobs: workers cannot import a test's own functions."""
    jobs = [(number, (expression,)) for number, expression in enumerate(expressions)]
    return workers.run(eval, jobs, processes, lambda number: f"job {number}")


def test_results_errors_and_deaths_by_job():
    found = dict(run("2 * 3", FAIL, DIE, "[5]", DIE, "'six'", processes=2))
    assert [found[number] for number in (0, 3, 5)] == [6, [5], "six"]
    assert isinstance(found[1], LibertyError) and "nowhere" in str(found[1])
    for number in (2, 4):
        assert isinstance(found[number], ToolError) and f"wanted job {number}\n" in str(found[number])
    assert multiprocessing.active_children() == []


def test_no_jobs_no_workers():
    assert list(run(processes=2)) == []
    assert workers.count(0, 0) == 0 and workers.count(5, 2) == 2 and workers.count(0, 10**6) == os.cpu_count()


def test_who_stops_early_ends_what_is_in_hand():
    """It would take an hour otherwise."""
    begun = run("1", SLEEP, SLEEP, processes=2)
    assert next(begun) == (0, 1)
    begun.close()
    assert multiprocessing.active_children() == []
