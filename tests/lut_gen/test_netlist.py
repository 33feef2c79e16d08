"""Netlists: bit-parallel against one vector at a time, the file form, and what Yosys may hand over."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lut_gen.errors import CatalogError, DesignError
from lut_gen.library import liberty_reader
from lut_gen.netlist import Netlist, all_operands, from_yosys, pack_bits, unpack_bits
from tests.lut_gen.oracles import net_values, netlists, product

CELLS = liberty_reader.load().cells
PORTS = {"activation": "a", "weight": "b", "product": "y"}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(netlists(CELLS), st.sampled_from([1, 63, 64, 65, 100]), st.integers(0, 2**32 - 1), st.booleans())
def test_bit_parallel_equals_one_vector_at_a_time(netlist, vectors, seed, signed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2 ** len(netlist.a), vectors)
    b = rng.integers(0, 2 ** len(netlist.b), vectors)
    words = netlist.evaluate(CELLS, a, b)
    assert words.shape == (netlist.nets, -(-vectors // 64)) and words.dtype == np.uint64
    bits = np.array([unpack_bits(row, vectors) for row in words])  # [nets, vectors]
    values = netlist.product(words, vectors, signed)
    assert values.dtype == np.int32
    for v in range(vectors):
        expected = net_values(netlist, CELLS, int(a[v]), int(b[v]))
        assert bits[:, v].tolist() == expected
        assert values[v] == product(netlist, expected, signed)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(netlists(CELLS), st.booleans())
def test_table_is_indexed_by_activation_then_weight(netlist, signed):
    table = netlist.table(CELLS, signed)
    assert table.shape == (2 ** len(netlist.a), 2 ** len(netlist.b))
    for a in range(table.shape[0]):
        for b in range(table.shape[1]):
            assert table[a, b] == product(netlist, net_values(netlist, CELLS, a, b), signed)


def test_operand_order():
    a, b = all_operands(2, 1)
    assert a.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert b.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("vectors", [1, 7, 8, 63, 64, 65, 100, 129])
def test_packing_puts_vector_v_in_bit_v(vectors):
    bits = np.random.default_rng(vectors).integers(0, 2, vectors)
    words = pack_bits(bits)
    assert [int(words[v // 64]) >> (v % 64) & 1 for v in range(vectors)] == bits.tolist()
    assert unpack_bits(words, vectors).tolist() == bits.tolist()


def test_signed_product_is_sign_extended_from_its_own_width():
    wires = Netlist((2, 3, 4), (5,), (2, 3, 4), ())
    assert wires.table(CELLS, signed=True)[:, 0].tolist() == [0, 1, 2, 3, -4, -3, -2, -1]
    assert wires.table(CELLS, signed=False)[:, 1].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(netlists(CELLS))
def test_file_form_goes_there_and_back(netlist):
    text = netlist.to_json()
    again = Netlist.from_json(text)
    assert again == netlist and again.to_json() == text


def base_text() -> str:
    return from_yosys(half_adder_module(), PORTS, CELLS).to_json()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data())
def test_damaged_files_raise_catalog_error(data):
    text = base_text()
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start, min(start + 12, len(text))))
    piece = data.draw(st.sampled_from(["", "[", "]", "{", "7", "-1", "2.0", "true", "null", '"', ",", "99999"]))
    damaged = text[:start] + piece + text[stop:]
    try:
        netlist = Netlist.from_json(damaged)
    except CatalogError:
        return
    assert Netlist.from_json(netlist.to_json()) == netlist  # still a whole netlist
    assert netlist.nets > max([*netlist.a, *netlist.b, *netlist.y, 1])


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"schema_version": 2}', "[" * 100_000, "\0"])
def test_other_files_raise_catalog_error(text):
    with pytest.raises(CatalogError, match="a netlist file"):
        Netlist.from_json(text)


@pytest.mark.parametrize("net", [True, 1.0, "1", -1, 6, None])
def test_a_net_is_a_number_that_was_driven_before(net):
    content = {"schema_version": 1, "a": [2], "b": [3], "y": [4], "gates": [["inv_1", {"A": net}, {"Y": 4}]]}
    with pytest.raises(CatalogError):
        Netlist.from_json(json.dumps(content))


def port(direction: str, bits: list) -> dict:
    return {"direction": direction, "bits": bits}


def cell(kind: str, **pins: int | str) -> dict:
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


def module(cells: dict, y: list) -> dict:
    ports = {"a": port("input", [2, 3]), "b": port("input", [4]), "y": port("output", y)}
    return {"ports": ports, "cells": cells, "netnames": {"q": {"bits": [5]}, "r": {"bits": [6]}}}


def half_adder_module() -> dict:
    cells = {"z": cell("inv_1", A=6, Y=7), "m": cell("ha_1", A=2, B=4, COUT=5, SUM=6)}
    return module(cells, [6, 5, 7, 3, "1", "x"])


def test_yosys_cells_are_put_in_order():
    netlist = from_yosys(half_adder_module(), PORTS, CELLS)
    assert [gate.cell for gate in netlist.gates] == ["ha_1", "inv_1"]
    for a in range(4):
        for b in range(2):
            total = (a & 1) + b
            expected = total | (1 - (total & 1)) << 2 | (a >> 1) << 3 | 1 << 4
            assert netlist.table(CELLS, signed=False)[a, b] == expected


def test_an_unconnected_output_is_no_matter():
    netlist = from_yosys(module({"h": cell("ha_1", A=2, B=4, SUM=5)}, [5]), PORTS, CELLS)
    assert netlist.table(CELLS, False).tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("cells", "y", "words"),
    [
        ({"g": cell("nand2_1", A=2, B=6, Y=5), "h": cell("inv_1", A=5, Y=6)}, [5], "loop runs through 'r'"),
        ({"g": cell("nand2_1", A=2, B=9, Y=5)}, [5], "nets that nothing drives"),
        ({"g": cell("nand2_1", A=2, Y=5)}, [5], "nets that nothing drives"),
        ({}, [8, 2], "1 of them have none"),
        ({"g": cell("dfxtp_1", CLK=2, D=3, Q=5)}, [5], "holds a dfxtp_1"),
        ({"g": cell("$_DLATCH_P_", D=2, E=3, Q=5)}, [5], r"holds a \$_DLATCH_P_"),
        ({"g": cell("inv_1", A=2, Y=5), "h": cell("inv_1", A=3, Y=5)}, [5], "net 5 has two"),
        ({"g": cell("inv_1", A=2, Y=3)}, [3], "net 3 has two"),
    ],
    ids=["loop", "undriven", "open pin", "open product", "flip-flop", "latch", "two drivers", "driven input"],
)
def test_circuits_that_are_no_multiplier(cells, y, words):
    with pytest.raises(DesignError, match=words):
        from_yosys(module(cells, y), PORTS, CELLS)
