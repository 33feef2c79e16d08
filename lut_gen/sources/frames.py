"""Frames of modules: header, declarations of ports and parameters, and names of what a module instantiates.

Works on the tokens of preprocessed text, in one pass: two names in a row before a parenthesis are an instance and
nothing else. Bodies may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lut_gen.errors import DesignError

_TOKEN = re.compile(
    r"""\s+|/\*.*?\*/|`default_nettype\ none|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<escaped>\\[^ \t\r\n]+)
    |(?P<number>\d[\d_]*\s*'\s*[sS]?[bBoOdDhH]\s*[\w?]+|'[sS]?[bBoOdDhH]\s*[\w?]+|\d[\d_]*(?:\.\d+)?)
    |(?P<word>[A-Za-z_$][\w$]*)|(?P<mark>\(\*(?!\s*\))|\*\)
    |<<<|>>>|<<|>>|\*\*|[=!]==|[<>=!]=|&&|\|\||[+-]:|~[&|^]|.)""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORD = re.compile(
    r"always|and|assign|automatic|begin|buf|bufif0|bufif1|case|casex|casez|cmos|deassign|default|defparam|disable"
    r"|edge|else|end|endcase|endfunction|endgenerate|endmodule|endprimitive|endspecify|endtable|endtask|event|for"
    r"|force|forever|fork|function|generate|genvar|highz0|highz1|if|ifnone|initial|inout|input|integer|join|large"
    r"|localparam|macromodule|medium|module|nand|negedge|nmos|nor|noshowcancelled|not|notif0|notif1|or|output"
    r"|parameter|pmos|posedge|primitive|pull0|pull1|pulldown|pullup|pulsestyle_onevent|pulsestyle_ondetect|rcmos"
    r"|real|realtime|reg|release|repeat|rnmos|rpmos|rtran|rtranif0|rtranif1|scalared|showcancelled|signed|small"
    r"|specify|specparam|strong0|strong1|supply0|supply1|table|task|time|tran|tranif0|tranif1|tri|tri0|tri1|triand"
    r"|trior|trireg|unsigned|vectored|wait|wand|weak0|weak1|while|wire|wor|xnor|xor"
)
"""Those of configurations aside: other tools take them as names."""
_DECLARING = ("input", "output", "inout", "parameter", "localparam")
_UNKNOWN_TYPES = ("integer", "real", "realtime", "time", "tri", "tri0", "tri1", "triand", "trior", "wand", "wor")
_INNER = {"function": "endfunction", "task": "endtask", "specify": "endspecify"}


@dataclass(frozen=True)
class Frame:
    """A module's name, its text without a body (None for a user-defined primitive), and what it instantiates."""

    name: str
    text: str | None
    instances: tuple[str, ...]

    def names(self, words: Iterable[str]) -> bool:
        """Whether the header has all these words, so that they are ports."""
        header = (self.text or "").split(" ; ", 1)[0].split()
        return set(words) <= set(header)


@lru_cache(maxsize=256)  # the designs of a list mostly share their files
def frames(text: str, path: Path) -> tuple[Frame, ...]:
    """Frames of all modules and primitives, in order. Raises DesignError for a module without name or end."""
    return tuple(_frames(list(_tokens(text)), path))


def _frames(tokens: list[tuple[str, int]], path: Path) -> Iterator[Frame]:
    position = 0
    while position < len(tokens):
        word = tokens[position][0]
        if word not in ("module", "macromodule", "primitive"):
            position += 1
            continue
        last = "endprimitive" if word == "primitive" else "endmodule"
        end = next((i for i in range(position + 1, len(tokens)) if tokens[i][0] in (last, "module")), None)
        if end is None or tokens[end][0] != last:
            raise unreadable(path, f"the {word} in line {tokens[position][1]} has no {last}")
        yield _frame(tokens[position:end], path)
        position = end + 1


def unreadable(path: Path, came: str) -> DesignError:
    """The error for text that is no Verilog."""
    return DesignError(f"Verilog-2005 in {path}", came, "correct the source")


def plain_name(name: str) -> bool:
    """Whether a name can be written as it is: letters, digits, `_` and `$`, no digit first."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", name) is not None


def bare(name: str) -> str:
    """An escaped name without its backslash: `\\m ` and `m` are the same name."""
    return name.removeprefix("\\")


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Tokens with their line numbers; attributes are left out."""
    line, attribute = 1, False
    for match in _TOKEN.finditer(text):
        if match.lastgroup is not None:
            token = "".join(match[0].split()) if match.lastgroup == "number" else match[0]
            attribute = attribute or token == "(*"
            if not attribute:
                yield token, line
            attribute = attribute and token != "*)"
        line += match[0].count("\n")


def _frame(tokens: list[tuple[str, int]], path: Path) -> Frame:
    words = [token for token, _ in tokens]
    if len(words) < 2 or not _is_name(words[1]):
        raise unreadable(path, f"the module in line {tokens[0][1]} has no name")
    name = bare(words[1])
    if words[0] == "primitive":
        return Frame(name, None, ())
    header = _until_semicolon(words, 2)
    shown = ["module the_module", *_shown(list(_full_header(words[2:header]))), ";"]
    for statement in _declarations(words, header):
        shown += [*_shown(statement), ";"]
    instances = dict.fromkeys(_instances(words, header))
    return Frame(name, " ".join([*shown, "endmodule"]), tuple(instances))


def _full_header(header: list[str]) -> Iterator[str]:
    """A header whose every port has its own direction and type, and no initial value: pyverilog drops `signed`
    where ports share a declaration, and knows no values."""
    ports = next((i for i in range(len(header)) if header[i] == "(" and header[i - 1 : i] != ["#"]), len(header))
    if header[:1] == ["#"]:
        ports = _after_brackets(header).get(1, len(header))
    yield from header[: ports + 1]
    shared: list[str] = []
    for number, port in enumerate(_split(header[ports + 1 : -1])):
        port = port[: port.index("=")] if "=" in port else port
        if port and port[0] in _DECLARING:
            names = [i for i, word in enumerate(port) if _is_name(word) and port[i - 1] not in ("[", ":")]
            shared = port[: names[-1]] if names else []
        elif port and _is_name(port[0]):
            port = [*shared, *port]
        yield from [",", *port] if number else port
    yield from header[max(len(header) - 1, ports + 1) :]


def _split(words: list[str]) -> Iterator[list[str]]:
    """Parts between the commas that stand in no brackets."""
    part: list[str] = []
    inside = 0
    for word in words:
        inside += (word in "([{") - (word in ")]}")
        if word == "," and inside == 0:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _shown(words: list[str]) -> Iterator[str]:
    """Words as pyverilog takes them: it knows no `localparam` in a header, no types of parameters, few of nets."""
    inside = 0
    for word in words:
        inside += (word == "(") - (word == ")")
        if word not in _UNKNOWN_TYPES:
            yield "parameter" if word == "localparam" and inside else f"{word} " if word[0] == "\\" else word


def _is_name(word: str) -> bool:
    return word[0] == "\\" or (re.match("[A-Za-z_]", word) is not None and not _KEYWORD.fullmatch(word))


def _until_semicolon(words: list[str], position: int) -> int:
    return next((i for i in range(position, len(words)) if words[i] == ";"), len(words))


def _declarations(words: list[str], position: int) -> Iterator[list[str]]:
    """The module's own declarations of ports and parameters, functions' and tasks' left out."""
    while position < len(words):
        word = words[position]
        if word in _INNER:
            position = next((i for i in range(position, len(words)) if words[i] == _INNER[word]), len(words))
        elif word in _DECLARING:
            end = _until_semicolon(words, position)
            yield words[position:end]
            position = end
        position += 1


def _instances(words: list[str], position: int) -> Iterator[str]:
    """Names of instantiated modules: NAME [#(...)] INSTANCE [range] ( ."""
    after = _after_brackets(words)
    padded = [*words, "", "", ""]
    for i in range(position, len(words)):
        if not _is_name(words[i]) or words[i - 1] in (".", "#"):
            continue
        following, chosen = i + 1, padded[i + 1] == "#"
        if chosen:
            following = after.get(i + 2, len(words)) if padded[i + 2] == "(" else i + 3
        opening = following
        if padded[min(following, len(words))] and _is_name(padded[following]):
            opening = after.get(following + 1, len(words)) if padded[following + 1] == "[" else following + 1
        elif not chosen:
            continue
        if opening < len(words) and words[opening] == "(":
            yield bare(words[i])


def _after_brackets(words: list[str]) -> dict[int, int]:
    """Where the text goes on after each opening bracket's partner."""
    after, open_ones = {}, []
    for i, word in enumerate(words):
        if word in ("(", "["):
            open_ones.append(i)
        elif word in (")", "]") and open_ones:
            after[open_ones.pop()] = i + 1
    return after
