"""What Verilog sources declare: modules with parameters, ports and children, as pyverilog reads their frames.

pyverilog is shown no bodies, for it knows too little of them ($display, generate blocks without the word). Yosys'
JSON stays the truth for widths; this serves to find tops and ports before Yosys runs, and to explain a failure.
"""

from __future__ import annotations

import re
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lut_gen.errors import DesignError
from lut_gen.sources.frames import Frame, bare, frames, unreadable
from lut_gen.sources.preprocess import plain_texts
from lut_gen.sources.source import read_source as read_source

LONGEST_PARSE_S = 10.0
"""pyverilog's time for one module's frame."""


@dataclass(frozen=True)
class Port:
    """A port as declared; `width` in bits with the parameters' defaults, None where it cannot be told."""

    name: str
    direction: str
    width: int | None = 1
    signed: bool = False


@dataclass(frozen=True)
class Module:
    """One module of a source: names of its parameters, its ports, and the modules that it instantiates."""

    name: str
    parameters: tuple[str, ...]
    ports: tuple[Port, ...]
    instances: tuple[str, ...]


def modules(files: list[Path]) -> dict[str, Module]:
    """Modules of all files by name. Raises DesignError for what is no Verilog, as far as it has to be read."""
    found: dict[str, Module] = {}
    for path, text in plain_texts(files).items():
        found |= modules_of(text, path)
    return found


@lru_cache(maxsize=64)
def modules_of(text: str, path: Path) -> Mapping[str, Module]:
    """Modules of one preprocessed text, in order; a user-defined primitive is a module without ports."""
    found = {}
    for frame in frames(text, path):
        parameters_and_ports = _declared(_tree(frame, path)) if frame.text else ((), ())
        found[frame.name] = Module(frame.name, *parameters_and_ports, frame.instances)
    return found


@cache
def _parser() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyverilog's own modules warn while they are imported
        from pyverilog.vparser.parser import VerilogParser

        with tempfile.TemporaryDirectory() as folder:
            return VerilogParser(outputdir=folder, debug=False)


class _Clocked:
    """pyverilog's lexer, which gives up after LONGEST_PARSE_S."""

    def __init__(self, lexer: Any) -> None:
        self._lexer, self._end = lexer, time.monotonic() + LONGEST_PARSE_S

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lexer, name)

    def token(self) -> Any:
        if time.monotonic() > self._end:
            raise TimeoutError(f"it took more than {LONGEST_PARSE_S:.0f} s")
        return self._lexer.token()


def _tree(frame: Frame, path: Path) -> Any:
    """The parsed frame. Raises DesignError where pyverilog cannot follow, with the inner constants and without."""
    text = frame.text or ""
    try:
        return _parsed(text, path, frame.name)
    except DesignError:
        return _parsed(re.sub(r"localparam [^;]*;", "", text), path, frame.name)


def _parsed(frame: str, path: Path, name: str) -> Any:
    parser = _parser()
    parser.lexer.reset_lineno()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            tree = parser.parser.parse(frame, lexer=_Clocked(parser.lexer))
        return tree.description.definitions[0]
    except Exception as error:  # ply's and pyverilog's own kinds
        near = re.search(r'before: "(.*)"', str(error), re.DOTALL)
        came = f"the parser stopped in the ports or parameters of '{name}'"
        raise unreadable(path, f"{came}, before '{near[1][:50]}'" if near else f"{came}: {error}") from None


def _declared(definition: Any) -> tuple[tuple[str, ...], tuple[Port, ...]]:
    values: dict[str, int | None] = {}
    parameters: list[str] = []
    declared: dict[str, Any] = {}
    listed = [getattr(port, "first", port) for port in (definition.portlist.ports if definition.portlist else ())]
    items = [*(definition.paramlist.params if definition.paramlist else ()), *(definition.items or ()), *listed]
    for node in (child for item in items for child in (item, *getattr(item, "list", ()))):
        kind = type(node).__name__
        if kind == "Parameter":
            parameters.append(node.name)
        if kind in ("Parameter", "Localparam"):
            values[node.name] = _value(node.value, values)
        elif kind in ("Input", "Output", "Inout"):
            declared[node.name] = node
    names = dict.fromkeys(port.name for port in listed)
    ports = (_port(name, declared.get(name), values) for name in names)
    return tuple(dict.fromkeys(map(bare, parameters))), tuple(ports)


def _port(name: str, node: Any, values: Mapping[str, int | None]) -> Port:
    if node is None:
        return Port(bare(name), "undeclared", None)
    width: int | None = 1
    if node.dimensions is not None:
        width = None
    elif node.width is not None:
        ends = _value(node.width.msb, values), _value(node.width.lsb, values)
        width = None if ends[0] is None or ends[1] is None else abs(ends[0] - ends[1]) + 1
    return Port(bare(name), type(node).__name__.lower(), width, bool(node.signed))


_ARITHMETIC: dict[str, Any] = {
    "Plus": lambda a, b: a + b,
    "Minus": lambda a, b: a - b,
    "Times": lambda a, b: a * b,
    "Divide": lambda a, b: abs(a) // abs(b) * (1 if a * b >= 0 else -1),
    "Sll": lambda a, b: a << b,
    "Srl": lambda a, b: a >> b,
    "Power": lambda a, b: a**b,
}


def _value(node: Any, values: Mapping[str, int | None], depth: int = 0) -> int | None:
    """A constant expression's value, None where it is none or beyond 32 bits."""
    kind, parts = type(node).__name__, node.children() if node is not None else ()
    if depth > 50 or node is None:
        return None
    if kind == "IntConst":
        return _number(node.value)
    if kind == "Identifier":
        return values.get(node.name)
    operands = [_value(part, values, depth + 1) for part in parts]
    if not operands or any(value is None or abs(value) > 2**32 for value in operands):
        return None
    if kind in ("Rvalue", "Uplus"):
        return operands[0]
    if kind == "Uminus":
        return -operands[0]  # type: ignore[operator]
    small = kind not in ("Sll", "Srl", "Power") or 0 <= operands[1] <= 32  # type: ignore[operator]
    if kind in _ARITHMETIC and small and not (kind == "Divide" and operands[1] == 0):
        return _ARITHMETIC[kind](*operands)
    if kind == "SystemCall" and node.syscall == "clog2":
        return max(operands[0] - 1, 0).bit_length()  # type: ignore[operator]
    return None


def _number(text: str) -> int | None:
    match = re.fullmatch(r"(?:\d*'[sS]?([bodhBODH]))?([\da-fA-F_]{1,40})", text)
    if match is None:
        return None
    try:
        return int(match[2], {"b": 2, "o": 8, "d": 10, "h": 16}[(match[1] or "d").lower()])
    except ValueError:
        return None
