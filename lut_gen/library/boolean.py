"""Boolean functions as Liberty writes them: parsed once, evaluated on machine words.

Operators, tightest first, as the Liberty reference manual orders them: `!` before or `'` after an operand
(not), `^` (xor), `&`, `*` or a blank between operands (and), `|` or `+` (or). So `A & B ^ C` is `A & (B ^
C)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lut_gen.errors import LibertyError

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]]*|[01]|[()!'^&*|+])")
_LONGEST, _DEEPEST = 500, 40  # tokens, nested operands; keeps clear of the interpreter's own limits


@dataclass(frozen=True)
class Function:
    """A Boolean function of named pins, kept as a Python expression of `&`, `|`, `^` and `ones ^ x`."""

    text: str

    @cached_property
    def _parsed(self) -> tuple[str, tuple[str, ...]]:
        parser = _Parser(self.text)
        return parser.parse(), tuple(dict.fromkeys(parser.pins))

    @property
    def pins(self) -> tuple[str, ...]:
        """Names of the pins in order of first appearance."""
        return self._parsed[1]

    @cached_property
    def _code(self) -> Any:
        return compile(self._parsed[0], "<liberty function>", "eval")

    def __getstate__(self) -> dict[str, str]:
        return {"text": self.text}

    def evaluate(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Bitwise value, for unsigned integer arrays of equal shape and dtype by pin."""
        words = [values[pin] for pin in self.pins]
        ones = ~np.zeros_like(words[0]) if words else np.uint64(2**64 - 1)
        names = {f"p{i}": word for i, word in enumerate(words)}
        return eval(self._code, {"__builtins__": {}}, {"ones": ones, "zero": ones ^ ones, **names})

    def verilog(self, name: Callable[[str], str] = str) -> str:
        """The function as a Verilog expression; `name` writes each pin."""
        words = {"ones": "1'b1", "zero": "1'b0", **{f"p{i}": name(pin) for i, pin in enumerate(self.pins)}}
        return re.sub(r"ones|zero|p\d+", lambda match: words[match[0]], self._parsed[0])

    def liberty(self) -> str:
        """The function in one style of Liberty: `!`, `&`, `|`, `^` and all parentheses."""
        words = {"ones^": "!", "ones": "1", "zero": "0", **{f"p{i}": pin for i, pin in enumerate(self.pins)}}
        return re.sub(r"ones\^|ones|zero|p\d+", lambda match: words[match[0]], self._parsed[0])

    def truth_table(self, pins: tuple[str, ...]) -> tuple[int, ...]:
        """Outputs for all input rows of `pins`; row r gives pin i the bit i of r."""
        rows = np.arange(2 ** len(pins), dtype=np.uint8)
        values = {pin: (rows >> i) & 1 for i, pin in enumerate(pins)}
        return tuple(int(bit) for bit in np.broadcast_to(self.evaluate(values), rows.shape) & 1)


class _Parser:
    """Recursive descent; pins become p0, p1, ... so that no text of a file is ever executed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pins: list[str] = []
        self.tokens: list[str] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._error(f"'{text[position:].strip()[0]}' stands in it")
            self.tokens.append(match[1])
            position = match.end()
        self.position = 0
        self.depth = 0
        if len(self.tokens) > _LONGEST:
            raise self._error(f"it is longer than {_LONGEST} operands and operators")

    def _error(self, came: str) -> LibertyError:
        return LibertyError(
            "a Boolean function of Liberty's form, such as \"(A & B) | !C\"",
            f"{came}: {self.text[:200]!r}",
            "correct the cell's `function` attribute",
        )

    def _peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def parse(self) -> str:
        if not self.tokens:
            raise self._error("it is empty")
        expression = self._or()
        if self._peek():
            raise self._error(f"'{self._peek()}' is left over")
        return expression

    def _or(self) -> str:
        terms = [self._and()]
        while self._peek() in ("|", "+"):
            self.position += 1
            terms.append(self._and())
        return f"({'|'.join(terms)})" if len(terms) > 1 else terms[0]

    def _and(self) -> str:
        factors = [self._xor()]
        while self._peek() and self._peek() not in (")", "|", "+", "^", "'"):
            if self._peek() in ("&", "*"):
                self.position += 1
            factors.append(self._xor())
        return f"({'&'.join(factors)})" if len(factors) > 1 else factors[0]

    def _xor(self) -> str:
        terms = [self._not()]
        while self._peek() == "^":
            self.position += 1
            terms.append(self._not())
        return f"({'^'.join(terms)})" if len(terms) > 1 else terms[0]

    def _not(self) -> str:
        token = self._peek()
        self.position += 1
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._error(f"it nests deeper than {_DEEPEST} levels")
        value = self._operand(token)
        inverted = False
        while self._peek() == "'":
            self.position += 1
            inverted = not inverted
        self.depth -= 1
        return f"(ones^{value})" if inverted else value

    def _operand(self, token: str) -> str:
        if token == "!":
            return f"(ones^{self._not()})"
        if token == "(":
            value = self._or()
            if self._peek() != ")":
                raise self._error("a ')' is missing")
            self.position += 1
            return value
        if token in ("0", "1"):
            return "ones" if token == "1" else "zero"
        if re.match(r"[A-Za-z_]", token):
            if token not in self.pins:
                self.pins.append(token)
            return f"p{self.pins.index(token)}"
        raise self._error(f"an operand was due where '{token}' stands" if token else "it ends too early")
