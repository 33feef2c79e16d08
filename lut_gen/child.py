"""Outside tools as bounded child processes: limits on time, memory and output, ended with all their children."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MEMORY_BYTES = 4 << 30
"""Address space of a tool: tens of times what an 8-bit multiplier takes."""
OUTPUT_BYTES = 1 << 30
"""Largest file that a tool may write, its log included; a compiler's precompiled header has a hundred megabytes."""

_running: set[subprocess.Popen[bytes]] = set()


def run(
    command: list[str],
    folder: Path,
    log: Path,
    timeout_s: float,
    memory_bytes: int = MEMORY_BYTES,
    output_bytes: int = OUTPUT_BYTES,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Runs a command in `folder`, its output into `log`; returns the exit status (negative: the signal that ended it).

    The child has a session of its own, so that it and what it starts end together: at the latest after `timeout_s`
    seconds. Raises subprocess.TimeoutExpired then, OSError where it cannot be started.
    """
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            env=None if environment is None else dict(environment),
        )
        _running.add(process)
        try:
            _limit(process.pid, timeout_s, memory_bytes, output_bytes)
            return process.wait(timeout_s)
        finally:
            _end(process)
            process.wait()
            _running.discard(process)


def _limit(process: int, timeout_s: float, memory_bytes: int, output_bytes: int) -> None:
    """Sets the limits from outside (Linux); the seconds of computing also end a child whose parent was killed."""
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: output_bytes,
        resource.RLIMIT_CPU: int(timeout_s) + 1,
        resource.RLIMIT_CORE: 0,
    }
    if hasattr(resource, "prlimit"):
        with suppress(ProcessLookupError, ValueError):  # it has ended, or stands under a stricter limit
            for kind, most in limits.items():
                resource.prlimit(process, kind, (most, most))


def stop() -> None:
    """Ends all runs in progress, with all their children."""
    for process in list(_running):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the session; its leader may be gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
