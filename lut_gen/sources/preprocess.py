"""Verilog's preprocessor: text without comments, macros and directives, for pyverilog, Yosys and Verilator alike.

Our own, because pyverilog has none, and because what a check has seen must be what a tool reads: a macro could put
a forbidden name together, an `include` could name any file. An include finds only the design's own files: of those
of its name, the one that shares most folders with it. Defined are SYNTHESIS and YOSYS, as in Yosys; `translate_off`
comments are honoured, `full_case` kept. Lines stay where they were. IEEE Std 1364-2005, clause 19.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lut_gen.errors import DesignError
from lut_gen.sources.directives import (
    CONDITIONS,
    IGNORED,
    arguments_end,
    defined,
    end_of_line,
    translate_on_end,
    uncommented,
    undefined,
)
from lut_gen.sources.includes import includes_of, named_files
from lut_gen.sources.macros import Macro, arguments_of, glued, substituted
from lut_gen.sources.source import place, read_source, refuse_new_words, refuse_unsafe

LARGEST_TEXT = 2_000_000
"""Characters of one file after its macros are replaced."""
MOST_EXPANSIONS = 100_000
DEEPEST = 30

_TOKEN = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r'|(?P<string>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<escaped>\\[^ \t\r\n]+)"
    r"|(?P<directive>`[A-Za-z_][\w$]*)"
    r'|(?P<other>[^/"\\`]+|/(?!\*))',
    re.DOTALL,
)
_CONFUSING = {"string": re.compile("`"), "escaped": re.compile('[`"]|//|/\\*')}
"""Tools do not agree about these: in Yosys' preprocessor a directive in an escaped name is a directive."""
_HINT = re.compile(r"(?:/\*|//)\s*(?:synopsys|synthesis)\s+([\w ]+?)\s*(?:\*/)?$")


@dataclass
class _Branch:
    """One open `ifdef: whether its text counts now, whether some part of it has counted, whether it can."""

    active: bool
    taken: bool
    reachable: bool


def plain_texts(files: Sequence[Path]) -> dict[Path, str]:
    """Text of each file after preprocessing, checked for safety; macros reach from file to file, in order.

    A file that another one includes has no text of its own. Raises DesignError.
    """
    raw = {path: read_source(path).decode("utf-8-sig", errors="replace").replace("\r\n", "\n") for path in files}
    named = {path for text in raw.values() for name in includes_of(text) for path in named_files(name, raw)}
    reader = _Preprocessor(raw)
    texts = {path: reader.file(path, text) for path, text in raw.items() if path not in named}
    for path, text in raw.items():
        if path not in texts and path not in reader.included:  # named in a part that does not count
            texts[path] = reader.file(path, text)
    for path, text in texts.items():
        refuse_unsafe(text, path)
        refuse_new_words(text, path)
    return texts


@dataclass
class _Preprocessor:
    sources: dict[Path, str]
    macros: dict[str, Macro] = field(default_factory=lambda: {n: Macro(None, "1") for n in ("SYNTHESIS", "YOSYS")})
    included: set[Path] = field(default_factory=set)
    expansions: int = 0
    characters: int = 0

    def file(self, path: Path, text: str, depth: int = 0) -> str:
        self.expansions = self.characters = 0
        return self.text(text, path, depth)

    def text(self, text: str, path: Path, depth: int) -> str:
        """The text with everything replaced; `depth` counts macros and includes around it."""
        if depth > DEEPEST:
            came = f"those of {path.name} go deeper than {DEEPEST}"
            raise DesignError("macros and includes that end", came, "remove the ones that lead to themselves")
        out: list[str] = []
        branches: list[_Branch] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _unfinished(text, position, path)
            position = match.end()
            active = all(branch.active for branch in branches)
            if match.lastgroup == "directive":
                name = match[0][1:]
                if name in CONDITIONS:
                    position = self._condition(name, text, position, branches, path)
                elif active:
                    position = self._directive(name, text, position, out, path, depth)
            elif match.lastgroup in ("string", "escaped") and _CONFUSING[match.lastgroup].search(match[0]):
                came = place(match[0][:50], text, match.start(), path)
                raise DesignError("strings and escaped names without backquotes, quotes or comments", came, "rename it")
            elif match.lastgroup == "comment":
                piece, position = _comment(match[0], text, position, path)
                out.append(piece if active else _lines(piece))
            else:
                out.append(match[0] if active else _lines(match[0]))
            self._count(out[-1] if out else "", path)
        if branches:
            raise DesignError("an `endif for every `ifdef", f"{path.name} ends before it", "add it")
        return "".join(out)

    def _count(self, piece: str, path: Path) -> None:
        self.characters += len(piece)
        if self.characters > LARGEST_TEXT * 4 or len(piece) > LARGEST_TEXT or self.expansions > MOST_EXPANSIONS:
            wanted = f"macros that make at most {LARGEST_TEXT} characters out of a file"
            raise DesignError(wanted, f"{path.name} makes more", "write the circuit with fewer macros")

    def _condition(self, name: str, text: str, position: int, branches: list[_Branch], path: Path) -> int:
        if name in ("ifdef", "ifndef", "elsif"):
            match = re.compile(r"\s*([A-Za-z_][\w$]*)").match(text, position)
            if match is None:
                came = place(f"`{name} without one", text, position, path)
                raise DesignError("a macro's name", came, "correct it")
            position = match.end()
        if name in ("ifdef", "ifndef"):
            reachable = all(branch.active for branch in branches)
            holds = reachable and (match[1] in self.macros) is (name == "ifdef")  # type: ignore[index]
            branches.append(_Branch(holds, holds, reachable))
            return position
        if not branches:
            raise DesignError("an `ifdef before it", place(f"`{name}", text, position, path), "correct it")
        branch = branches[-1]
        if name == "endif":
            branches.pop()
        else:
            holds = name == "else" or match[1] in self.macros  # type: ignore[index]
            branch.active = branch.reachable and not branch.taken and holds
            branch.taken |= branch.active
        return position

    def _directive(self, name: str, text: str, position: int, out: list[str], path: Path, depth: int) -> int:
        """Adds what a directive or macro stands for to `out`; returns where the text goes on."""
        if name == "define":
            return self._define(text, position, out, path)
        if name == "include":
            return self._include(text, position, out, path, depth)
        if name == "undef":
            gone, end = undefined(text, position, path)
            self.macros.pop(gone, None)
            out.append(_lines(text[position:end]))
            return end
        if name in IGNORED:
            end = arguments_end(name, text, position, path)
            if name == "default_nettype" and text[position:end].strip() == "none" and depth == 0:
                out.append("`default_nettype none")
            apart = "" if text[end : end + 1] == "\n" else " "
            out.append(_lines(text[position:end]) + apart)
            return end
        if name not in self.macros:
            came = place(f"`{name} without a `define", text, position, path)
            raise DesignError("macros that the sources define", came, "define it, or add the file that does")
        macro = self.macros[name]
        arguments: list[str] = []
        if macro.parameters is not None:
            arguments, end = arguments_of(text, position, path)
            out.append(_lines(text[position:end]))
            position = end
            if len(arguments) != len(macro.parameters):
                came = place(f"`{name} with {len(arguments)}", text, position, path)
                raise DesignError(f"{len(macro.parameters)} arguments of `{name}", came, "correct the call")
        self.expansions += 1
        body = substituted(macro, arguments)
        self._count(body, path)
        expanded = self.text(body, path, depth + 1)
        before = out[-1][-1:] if out else ""
        out.append(f" {expanded}" if glued(before, expanded[:1]) else expanded)
        if glued(expanded[-1:], text[position : position + 1]) or text[position : position + 1] == "`":
            out.append(" ")  # two tokens stay two: no name is put together
        return position

    def _define(self, text: str, position: int, out: list[str], path: Path) -> int:
        name, macro, end = defined(text, position, path)
        self.macros[name] = macro
        out.append(_lines(text[position:end]))
        return end

    def _include(self, text: str, position: int, out: list[str], path: Path, depth: int) -> int:
        end = end_of_line(text, position)
        match = re.fullmatch(r'\s*"([^"\n]*)"\s*', uncommented(text[position:end]))
        named = named_files(match[1], self.sources) if match else []
        if len(named) != 1:
            came = place(f"an `include of {text[position:end].strip() or 'nothing'}", text, position, path)
            mend = "add the included file to `files`, or write its text into the source"
            if named:
                came, mend = f"{came}; it could be {', '.join(map(str, named))}", "write more of its path"
            raise DesignError("includes of the design's own files", came, mend)
        included = named[0]
        self.included.add(included)
        content = self.sources[included]
        inside = self.text(content, included, depth + 1)
        out.append(" " + inside.replace("\n", " ") + " ")
        return end


def _unfinished(text: str, position: int, path: Path) -> DesignError:
    kinds = {'"': "a string that does not end on its line", "/": "a comment that does not end",
             "`": "a lone backquote", "\\": "a lone backslash"}
    return DesignError("Verilog-2005", place(kinds[text[position]], text, position, path), "correct the source")


def _comment(comment: str, text: str, position: int, path: Path) -> tuple[str, int]:
    """What stands for a comment, and where the text goes on."""
    hint = _HINT.match(comment) if len(comment) < 100 else None
    words = hint[1].split() if hint else []
    if "translate_off" in words:
        end = translate_on_end(text, position)
        if end is None:
            came = place("translate_off without it", text, position, path)
            raise DesignError("a translate_on comment", came, "add it")
        return f" {_lines(comment)}{_lines(text[position:end])}", end
    kept = [word for word in words if word in ("full_case", "parallel_case")]
    return (f" /* synopsys {' '.join(kept)} */ " if kept else " ") + _lines(comment), position


def _lines(text: str) -> str:
    return "\n" * text.count("\n")
