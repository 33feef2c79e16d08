"""Netlists as text and as Yosys' modules, damaged at random: CatalogError and DesignError only."""

import copy
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lut_gen.errors import CatalogError, DesignError
from lut_gen.netlist import Gate, Netlist, from_yosys
from tests.fuzz.mutations import TRIES, mutated

GATES = (Gate("and2", {"A": 2, "B": 4}, {"X": 6}), Gate("fa", {"A": 6, "B": 3, "C": 5}, {"S": 7, "X": 8}))
NETLIST = Netlist((2, 3), (4, 5), (6, 7, 8), GATES)
TEXT = NETLIST.to_json().encode()
WORDS = [
    b"[",
    b"]",
    b"{",
    b"}",
    b"[" * 3000,
    b"1",
    b"0",
    b"-1",
    b"1.5",
    b"1e9",
    b"9" * 5000,
    b"true",
    b"null",
    b'"a":',
    b",",
]

PORTS = {"activation": "a", "weight": "b", "product": "y"}
CELLS = {
    "and2": SimpleNamespace(inputs=("A", "B"), functions={"X": None}, sequential=False),
    "fa": SimpleNamespace(inputs=("A", "B", "C"), functions={"S": None, "X": None}, sequential=False),
    "dff": SimpleNamespace(inputs=("D",), functions={"Q": None}, sequential=True),
}
MODULE = {
    "ports": {"a": {"bits": [2, 3]}, "b": {"bits": [4, 5]}, "y": {"bits": [6, 7, "0"]}},
    "cells": {
        "u1": {"type": "and2", "connections": {"A": [2], "B": [4], "X": [6]}},
        "u0": {"type": "fa", "connections": {"A": [6], "B": [3], "C": ["1"], "S": [7], "X": [8]}},
    },
    "netnames": {"n": {"bits": [6]}, "m": {"bits": [7]}},
}
VALUES = st.sampled_from(
    [0, 1, 2, 6, 7, 8, -1, "0", "1", "x", "q", None, True, 2.0, [], [2], [6], {}, "dff", "and2", "fa", [[]]]
)


def same_form(netlist):
    """What every netlist that was read keeps to."""
    if max(len(netlist.a + netlist.b), len(netlist.y)) < 32:  # synthesis checks widths before from_yosys
        assert Netlist.from_json(netlist.to_json()) == netlist
    known = 2 + len(netlist.a) + len(netlist.b)
    for gate in netlist.gates:
        assert all(0 <= net < known for net in gate.inputs.values())
        known += len(gate.outputs)
    assert known == netlist.nets and all(0 <= net < known for net in netlist.y)


def test_the_sound_ones_are_read():
    assert Netlist.from_json(TEXT.decode()) == NETLIST
    same_form(from_yosys(copy.deepcopy(MODULE), PORTS, CELLS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"schema_version": 2}',
        TEXT.decode().replace("[6,7,8]", "[]"),
        TEXT.decode().replace("[6,7,8]", str([6] * 32)),
        TEXT.decode().replace("[6,7,8]", str([6] * 1_000_000)),
        TEXT.decode().replace("[6,7,8]", "[9]"),
        TEXT.decode().replace('"a":[2,3]', '"a":[2,4]'),
        TEXT.decode().replace('"A":2', '"A":6'),  # its own output: a loop
        TEXT.decode().replace('"A":2', '"A":true'),
        TEXT.decode().replace('{"S":7,"X":8}', '{"X":7,"S":8}'),
        TEXT.decode().replace('"and2"', "7"),
        TEXT.decode() + " " * 2**25,
    ],
    ids=range(14),
)
def test_text_that_is_no_netlist(text):
    with pytest.raises(CatalogError, match="a netlist file"):
        Netlist.from_json(text)


@TRIES
@given(mutated([TEXT], WORDS))
def test_damaged_text(data):
    try:
        netlist = Netlist.from_json(data.decode(errors="replace"))
    except CatalogError as error:
        assert len(str(error)) < 1000
    else:
        same_form(netlist)


@TRIES
@given(mutated([json.dumps(MODULE).encode()], [*WORDS, b'"X": [6]', b'"x"', b'"fa"', b'"dff"', b"[6]"]))
def test_a_module_from_damaged_text(data):
    try:
        module = json.loads(data)
    except (ValueError, RecursionError):
        return
    read(module)


def read(module):
    try:
        netlist = from_yosys(module, PORTS, CELLS)
    except DesignError as error:
        assert len(str(error)) < 1000
    else:
        same_form(netlist)


def places(value, path=()):
    """The path of everything in a nested structure."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@TRIES
@given(st.lists(st.tuples(st.sampled_from([p for p in places(MODULE) if p]), VALUES), min_size=1, max_size=3))
def test_a_module_with_parts_replaced(changes):
    module = copy.deepcopy(MODULE)
    for path, value in changes:
        place = module
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took that place away
    read(module)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_long_chain_of_gates(backwards):
    """A reader that looks through all gates for each does not come to the end of this, in whichever order they come."""
    count = 20_000
    order = range(count - 1, -1, -1) if backwards else range(count)
    nets = [2, *range(6, 6 + count)]
    cells = {
        f"u{place:06}": {"type": "and2", "connections": {"A": [nets[i]], "B": [4], "X": [nets[i + 1]]}}
        for place, i in enumerate(order)
    }
    ports = MODULE["ports"] | {"y": {"bits": [nets[-1]]}}
    netlist = from_yosys({"ports": ports, "cells": cells}, PORTS, CELLS)
    assert [gate.inputs["A"] for gate in netlist.gates] == nets[:-1] and netlist.y == (nets[-1],)
