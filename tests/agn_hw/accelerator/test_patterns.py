"""What an array gets of a layer, multiplied by the multiplier's table pair by pair, is the layer's accumulator."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agn_hw import mapping
from agn_hw.accelerator import patterns
from tests.agn_hw.search.pairs.layers import SOURCES, case
from tests.agn_hw.tables import random_lut


def multiplier(a_bits: int, b_bits: int, signed: bool) -> SimpleNamespace:
    lut = random_lut(a_bits, 3000, (2**a_bits, 2**b_bits))
    return SimpleNamespace(name="random", a_bits=a_bits, b_bits=b_bits, signed=signed, lut=lut)


MAPPINGS = {
    "sign magnitude": (multiplier(8, 8, False), mapping.default),
    "narrow, other port": (multiplier(4, 6, False), mapping.default),
    "two's complement": (multiplier(8, 8, True), mapping.default),
    "affine": (multiplier(8, 8, False), mapping.affine),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("kind", MAPPINGS)
def test_sums_over_patterns_are_the_accumulator(name, kind):
    layer, codes = case(name)
    circuit, make = MAPPINGS[kind]
    chosen = make(circuit, activation_port="b" if "other" in kind else "a", codes=layer.in_codes[0])
    layer.set_table(chosen.table8(circuit.lut), chosen.gain)
    with torch.no_grad():
        expected = layer.accumulate(codes)
    table, sums = chosen.oriented(circuit.lut).astype(np.int64), []
    for group in patterns.of_layer(layer, chosen, codes):
        rows, columns = range(len(group.x)), range(len(group.w))
        made = [[group.products(table, row, column).sum() for column in columns] for row in rows]
        sums.append(np.array(made) + group.correction(chosen))
    found = patterns.accumulator(layer, codes, sums)
    assert found.dtype == torch.int32
    assert torch.equal(found, expected.to(torch.int32)) and found.shape == expected.shape
