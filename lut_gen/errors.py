"""The one kind of exception that a user's input or machine can cause."""

from __future__ import annotations

from pathlib import Path


class AgnError(Exception):
    """Something that the user can mend: what was wanted, what came instead, and how to mend it.

    `log` names a tool's output, where there is one. The command line prints it without a traceback and
    exits with status 2.
    """

    def __init__(self, wanted: str, came: str, mend: str, log: Path | None = None) -> None:
        self.wanted, self.came, self.mend, self.log = wanted, came, mend, log
        super().__init__(wanted, came, mend, log)

    def __str__(self) -> str:
        text = f"wanted {self.wanted}\n  but {self.came}\n  to mend: {self.mend}"
        return text if self.log is None else f"{text}\n  log: {self.log}"


class DesignError(AgnError):
    """A multiplier's Verilog or its description is not usable."""


class LibertyError(AgnError):
    """A Liberty file is not readable or lacks what is needed."""


class CatalogError(AgnError):
    """A catalog on disk is damaged, missing or of another version."""


class ToolError(AgnError):
    """An external tool is missing, failed or ran out of time."""


def last_lines(text: str, count: int = 10) -> str:
    """The last `count` non-empty lines of a tool's output, indented for an error message."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join("    | " + line for line in lines[-count:]) or "    | (no output)"
