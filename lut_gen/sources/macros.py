"""Macros of the preprocessor: what a call's arguments are, and what its text becomes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lut_gen.errors import DesignError
from lut_gen.sources.source import place


@dataclass(frozen=True)
class Macro:
    """A macro's text, and the names of its parameters (None: it has no parentheses)."""

    parameters: tuple[str, ...] | None
    body: str


def arguments_of(text: str, position: int, path: Path) -> tuple[list[str], int]:
    """Arguments of a macro call whose parenthesis comes next, and where the text goes on."""
    arguments: list[str] = []
    depth, piece = 0, ""
    for match in re.compile(r'"(?:[^"\\\n]|\\.)*"|.', re.DOTALL).finditer(text, position):
        token = match[0]
        depth += (token in "([{") - (token in ")]}")
        if depth == 0 and token == ")":
            return [*arguments, piece.strip()], match.end()
        if depth <= 0:
            if token.isspace():
                continue
            break
        if depth == 1 and token == ",":
            arguments.append(piece.strip())
            piece = ""
        elif not (depth == 1 and token == "(" and not piece and not arguments):
            piece += token
    raise DesignError("a macro's arguments in parentheses", place("a call without", text, position, path), "add them")


def substituted(macro: Macro, arguments: list[str]) -> str:
    """The macro's text with its parameters replaced; strings and numbers stay."""
    values = dict(zip(macro.parameters or (), arguments, strict=False))
    if not values:
        return macro.body
    pattern = r'"(?:[^"\\\n]|\\.)*"|\\\S+|`?[A-Za-z_][\w$]*|\d[\w$]*'
    return re.sub(pattern, lambda match: values.get(match[0], match[0]), macro.body)


def glued(left: str, right: str) -> bool:
    """Whether two characters side by side would make one token, or begin a comment."""
    return bool(left and right and re.fullmatch(r"[\w$\\/*]", left) and re.fullmatch(r"[\w$\\/*]", right))
