"""Directives of the preprocessor: how far each one reaches in the text, and what it says.

Text after a directive's own words is ordinary text, on the same line too. IEEE Std 1364-2005, clause 19.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lut_gen.errors import DesignError
from lut_gen.sources.macros import Macro
from lut_gen.sources.source import place

CONDITIONS = ("ifdef", "ifndef", "elsif", "else", "endif")
_SCALE = r"\s*10{0,2}\s*[munpf]?s"
IGNORED = {
    "celldefine": "",
    "endcelldefine": "",
    "resetall": "",
    "nounconnected_drive": "",
    "end_keywords": "",
    "unconnected_drive": r"\s*pull[01]\b",
    "begin_keywords": r'\s*"[^"\n]*"',
    "timescale": rf"{_SCALE}\s*/{_SCALE}\b",
    "default_nettype": r"\s*[A-Za-z]\w*",
    "line": r'\s*\d+\s*"[^"\n]*"(?:[^\S\n]+[012]\b)?',
    "pragma": r"[^\n]*",
}
"""Directives without a part in synthesis (but `default_nettype none`), with a pattern of their arguments."""
_RESERVED = {*IGNORED, *CONDITIONS, "define", "undef", "include"}
_NAME = r"[A-Za-z_][\w$]*"
_DEFINE = re.compile(rf"\s*({_NAME})(\([^()]*\))?(.*)", re.DOTALL)
_QUOTED_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_LINE = re.compile(r"(?://[^\n]*|/\*.*?(?:\*/|\Z)|\\\n|[^\n\\]|\\(?!\n))*", re.DOTALL)
_TRANSLATE_ON = re.compile(r"(?://|/\*)\s*(?:synopsys|synthesis)\s+translate_on\b")


def arguments_end(name: str, text: str, position: int, path: Path) -> int:
    """Where the arguments of an ignored directive end. Raises DesignError for others than Verilog knows."""
    match = re.compile(IGNORED[name]).match(text, position)
    if match is None:
        came = place(f"`{name}{text[position : end_of_line(text, position)][:50]}", text, position, path)
        raise DesignError(f"the arguments of `{name} as in Verilog-2005", came, "correct it, or remove the directive")
    return match.end()


def undefined(text: str, position: int, path: Path) -> tuple[str, int]:
    """Name after an `undef, and where its line ends. Raises DesignError for anything but one name on the line."""
    end = end_of_line(text, position)
    words = uncommented(text[position:end]).split()
    if len(words) != 1 or not re.fullmatch(_NAME, words[0]):
        came = place(f"`undef of '{' '.join(words)[:50]}'", text, position, path)
        raise DesignError("one macro's name after `undef, and nothing else on its line", came, "correct it")
    return words[0], end


def defined(text: str, position: int, path: Path) -> tuple[str, Macro, int]:
    """Name and macro after a `define, and where its line ends. Raises DesignError for what is no such thing."""
    end = end_of_line(text, position)
    match = _DEFINE.fullmatch(uncommented(text[position:end]).replace("\\\n", " "))
    if match is None or match[1] in _RESERVED:
        raise DesignError("a macro's name", place("`define without one", text, position, path), "correct it")
    if match[2] is None and not match[3].startswith("("):
        return match[1], Macro(None, match[3].strip()), end
    parameters = tuple(parameter.strip() for parameter in (match[2] or match[3])[1:-1].split(","))
    if match[2] is None or (parameters != ("",) and not all(re.fullmatch(_NAME, one) for one in parameters)):
        came = place(f"`define {match[1]}{(match[2] or match[3])[:50]}", text, position, path)
        mend = "write the arguments out in each call: Verilog-2005 has no default arguments"
        raise DesignError(f"plain names as parameters of `{match[1]}", came, mend)
    return match[1], Macro(parameters, match[3].strip()), end


def translate_on_end(text: str, position: int) -> int | None:
    """Where the next translate_on comment ends: a block comment at its */, the other at its line's end."""
    match = _TRANSLATE_ON.search(text, position)
    if match is None:
        return None
    block = match[0].startswith("/*")
    end = text.find("*/" if block else "\n", match.end())
    if end < 0:
        return None if block else len(text)
    return end + 2 if block else end


def end_of_line(text: str, position: int) -> int:
    """Where a directive's line ends; a backslash before the newline continues it, as in a block comment."""
    match = _LINE.match(text, position)
    assert match is not None
    return match.end()


def uncommented(text: str) -> str:
    """A directive's line with a blank for each comment. Raises DesignError for a comment that does not end."""
    return "".join(_uncommented(text))


def _uncommented(text: str) -> Iterator[str]:
    position = 0
    for match in _QUOTED_OR_COMMENT.finditer(text):
        if match[0].startswith("/*") and not match[0].endswith("*/"):
            raise DesignError("comments that end", "a block comment in a directive does not", "correct the source")
        yield text[position : match.start()]
        yield match[0] if match[0][0] == '"' else " "
        position = match.end()
    yield text[position:]
