"""The text of a Liberty file as nested groups.

    name (arguments) { ... }    a group
    name (arguments);           an attribute of several values
    name : value;               an attribute of one value

Strings lose their quotes and their continued lines; comments go. Nothing is looked up or included: an
`include_file` is an attribute like any other. One pass over the tokens with a stack of open groups, so that
time and memory grow with the file alone, however deep or broken it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lut_gen.errors import LibertyError

_TOKEN = re.compile(
    r"""(?P<gap>(?:[\s\ufeff]|\\\r?\n|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/|//[^\n]*|\#[^\n]*)+)
      | "(?P<string>[^"\\]*(?:\\.[^"\\]*)*)"
      | (?P<mark>[{}();:,])
      | (?P<word>(?:[^\s{}();:,"/\\]|/(?![*/])|\\(?!\r?\n))+)""",
    re.VERBOSE | re.DOTALL,
)
_CONTINUED = re.compile(r"\\\r?\n\s*")


@dataclass
class Group:
    """`kind (args) { ... }`; `items` holds each attribute's values, one list an occurrence."""

    kind: str
    args: list[str]
    items: dict[str, list[list[str]]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Group]:
        """The groups of these kinds, as they stand in the file."""
        return [group for group in self.groups if group.kind in kinds]

    def all(self, key: str) -> list[list[str]]:
        """Values of every occurrence of an attribute."""
        return self.items.get(key, [])

    def values(self, key: str) -> list[str]:
        """Values of the last occurrence; empty where there is none."""
        return self.items[key][-1] if key in self.items else []

    def text(self, key: str, default: str = "") -> str:
        """Value of a simple attribute."""
        return " ".join(self.values(key)).strip() or default

    def names(self) -> list[str]:
        """The names that the arguments list: `pin (A, B)` and `pin ("A B")` are two pins."""
        return [name for arg in self.args for name in arg.split()]


def parse(text: str) -> Group:
    """The one group that the text holds. Raises LibertyError where it is no Liberty text."""
    root = Group("", [])
    open_groups = [root]
    tokens = _Tokens(text)
    while tokens.kind:
        if tokens.take("}"):
            tokens.expect(len(open_groups) > 1, "a '}' closes nothing")
            open_groups.pop()
            tokens.take(";")
        elif not tokens.take(";"):
            group = _statement(tokens, open_groups[-1])
            if group is not None:
                open_groups.append(group)
    tokens.expect(len(open_groups) == 1, f"the file ends within '{open_groups[-1].kind}'")
    tokens.expect(len(root.groups) == 1, f"{len(root.groups)} groups stand at its top")
    return root.groups[0]


def _statement(tokens: _Tokens, parent: Group) -> Group | None:
    """Reads an attribute into `parent`, or the head of a group, which it returns."""
    name = tokens.value
    tokens.expect(tokens.kind == "word", "a name was due")
    tokens.step()
    if tokens.take(":"):
        parent.items.setdefault(name, []).append(_simple(tokens))
        return None
    tokens.expect(tokens.take("("), f"'(' or ':' was due after '{name[:40]}'")
    args = _arguments(tokens)
    if tokens.take("{"):
        group = Group(name, args)
        parent.groups.append(group)
        return group
    parent.items.setdefault(name, []).append(args)
    return None


def _simple(tokens: _Tokens) -> list[str]:
    """All tokens up to `;`, or to the end of the line where that was forgotten; maybe none."""
    parts: list[str] = []
    while tokens.kind and tokens.value_or_mark not in (";", "}"):
        if parts and tokens.new_line:
            break
        parts.append(tokens.value)
        tokens.step()
    return parts


def _arguments(tokens: _Tokens) -> list[str]:
    """Values up to `)`, separated by commas or blanks; `A[3:0]` is one."""
    args: list[str] = []
    while not tokens.take(")"):
        if tokens.take(","):
            continue
        if tokens.take(":"):
            tokens.expect(bool(args) and tokens.kind == "word", "a ':' stands alone")
            args[-1] += ":" + tokens.value
        else:
            tokens.expect(tokens.kind in ("word", "string"), "a value or ')' was due")
            args.append(tokens.value)
        tokens.step()
    return args


class _Tokens:
    """The tokens one by one: `kind` is word, string, mark, or "" at the end; `new_line` if one came before."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.found: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self.end = 0
        self.step()

    def step(self) -> None:
        self.new_line = False
        for match in self.found:
            if match.start() != self.end:
                break
            self.end = match.end()
            if match.lastgroup != "gap":
                self.kind, self.value = str(match.lastgroup), match[str(match.lastgroup)]
                if self.kind == "string" and "\\" in self.value:
                    self.value = _CONTINUED.sub(" ", self.value)
                return
            self.new_line = "\n" in (_CONTINUED.sub("", match[0]) if "\\" in match[0] else match[0])
        self.kind = self.value = ""
        self.expect(self.end == len(self.source), "a string or a comment is not closed")

    @property
    def value_or_mark(self) -> str:
        """The token's text, but nothing for a string: a quoted ";" ends no statement."""
        return "" if self.kind == "string" else self.value

    def take(self, mark: str) -> bool:
        """Steps over this mark if it comes now."""
        if self.kind == "mark" and self.value == mark:
            self.step()
            return True
        return False

    def expect(self, holds: bool, came: str) -> None:
        """Raises LibertyError with the line number unless `holds`."""
        if not holds:
            line = self.source.count("\n", 0, self.end) + 1
            raise LibertyError("a Liberty library", f"{came}, near line {line}", "correct the file")
