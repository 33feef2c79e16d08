"""Includes: the names that a source gives, and which of a design's files each can mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

_INCLUDE = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)|`include\s*"([^"\n]*)"', re.DOTALL)


def includes_of(text: str) -> list[str]:
    """Names of the files that a source includes, as they stand there; comments and strings aside."""
    return list(dict.fromkeys(match[1] for match in _INCLUDE.finditer(text) if match[1] is not None))


def named_files(name: str, files: Iterable[Path]) -> list[Path]:
    """Of the files that an `include can mean, those that share most folders with it; more than one: ambiguous."""
    wanted = PurePath(name).parts[::-1]
    found = [path for path in files if wanted and path.name == wanted[0]]
    if len(found) < 2:
        return found
    shared = [_shared(wanted, path.parts[::-1]) for path in found]
    return [path for path, count in zip(found, shared, strict=True) if count == max(shared)]


def _shared(parts: tuple[str, ...], others: tuple[str, ...]) -> int:
    pairs = enumerate(zip(parts, others, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(parts), len(others)))
