"""Files of the CUDA benchmarks: CSV rows as they come, the same as Markdown, targets as one line of JSON."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

Row = dict[str, Any]
Target = tuple[str, float | None, str, float]
"""What, the value that was measured (None: it was not), ">=" or "<=", the value wanted."""


class Rows:
    """A CSV file that is whole after every group of rows, so that a run that is cut short loses one group at most."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, list(columns)
        self.rows: list[Row] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerow(self.columns)

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += rows
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writerows({key: written(row.get(key)) for key in self.columns} for row in rows)


def written(value: object) -> str:
    """Four digits of a float, nothing for None."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """A table of these columns."""
    lines = [columns, ["---"] * len(columns), *([written(row.get(key)) for key in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def facts(device: torch.device) -> Row:
    """What the figures depend on besides the code."""
    found: Row = {"torch": torch.__version__, "python": platform.python_version(), "device": str(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "device": properties.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def judged(targets: Sequence[Target]) -> Row:
    """By target: value, wanted and met ("yes", "no", "not measured")."""
    made: Row = {}
    for name, value, sense, wanted in targets:
        met = value is not None and (value >= wanted if sense == ">=" else value <= wanted)
        answer = "not measured" if value is None else "yes" if met else "no"
        shown = None if value is None else float(f"{value:.4g}")
        made[name] = {"value": shown, "wanted": f"{sense} {wanted:g}", "met": answer}
    return made


def write_markdown(path: Path, title: str, device: torch.device, targets: Sequence[Target], tables: str) -> None:
    """A page: the machine, the targets, the tables."""
    machine = ", ".join(f"{key} {value}" for key, value in facts(device).items())
    lines = [{"target": name, **judgement} for name, judgement in judged(targets).items()]
    parts = [f"# {title}", machine, markdown(lines, ("target", "value", "wanted", "met")), tables]
    path.write_text("\n\n".join(parts) + "\n")


def tell(console: Console, what: str, error: Exception) -> None:
    """Names what failed; the start of the error's text as it is, for compilers' logs have brackets and colons too."""
    text = f"{escape(what)}: {type(error).__name__}: {escape(str(error)[:1000])}"
    console.print(f"[red]FAILED[/red] {text}", emoji=False, soft_wrap=True)


def as_json(targets: Sequence[Target]) -> str:
    return json.dumps(judged(targets))
