"""A user's Verilog files: read within limits, and refused where they could reach anything but themselves.

Sources are untrusted. Yosys runs `$readmemh` and imported C functions while it elaborates, so a source may name
only the system functions in `_HARMLESS`. `refuse_unsafe` looks at the text after `preprocess`: no comment and no
macro is left there to hide a name in, and that same text is what every tool gets.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from lut_gen.errors import DesignError

LARGEST_SOURCE = 1_000_000
"""Bytes of one file. A flat 8x8 netlist of the largest kind has some 100,000."""

_LANGUAGES = {
    ".vhd": ("VHDL", "translate it, for example with GHDL's `synth --out=verilog`"),
    ".vhdl": ("VHDL", "translate it, for example with GHDL's `synth --out=verilog`"),
    ".sv": ("SystemVerilog", "convert it to Verilog-2005, for example with `sv2v`"),
    ".svh": ("SystemVerilog", "convert it to Verilog-2005, for example with `sv2v`"),
}
_HARMLESS = re.compile(
    r"signed|unsigned|clog2|display|write|strobe|monitor|finish|stop|time|stime|realtime|random|urandom|dumpvars"
    r"|dumpon|dumpoff|error|warning|info|fatal|ln|log10|exp|sqrt|pow|floor|ceil|sin|cos|tan|asin|acos|atan|rtoi"
    r"|itor|realtobits|bitstoreal"
)
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_TOKEN = re.compile(_STRING + r"|\\[^ \t\r\n]+|\$[\w$]*|[^\W\d][\w$]*", re.DOTALL)
_NEW_WORDS = re.compile(
    r"\b(always_(?:comb|ff|latch)|(?:end)?(?:interface|package)|typedef|modport|endclass)\b"
    r"|(?:\b(?:input|output|inout)|;)\s*\b(logic)\s+[\w\\[]"
)


def other_language(path: Path) -> bool:
    """Whether a file's name says VHDL or SystemVerilog."""
    return path.suffix.lower() in _LANGUAGES


def read_source(path: Path) -> bytes:
    """Bytes of a Verilog source. Raises DesignError where it cannot be read, is too large or no Verilog."""
    if other_language(path):
        language, mend = _LANGUAGES[path.suffix.lower()]
        raise DesignError("Verilog sources", f"{path} is {language}", mend)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DesignError(f"a Verilog file at {path}", "it is no ordinary file", "name a file")
        with path.open("rb") as file:
            data = file.read(LARGEST_SOURCE + 1)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        mend = "correct the path or `files` in the list"
        raise DesignError(f"a Verilog file at {path}", f"{getattr(error, 'strerror', error)}", mend) from None
    if len(data) > LARGEST_SOURCE:
        came = f"{path} has {max(status.st_size, len(data))}"
        raise DesignError(f"sources of at most {LARGEST_SOURCE} bytes", came, "give the multiplier alone")
    return data


def refuse_unsafe(text: str, path: Path) -> None:
    """Raises DesignError for system tasks that could touch files or run programs, and for SystemVerilog.

    `text` is preprocessed. Yosys treats the escaped name `\\$readmemh ` as the task itself, so both count.
    """
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "import":
            mend = "describe the circuit in Verilog alone"
            raise DesignError("Verilog without imported functions", place("import", text, match.start(), path), mend)
        name = token.removeprefix("\\")
        if token[0] in "\\$" and name.startswith("$") and _is_task(token, name[1:]):
            wanted = "no system tasks but harmless ones such as $signed and $clog2"
            mend = "remove it: sources may not read or write files (write constants into the source)"
            raise DesignError(wanted, place(name, text, match.start(), path), mend)
    module = re.search(r"\b(?:macro)?module\s+\\\$", text)
    if module is not None:
        came = place("a name that begins with $", text, module.start(), path)
        raise DesignError("modules that are not named like Yosys' own cells", came, "rename the module")
    odd = re.search(r"[^\n\t\x20-\x7e]", re.sub(_STRING, _newlines, text, flags=re.DOTALL))
    if odd is not None:
        came = place(f"the character {odd[0]!a}", text, odd.start(), path)
        raise DesignError("Verilog in ASCII, but for comments and strings", came, "correct the source")


def _is_task(token: str, name: str) -> bool:
    """Plain `$name` must be harmless; an escaped one may be what Yosys writes: `\\$_AND_`, `\\$abc$12$y`."""
    if token[0] == "$":
        return not _HARMLESS.fullmatch(name)
    return name.isalpha() and name.islower() and not _HARMLESS.fullmatch(name)


def _newlines(match: re.Match[str]) -> str:
    return "".join("\n" if letter == "\n" else " " for letter in match[0])


def refuse_new_words(text: str, path: Path) -> None:
    """Raises DesignError for SystemVerilog's words in preprocessed text."""
    match = _NEW_WORDS.search(text)
    if match is not None:
        came = place(f"`{match[1] or match[2]}` (SystemVerilog)", text, match.end(), path)
        raise DesignError("Verilog-2005", came, "convert it, for example with `sv2v`")


def place(what: str, text: str, position: int, path: Path) -> str:
    """ "what in file:line", for messages."""
    return f"{what} stands in {path.name}:{text.count(chr(10), 0, position) + 1}"
