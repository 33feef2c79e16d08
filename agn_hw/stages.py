"""Progress of a long command: one line and bar a stage on the terminal, one JSON line a stage in the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Stages:
    """Runs stages one after another; `log` collects what each took and found."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.log: list[dict[str, Any]] = []

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """A stage of `total` steps (None: unknown); its facts are printed and logged when it ends."""
        started = time.perf_counter()
        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        quiet = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=quiet) as progress:
            stage = Stage(progress, progress.add_task(name, total=total))
            yield stage
        seconds = time.perf_counter() - started
        self.log.append({"stage": name, "seconds": round(seconds, 2), **stage.facts})
        facts = ", ".join(f"{key} {value}" for key, value in stage.facts.items())
        self.console.print(f"{name:<28} {seconds:6.1f} s  {facts}", highlight=False)

    def lines(self) -> str:
        """The log as JSON lines."""
        return "".join(json.dumps(entry) + "\n" for entry in self.log)


class Stage:
    """Handle of a running stage."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task
        self.facts: dict[str, Any] = {}

    def step(self, done: int | None = None, total: int | None = None) -> None:
        """One step further, or `done` of `total`."""
        if done is None:
            self._progress.advance(self._task)
        else:
            self._progress.update(self._task, completed=done, total=total)
