"""Worker processes that characterise designs; they write to a working folder only.

Each has a lane of its own, so that a worker that dies costs the design it had in hand and no other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from lut_gen import child
from lut_gen.design import Design
from lut_gen.errors import AgnError, ToolError
from lut_gen.figures import characterise
from lut_gen.library import liberty, liberty_reader

Result = tuple[dict[str, Any], bytes, bytes] | AgnError
"""What `characterise` returns or raises."""


def run(designs: list[Design], library: Path, folder: Path, jobs: int) -> Iterator[tuple[Design, Result]]:
    """Results as they finish; each design is worked on in `folder`/NAME. `jobs` 0 means one a core."""
    queue = list(reversed(designs))
    lanes = [_Lane(library) for _ in range(min(jobs or os.cpu_count() or 1, len(designs)))]
    running: dict[Future, tuple[Design, _Lane]] = {}

    def go_on(lane: _Lane) -> None:
        if queue:
            design = queue.pop()
            running[lane.submit(design, folder / design.name)] = design, lane

    try:
        for lane in lanes:
            go_on(lane)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                design, lane = running.pop(future)
                result = _result(future, design)
                go_on(lane)
                yield design, result
    finally:
        for lane in lanes:
            lane.pool.shutdown(cancel_futures=True)


def _result(future: Future, design: Design) -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        came = "the worker process ended (out of memory? a script without `if __name__ == '__main__':`?)"
        return ToolError(f"figures of '{design.name}'", came, "run the command again")


class _Lane:
    """One worker process, replaced when it has died."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self.pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, _start_worker, (self.library, os.getpid()))

    def submit(self, design: Design, folder: Path) -> Future:
        try:
            return self.pool.submit(_job, design, folder)
        except BrokenProcessPool:
            self.pool.shutdown()
            self.pool = self._start()
            return self.pool.submit(_job, design, folder)


_technology: liberty.Technology
_interrupted = False


def _start_worker(library: Path, parent: int) -> None:
    global _technology
    signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    _technology = liberty_reader.load(library)


def _interrupt(*_: object) -> None:
    global _interrupted
    _interrupted = True
    child.stop()


def _follow(parent: int) -> None:
    """Ends this process soon after its parent: a killed build leaves neither workers nor Yosys behind."""
    while os.getppid() == parent:
        time.sleep(0.25)
    child.stop()
    os._exit(1)


def _job(design: Design, folder: Path) -> Result:
    try:
        return characterise(design, _technology, folder)
    except AgnError as error:
        if _interrupted:  # not the design's fault; raised in the parent too, should it have missed its own signal
            raise KeyboardInterrupt from None
        return error
