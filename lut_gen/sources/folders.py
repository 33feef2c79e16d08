"""A user's folder: its lists of designs, its Verilog files and headers, and a line about everything passed over."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lut_gen.errors import DesignError
from lut_gen.sources.source import other_language, read_source

_VERILOG = (".v",)
_HEADERS = (".vh", ".h", ".inc")
_LIST = re.compile(rb"^[ \t]*\[\[[ \t]*design[ \t]*\]\]", re.MULTILINE)
_LARGEST_LOOK = 10_000_000
"""Bytes of a .toml file that are searched for designs."""


def folder_lists(folder: Path, left_out: list[str]) -> list[Path]:
    """The .toml files of a folder that hold [[design]] tables, else the one beside it that is called like it."""
    lists = _holding_designs(_ordinary(folder, (".toml",), left_out), left_out)
    beside = folder.resolve().with_suffix(".toml")
    return lists or _holding_designs([beside] * beside.is_file(), left_out)


def _holding_designs(files: list[Path], left_out: list[str]) -> list[Path]:
    taken = []
    for path in files:
        try:
            with path.open("rb") as file:
                holds = _LIST.search(file.read(_LARGEST_LOOK)) is not None
            reason = "it holds no [[design]] table"
        except OSError as error:
            holds, reason = False, f"it cannot be read: {error.strerror}"
        if holds:
            taken.append(path)
        else:
            left_out.append(f"{path.name}: {reason}")
    return taken


def folder_files(folder: Path) -> tuple[list[Path], list[Path], list[str]]:
    """Verilog files of a folder and its headers, in order of names, and lines about what else stands there."""
    left_out: list[str] = []
    verilog = _ordinary(folder, _VERILOG, left_out)
    headers = _ordinary(folder, _HEADERS, left_out)
    for path in _entries(folder):
        if path.is_dir() and not path.name.startswith("."):
            left_out.append(f"{path.name}: a folder in the folder is not searched; give it by its own name")
        elif other_language(path):
            try:
                read_source(path)
            except DesignError as error:
                left_out.append(f"{path.name}: {error.came}; {error.mend}")
    return verilog, headers, left_out


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DesignError(f"a readable folder {folder}", f"{error.strerror}", "give another folder") from None


def _ordinary(folder: Path, suffixes: tuple[str, ...], left_out: list[str]) -> list[Path]:
    """Ordinary files with these suffixes; a line for each link that leads nowhere or out of the folder, or device."""
    files = []
    for path in _entries(folder):
        if path.suffix.lower() not in suffixes or os.path.isdir(path):
            continue
        if not os.path.isfile(path):
            kind = "a link that leads nowhere" if path.is_symlink() else "no ordinary file"
            left_out.append(f"{path.name}: it is {kind}")
        elif not path.resolve().is_relative_to(folder.resolve()):
            left_out.append(f"{path.name}: a link that leads out of the folder; give the file by its own name")
        else:
            files.append(path)
    return files
