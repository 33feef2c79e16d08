"""Jobs in worker processes on this machine: designs of a catalog, networks of a sweep.

Each worker has a lane of its own, so that one that dies costs the job it had in hand and no other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from lut_gen import child
from lut_gen.errors import AgnError, ToolError

Key = TypeVar("Key")
Result = TypeVar("Result")


def count(processes: int, jobs: int) -> int:
    """Workers for so many jobs: `processes`, 0 means one a core."""
    return min(processes or os.cpu_count() or 1, jobs)


def run(
    work: Callable[..., Result],
    jobs: Sequence[tuple[Key, tuple[Any, ...]]],
    processes: int,
    wanted: Callable[[Key], str],
) -> Iterator[tuple[Key, Result | AgnError]]:
    """work(*arguments) for each job; yields each job's key with its result, or the AgnError it raised, as they finish.

    `work` and its arguments are pickled. `wanted` says what a job was to give, for the error of a worker that died.
    Whoever stops early (or is killed) ends the workers, and the tools they started, in the middle of their jobs.
    """
    queue = list(reversed(jobs))
    running: dict[Future, tuple[Key, _Lane]] = {}

    def go_on(lane: _Lane) -> None:
        if queue:
            key, arguments = queue.pop()
            running[lane.submit(work, *arguments)] = key, lane

    alive, held = multiprocessing.Pipe(duplex=False)  # held by this process alone: closed when it lets go or dies
    lanes = [_Lane(alive) for _ in range(count(processes, len(jobs)))]
    try:
        for lane in lanes:
            go_on(lane)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                key, lane = running.pop(future)
                result = _result(future, wanted(key))
                go_on(lane)
                yield key, result
    except BaseException:
        held.close()  # no worker goes on with what it has in hand
        raise
    finally:
        for lane in lanes:
            lane.pool.shutdown(cancel_futures=True)
        held.close()
        alive.close()


def _result(future: Future, wanted: str) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        came = "the worker process ended (out of memory? a script without `if __name__ == '__main__':`?)"
        return ToolError(wanted, came, "run the command again")


class _Lane:
    """One worker process, replaced when it has died. It ends when the other end of `alive` is closed."""

    def __init__(self, alive: Connection) -> None:
        self.alive = alive
        self.pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, _start_worker, (self.alive, os.getpid()))

    def submit(self, work: Callable, *arguments: Any) -> Future:
        try:
            return self.pool.submit(_job, work, *arguments)
        except BrokenProcessPool:
            self.pool.shutdown()
            self.pool = self._start()
            return self.pool.submit(_job, work, *arguments)


_interrupted = False


def _start_worker(alive: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_follow, args=(alive, parent), daemon=True).start()


def _interrupt(*_: object) -> None:
    global _interrupted
    _interrupted = True
    child.stop()


def _follow(alive: Connection, parent: int) -> None:
    """Ends this process soon after its parent, which leaves neither workers nor their tools behind."""
    while os.getppid() == parent and not alive.poll(0.25):
        pass
    child.stop()
    os._exit(1)


def _job(work: Callable, *arguments: Any) -> Any:
    try:
        return work(*arguments)
    except AgnError as error:
        if _interrupted:  # not the job's fault; raised in the parent too, should it have missed its own signal
            raise KeyboardInterrupt from None
        return error
