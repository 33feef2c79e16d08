"""Boolean functions as short expressions of whole words, for the gates of the bit-sliced view.

Libraries write a full adder's sum as four products of three literals; two exclusive-ors do. Each function is expanded
about one input after the other (G. Boole; C. E. Shannon, "The synthesis of two-terminal switching circuits", Bell
System Technical Journal, vol. 28, 1949) in the order that needs the fewest operations.
"""

from __future__ import annotations

from functools import cache

_Table = tuple[int, ...]
"""Outputs by row; bit i of the row's number is input i."""
_MOST_INPUTS = 6  # of a cell; the work is factorial


def shortest(table: _Table, inputs: int) -> str | None:
    """Expression of {0}, {1} ... with &, |, ^, ~ for a truth table as Function.truth_table gives it.

    Constants are ZERO and ONES. None for functions of more inputs than are worth the search.
    """
    if inputs > _MOST_INPUTS:
        return None
    pins = tuple(range(inputs))
    cost, text = _expand(tuple(1 - value for value in table), pins)
    return min(_expand(table, pins), (cost + 1, f"(~{text})"))[1]


@cache
def _expand(table: _Table, pins: tuple[int, ...]) -> tuple[int, str]:
    """Number of operations and expression; row numbers count in `pins`."""
    if len(set(table)) == 1:
        return 0, "ONES" if table[0] else "ZERO"
    return min(_about(table, pins, i) for i in range(len(pins)))


def _about(table: _Table, pins: tuple[int, ...], i: int) -> tuple[int, str]:
    """Expanded about the pin at place i."""
    low = tuple(value for row, value in enumerate(table) if not row >> i & 1)
    high = tuple(value for row, value in enumerate(table) if row >> i & 1)
    rest, pin = (*pins[:i], *pins[i + 1 :]), f"{{{pins[i]}}}"
    (low_cost, low_text), (high_cost, high_text) = _expand(low, rest), _expand(high, rest)
    if low == high:
        return low_cost, low_text
    if all(a != b for a, b in zip(low, high, strict=True)):
        if set(low) == {0} or set(low) == {1}:
            return (0, pin) if not low[0] else (1, f"(~{pin})")
        return min((low_cost + 1, f"({pin} ^ {low_text})"), (high_cost + 2, f"(~({pin} ^ {high_text}))"))
    if all(a <= b for a, b in zip(low, high, strict=True)):
        return _either(low, high, rest, pin)
    if all(a >= b for a, b in zip(low, high, strict=True)):
        cost, text = _either(high, low, rest, f"(~{pin})")
        return cost + 1, text
    return low_cost + high_cost + 4, f"(({pin} & {high_text}) | (~{pin} & {low_text}))"


def _either(less: _Table, more: _Table, pins: tuple[int, ...], literal: str) -> tuple[int, str]:
    """less | (literal & more), where less implies more; any function from `more & ~less` to `more` will do for it."""
    (less_cost, less_text), (more_cost, more_text) = _expand(less, pins), _expand(more, pins)
    if set(more) == {1}:
        return less_cost + 1, f"({less_text} | {literal})"
    if set(less) == {0}:
        return more_cost + 1, f"({literal} & {more_text})"
    for place, pin in enumerate(pins):
        column = [row >> place & 1 for row in range(len(more))]
        if all(b - a <= bit <= b for a, b, bit in zip(less, more, column, strict=True)):
            more_cost, more_text = 0, f"{{{pin}}}"
    return less_cost + more_cost + 2, f"({less_text} | ({literal} & {more_text}))"
