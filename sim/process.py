"""Runs simulators and their builders: in the job's folder, with limits, a short environment and a log.

Every program goes through `run`: none outlives its time limit, and what it started ends with it.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lut_gen import child
from lut_gen.errors import ToolError, last_lines

LIMIT_S = 600.0
"""Time for one build or one simulation: twenty times what 120 multipliers of 8 bits take together."""
MEMORY_BYTES = 8 << 30
"""Address space of each process; the C++ compiler is the largest, with 2 GB for the largest designs tried."""
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
"""All that a simulator sees of the caller's environment; cocotb's own switches, for instance, do not reach it."""


class Failed(ToolError):
    """A program that ended with a failure."""

    def in_users_names(self, names: Mapping[str, str]) -> ToolError:
        """The same with the user's file names: `names` holds each by the name that the program saw."""
        came = re.sub(r"[^\s:'\"]*\b(source_\d+\.v)", lambda match: names.get(match[1], match[0]), self.came)
        return ToolError(self.wanted, came, self.mend, self.log)


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The kept part of the environment, with `changes`."""
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, **(changes or {})}


def run(what: str, command: list[str], log: Path, limit_s: float, changes: Mapping[str, str] | None = None) -> str:
    """Runs a command in the log's folder and returns its output, which is the log; `what` is for messages.

    Raises Failed where it ends with a status other than 0, ToolError where it takes longer than `limit_s`
    seconds or does not start.
    """
    try:
        status = child.run(command, log.parent, log, limit_s, MEMORY_BYTES, environment=environment(changes))
    except subprocess.TimeoutExpired:
        came = f"it ran for more than {limit_s:g} s:\n{last_lines(_text(log))}"
        mend = "look for a combinational loop or an endless loop in the RTL, or simulate fewer designs at once"
        raise ToolError(f"{what} to finish", came, mend, log) from None
    except OSError as error:
        came = f"{shlex.join(command[:1])}: {error.strerror}"
        raise ToolError(f"{what} to start", came, "see `agn-hw doctor`") from None
    text = _text(log)
    if status != 0:
        came = f"it ended with {_ending(status)}:\n{last_lines(text)}"
        raise Failed(f"{what} to succeed", came, "correct what it names", log)
    return text


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def _ending(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    return f"signal {signal.Signals(-status).name} (a process may use {MEMORY_BYTES >> 30} GB)"
