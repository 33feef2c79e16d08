"""Times what runs on a device: contestants in turn, by the device's own clock, replayed from CUDA graphs.

On a processor (for trying things out) the same, by the processor's clock.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

Run = Callable[[], object]
_PIECE = 2e-3
"""Seconds that one measurement takes at least, by repeating the run."""
_MOST_REPEATS = 200


@dataclass(frozen=True)
class Effort:
    """How long to measure. seconds: aimed at for one contestant; rounds: fewest and most."""

    seconds: float
    rounds: tuple[int, int]


@dataclass
class Entry:
    """A contestant on the start line and its times so far, in seconds of one run. how: "graph" if its runs are replayed
    from a CUDA graph, "eager" if they are launched one by one."""

    name: str
    run: Run
    device: torch.device
    how: str = "eager"
    repeats: int = 1
    times: list[float] = field(default_factory=list)
    replay: Run | None = None

    def measure(self) -> float:
        """Seconds of one run, on average over the repeats."""
        return seconds_of(self.replay or self.run_all, self.device) / self.repeats

    def run_all(self) -> None:
        """All repeats, launched one by one."""
        for _ in range(self.repeats):
            self.run()

    @property
    def best(self) -> float:
        return min(self.times)

    @property
    def median(self) -> float:
        return statistics.median(self.times)


def seconds_of(run: Run, device: torch.device) -> float:
    """One call of `run`, until the device has done it."""
    if device.type != "cuda":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    before.record()
    run()
    after.record()
    after.synchronize()
    return before.elapsed_time(after) / 1e3


def captured(run: Run, repeats: int) -> Run | None:
    """Replays `repeats` runs of what has run before; None where they cannot be captured."""
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            for _ in range(repeats):
                run()
    except Exception:  # whatever an operator that waits for the device raises; the driver's errors are no RuntimeErrors
        torch.cuda.synchronize()
        return None
    return graph.replay


def set_up(name: str, run: Run, device: torch.device, graph: bool = True, piece: float = _PIECE) -> Entry:
    """Runs it a few times (compilers, libraries' choices), and captures it if asked to and possible."""
    entry = Entry(name, run, device)
    for _ in range(3):
        took = seconds_of(run, device)
    entry.repeats = max(1, min(_MOST_REPEATS, round(piece / max(took, 1e-6))))
    if graph and device.type == "cuda":
        entry.replay = captured(run, entry.repeats)
        entry.how = "eager" if entry.replay is None else "graph"
    return entry


def race(entries: Iterable[Entry], effort: Effort) -> None:
    """Measures all in turn, round after round, each round in another order.

    An entry leaves after the most rounds, or after the fewest once it has used its seconds.
    """
    entries = list(entries)
    order = random.Random(0)
    used = dict.fromkeys(range(len(entries)), 0.0)
    for entry in entries:
        entry.measure()
    for done in range(effort.rounds[1]):
        for index in order.sample(range(len(entries)), len(entries)):
            if done >= effort.rounds[0] and used[index] > effort.seconds:
                continue
            entry = entries[index]
            entry.times.append(entry.measure())
            used[index] += entry.times[-1] * entry.repeats


def clock_during(entry: Entry) -> float | None:
    """The multiprocessors' clock in Hz while the entry runs; None where it cannot be asked for."""
    if entry.device.type != "cuda" or not entry.times:
        return None
    calls = max(1, min(500, round(0.1 / (entry.best * entry.repeats))))
    try:
        torch.cuda.clock_rate(entry.device)  # the first question takes longer than the runs
        for _ in range(calls):
            (entry.replay or entry.run_all)()
        return 1e6 * torch.cuda.clock_rate(entry.device)
    except Exception:  # no NVML, or no permission to ask it: figures go without
        return None
    finally:
        torch.cuda.synchronize(entry.device)


def kernels_of(run: Run, device: torch.device) -> str:
    """Our kernels in one run and their parts of its time, as "multiply 70 %, row_add 30 %"; "" on a processor."""
    if device.type != "cuda":
        return ""
    from agn_hw.kernels.cuda import launch

    timed: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
    original = launch.launch

    def recorded(source: str, kernel: str, *rest: Any, **macros: int) -> None:
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        original(source, kernel, *rest, **macros)
        after.record()
        timed.append((kernel, before, after))

    launch.launch = recorded
    try:
        run()
    finally:
        launch.launch = original
    torch.cuda.synchronize(device)
    times: dict[str, float] = {}
    for kernel, before, after in timed:
        times[kernel] = times.get(kernel, 0.0) + before.elapsed_time(after)
    total = sum(times.values()) or 1.0
    return ", ".join(f"{kernel} {100 * part / total:.0f} %" for kernel, part in times.items())
