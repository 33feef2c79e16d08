"""Sign logic as one netlist with its multiplier: function, area, and energy next to the catalog's separate figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rtl
from lut_gen.design import Design
from lut_gen.energy import power
from lut_gen.energy.operand_energy import OperandEnergy
from lut_gen.energy.sign_logic import sign_row, with_sign_logic
from lut_gen.library import liberty_reader
from lut_gen.netlist import Netlist
from lut_gen.synthesis import synthesise
from tests.lut_gen.oracles import netlists

TECHNOLOGY = liberty_reader.load()
CELLS = TECHNOLOGY.cells


@settings(derandomize=True, deadline=None, max_examples=40)
@given(netlists(CELLS), st.sampled_from("ab"))
def test_the_sign_inverts_the_product(netlist, port):
    bare = netlist.table(CELLS, signed=False)
    signed = with_sign_logic(netlist, TECHNOLOGY, port)
    assert Netlist.from_json(signed.to_json()) == signed  # numbered as netlists are
    axis = "ab".index(port)
    positive, negative = np.split(signed.table(CELLS, signed=True), 2, axis=axis)
    assert positive.tolist() == bare.tolist()
    assert negative.tolist() == (-bare - 1).tolist()
    assert len(signed.gates) - len(netlist.gates) == max(int(bare.max()).bit_length(), 1)


def test_the_row_is_what_yosys_makes_of_its_verilog(tmp_path):
    source = rtl.ROOT / "multipliers" / "sign_magnitude.v"
    ports = {"activation": "product", "weight": "sign", "product": "y"}
    design = Design("sign", "sign", (source,), "sign_magnitude", {"WIDTH": 7}, ports, signed=False)
    mapped = synthesise(design, TECHNOLOGY, tmp_path / "work").netlists["direct"]
    row = sign_row(7, TECHNOLOGY)
    assert row.table(CELLS, signed=True).tolist() == mapped.table(CELLS, signed=True).tolist()
    assert power.area_um2(row, CELLS) == pytest.approx(power.area_um2(mapped, CELLS))


@pytest.mark.parametrize("name", ["exact_2x2", "exact_8x8", "truncated_5x5_d3", "mitchell_8_f2"])
def test_it_costs_what_the_catalog_says(name, catalog):
    multiplier = catalog[name]
    signed = with_sign_logic(multiplier.netlist, TECHNOLOGY)
    area = power.area_um2(signed, CELLS)
    assert area == pytest.approx(multiplier.area_um2 + multiplier.sign_area_um2, rel=1e-8)
    energy = OperandEnergy.of_multiplier(multiplier, TECHNOLOGY)
    uniform = energy.zero_delay(np.ones(energy.signals.shape))
    # The catalog keeps the drivers' internal energy at the bare product's load; here it is at the exclusive-ors'.
    assert uniform == pytest.approx(multiplier.sign_magnitude_energy_fj, rel=0.005)


def test_a_signed_multiplier_needs_none(catalog):
    multiplier = catalog["baugh_wooley_4x4"]
    energy = OperandEnergy.of_multiplier(multiplier, TECHNOLOGY)
    assert energy.netlist == multiplier.netlist
    assert energy.zero_delay(np.ones((16, 16))) == pytest.approx(multiplier.energy_fj, rel=1e-8)
