"""Verilog's preprocessor: text without comments, macros and directives, for pyverilog, Yosys and Verilator alike.

Our own, because pyverilog has none, and because what a check has seen must be what a tool reads: a macro could put
a forbidden name together, an `include` could name any file. An include finds only the design's own files, by their
names alone. Defined are SYNTHESIS and YOSYS, as in Yosys; `translate_off` comments are honoured, `full_case` kept.
Lines stay where they were. IEEE Std 1364-2005, clause 19.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from lut_gen.errors import DesignError
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
_IGNORED = ("timescale", "celldefine", "endcelldefine", "resetall", "line", "pragma", "unconnected_drive",
            "nounconnected_drive", "begin_keywords", "end_keywords")
_CONDITIONS = ("ifdef", "ifndef", "elsif", "else", "endif")
_DEFINE = re.compile(r"\s*([A-Za-z_][\w$]*)(?:\(([^()]*)\))?(.*)", re.DOTALL)
_INCLUDE = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?(?:\*/|\Z)|`include\s*"([^"\n]*)"', re.DOTALL)
_HINT = re.compile(r"(?:/\*|//)\s*(?:synopsys|synthesis)\s+([\w ]+?)\s*(?:\*/)?$")
_TRANSLATE_ON = re.compile(r"(?://|/\*)\s*(?:synopsys|synthesis)\s+translate_on\b[^\n]*")


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
    named = {name for text in raw.values() for name in includes_of(text)}
    reader = _Preprocessor({path.name: (path, text) for path, text in raw.items()})
    texts = {path: reader.file(path, text) for path, text in raw.items() if path.name not in named}
    for path, text in raw.items():
        if path not in texts and path.name not in reader.included:  # named in a part that does not count
            texts[path] = reader.file(path, text)
    for path, text in texts.items():
        refuse_unsafe(text, path)
        refuse_new_words(text, path)
    return texts


def includes_of(text: str) -> list[str]:
    """Names, without folders, of the files that a source includes; comments and strings aside."""
    return [PurePath(match[1]).name for match in _INCLUDE.finditer(text) if match[1] is not None]


@dataclass
class _Preprocessor:
    sources: dict[str, tuple[Path, str]]
    macros: dict[str, Macro] = field(default_factory=lambda: {n: Macro(None, "1") for n in ("SYNTHESIS", "YOSYS")})
    included: set[str] = field(default_factory=set)
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
                if name in _CONDITIONS:
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
        if name in _IGNORED or name in ("undef", "default_nettype"):
            end = _end_of_line(text, position)
            if name == "undef":
                self.macros.pop(text[position:end].strip(), None)
            elif name == "default_nettype" and text[position:end].strip() == "none" and depth == 0:
                out.append("`default_nettype none")
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
        end = _end_of_line(text, position)
        line = "".join(_uncommented(text[position:end]))
        match = _DEFINE.fullmatch(line.replace("\\\n", " "))
        if match is None or match[1] in (*_IGNORED, *_CONDITIONS, "define", "undef", "include", "default_nettype"):
            raise DesignError("a macro's name", place("`define without one", text, position, path), "correct it")
        parameters = None
        if match[2] is not None:
            parameters = tuple(parameter.strip() for parameter in match[2].split(","))
        self.macros[match[1]] = Macro(parameters, match[3].strip())
        out.append(_lines(text[position:end]))
        return end

    def _include(self, text: str, position: int, out: list[str], path: Path, depth: int) -> int:
        end = _end_of_line(text, position)
        match = re.fullmatch(r'\s*"([^"\n]*)"\s*', "".join(_uncommented(text[position:end])))
        name = PurePath(match[1]).name if match else ""
        if name not in self.sources:
            came = place(f"an `include of {text[position:end].strip() or 'nothing'}", text, position, path)
            mend = "add the included file to `files`, or write its text into the source"
            raise DesignError("includes of the design's own files", came, mend)
        self.included.add(name)
        included, content = self.sources[name]
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
        on = _TRANSLATE_ON.search(text, position)
        if on is None:
            came = place("translate_off without it", text, position, path)
            raise DesignError("a translate_on comment", came, "add it")
        return _lines(comment) + _lines(text[position : on.end()]), on.end()
    kept = [word for word in words if word in ("full_case", "parallel_case")]
    return (f" /* synopsys {' '.join(kept)} */ " if kept else " ") + _lines(comment), position


def _lines(text: str) -> str:
    return "\n" * text.count("\n")


def _end_of_line(text: str, position: int) -> int:
    """Where a directive's line ends; a backslash before the newline continues it, as in a block comment."""
    line = re.compile(r"(?://[^\n]*|/\*.*?(?:\*/|\Z)|\\\n|[^\n\\]|\\(?!\n))*", re.DOTALL)
    match = line.match(text, position)
    assert match is not None
    return match.end()


def _uncommented(text: str) -> Iterator[str]:
    position = 0
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?(?:\*/|\Z)', text, re.DOTALL):
        if match[0].startswith("/*") and not match[0].endswith("*/"):
            raise DesignError("comments that end", "a block comment in a directive does not", "correct the source")
        yield text[position : match.start()]
        yield match[0] if match[0][0] == '"' else " "
        position = match.end()
    yield text[position:]
