"""Processing elements against whole-number arithmetic, cycle by cycle; their registers, parts and libraries."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from lut_gen.element import simulate, synthesis
from lut_gen.element.assembly import assemble
from lut_gen.element.netlist import ACCUMULATOR, INPUTS, MULTIPLIER, OUTPUTS, REGISTERS, ElementNetlist
from lut_gen.errors import DesignError, LibertyError, ToolError
from lut_gen.library.liberty import Technology
from lut_gen.library.liberty_reader import load
from lut_gen.netlist import Netlist
from tests.lut_gen.element.conftest import MULTIPLIERS
from tests.lut_gen.element.reference import Element

ELEMENTS, CYCLES = 70, 25
CASES = [
    ("exact_4x4", "a", 12), ("exact_4x4", "b", 8), ("signed_4x4", "a", 12), ("signed_4x4", "b", 9),
    ("truncated_5x3", "a", 10), ("truncated_5x3", "b", 10), ("odd_2x5", "a", 11), ("odd_2x5", "b", 11),
    ("signed_odd_3x4", "a", 10), ("signed_odd_3x4", "b", 5), ("exact_4x4", "a", 6), ("exact_8x8", "a", 20),
]  # fmt: skip
"""Multiplier, the activation's port, bits of a sum (more and fewer than the product's)."""


def random_inputs(element: ElementNetlist, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Integers [ELEMENTS] of each port; loads and valid cycles are common, resets rare."""
    often = {"reset": 0.05, "load": 0.3, "valid_in": 0.7, "enable_in": 0.8}
    found = {}
    for name, nets in element.inputs.items():
        draw = rng.integers(0, 2 ** len(nets), ELEMENTS)
        found[name] = (rng.random(ELEMENTS) < often[name]).astype(int) if name in often else draw
    return found


def assert_behaves(element: ElementNetlist, table: np.ndarray, signed: bool, technology: Technology) -> None:
    """Every output of every cycle, from registers that hold whatever they come with."""
    rng = np.random.default_rng(3)
    sum_bits = len(element.outputs["sum_out"])
    state = rng.integers(0, 2**63, (len(element.registers), -(-ELEMENTS // 64)), dtype=np.uint64)
    models = []
    words = simulate.evaluate(element, technology.cells, state, {})
    held = {name: simulate.numbers(element, words, name, ELEMENTS) for name in OUTPUTS}
    for i in range(ELEMENTS):
        models.append(Element(table, signed, sum_bits, **{name: int(held[name][i]) for name in OUTPUTS}))
    for _ in range(CYCLES):
        inputs = random_inputs(element, rng)
        packed = {name: simulate.port(inputs[name], len(element.inputs[name])) for name in INPUTS}
        words = simulate.evaluate(element, technology.cells, state, packed)
        for name in OUTPUTS:
            came = simulate.numbers(element, words, name, ELEMENTS)
            assert came.tolist() == [getattr(model, name) for model in models], name
        state = simulate.clocked(element, words)
        for i, model in enumerate(models):
            model.clock(**{name: int(values[i]) for name, values in inputs.items()})


@pytest.mark.parametrize(("name", "port", "sum_bits"), CASES)
def test_every_recipe_behaves(mapped, technology, work, name, port, sum_bits):
    netlist, signed = mapped(name, technology), MULTIPLIERS[name][2]
    table = netlist.table(technology.cells, signed)
    shape = synthesis.shape_of(netlist, signed, port, sum_bits, technology)
    frames = synthesis.frames(shape, technology, work / "frames")
    assert len(frames) == len(synthesis.RECIPES)
    for frame in frames:
        element = assemble(frame, netlist, port, technology)
        assert_behaves(element, table if port == "a" else table.T, signed, technology)


def test_a_wrong_circuit_is_noticed(element, technology, mapped):
    """The comparison itself: another table, swapped operands, a register with the wrong clock."""
    table = mapped("odd_2x5", technology).table(technology.cells, False)
    right = element("odd_2x5")
    assert_behaves(right, table, False, technology)
    for wrong in (table ^ (table == 9), np.resize(table.T, table.shape)):
        with pytest.raises(AssertionError):
            assert_behaves(right, wrong, False, technology)
    registers = tuple(dataclasses.replace(r, clocked_by=right.inputs["load"][0]) for r in right.registers)
    with pytest.raises(AssertionError):
        assert_behaves(dataclasses.replace(right, registers=registers), table, False, technology)


@pytest.mark.parametrize("name", ["exact_4x4", "signed_4x4"])
def test_registers_and_their_clocks(element, technology, name):
    """Weights behind `load`, activations and sums behind `valid_in`; no sign registers for two's complement."""
    found, signed = element(name), MULTIPLIERS[name][2]
    place = {net: port for port, nets in found.outputs.items() for net in nets if net > 1}
    gated = {place[r.q]: r.clocked_by for r in found.registers}
    load_net, valid = found.inputs["load"][0], found.inputs["valid_in"][0]
    expected = {"valid_out": None, "enable_out": None, "x_out": valid, "sum_out": valid, "w_out": load_net}
    expected |= {} if signed else {"x_sign_out": valid, "w_sign_out": load_net}
    assert gated == expected
    assert found.clock_gate == "dlclkp_1" and {r.cell for r in found.registers} == {"dfxtp_1"}
    assert len(found.registers) == 1 + 1 + 4 + 4 + 12 + (0 if signed else 2)
    assert found.outputs["x_sign_out"] == ((0,) if signed else found.outputs["x_sign_out"])


def test_nets_are_numbered_in_order(element):
    found = element("truncated_5x3")
    nets = [net for name in INPUTS for net in found.inputs[name]] + [r.q for r in found.registers]
    for gate in found.gates:
        assert all(net < 2 + len(nets) for net in gate.inputs.values())
        nets += gate.outputs.values()
    assert nets == list(range(2, found.nets))
    assert all(r.data < found.nets for r in found.registers)


@pytest.mark.parametrize("name", ["truncated_5x3", "signed_4x4"])
def test_the_multiplier_stands_in_it_unchanged(element, mapped, technology, name):
    netlist, found = mapped(name, technology), element(name)
    spliced = found.gates[: len(netlist.gates)]
    operands = (*found.inputs["x_in"], *found.outputs["w_out"])
    nets = dict(zip((0, 1, *netlist.a, *netlist.b), (0, 1, *operands), strict=True))
    for own, gate in zip(netlist.gates, spliced, strict=True):
        assert gate.cell == own.cell and gate.inputs == {pin: nets[net] for pin, net in own.inputs.items()}
        nets.update(zip(own.outputs.values(), (gate.outputs[pin] for pin in own.outputs), strict=True))
    assert set(found.parts[: len(netlist.gates)]) == {MULTIPLIER}


def test_parts(element):
    """Full adders add; no gate of the adder is on the multiplier's side, and the enable bit's are the registers'."""
    found = element("exact_8x8", sum_bits=20)
    adders = [part for gate, part in zip(found.gates, found.parts, strict=True) if gate.cell == "fa_1"]
    assert adders.count(ACCUMULATOR) == 20
    steering = [part for part in found.parts if part == REGISTERS]
    assert 1 <= len(steering) <= 5 and len(found.parts) == len(found.gates)


def test_the_same_bytes_again(element, mapped, technology, tmp_path):
    again = synthesis.synthesise(mapped("exact_4x4", technology), False, "a", 12, technology, tmp_path)
    assert again == element("exact_4x4")


def test_nothing_runs_twice(mapped, technology, tmp_path, monkeypatch):
    netlist = mapped("exact_4x4", technology)
    first = synthesis.synthesise(netlist, False, "a", 12, technology, tmp_path)
    monkeypatch.setattr(synthesis.yosys, "run", lambda *_: pytest.fail("Yosys ran again"))
    assert synthesis.synthesise(netlist, False, "a", 12, technology, tmp_path) == first


def test_a_run_that_failed_is_no_result(mapped, technology, tmp_path, monkeypatch):
    netlist = mapped("exact_4x4", technology)
    with monkeypatch.context() as patched:
        patched.setenv("AGN_HW_YOSYS", "/nonexistent")
        with pytest.raises(ToolError):
            synthesis.synthesise(netlist, False, "a", 12, technology, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(synthesis, "RECIPES", {"abc": ("", "nosuchcommand")})
        with pytest.raises(ToolError, match="nosuchcommand"):
            synthesis.synthesise(netlist, False, "a", 12, technology, tmp_path)
    assert synthesis.synthesise(netlist, False, "a", 12, technology, tmp_path).registers


@pytest.mark.parametrize(("port", "sum_bits", "words"), [("y", 12, "port, a or b"), ("a", 1, "2 to 64"),
                                                         ("a", 65, "2 to 64")])  # fmt: skip
def test_what_cannot_be_asked(mapped, technology, tmp_path, port, sum_bits, words):
    with pytest.raises(DesignError, match=words):
        synthesis.synthesise(mapped("exact_4x4", technology), False, port, sum_bits, technology, tmp_path)


def without(technology: Technology, folder: Path, *cells: str) -> Technology:
    """The built-in library without some cells."""
    text = technology.text().decode()
    for cell in cells:
        text, count = re.subn(rf'(?ms)^  cell \("{cell}"\).*?^  \}}\n', "", text)
        assert count == 1
    path = folder / "cut.lib"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("name", ["exact_4x4", "signed_4x4"])
def test_without_a_clock_gate_registers_hold_by_multiplexers(mapped, technology, tmp_path, name):
    cut = without(technology, tmp_path, "dlclkp_1")
    netlist, signed = mapped(name, technology), MULTIPLIERS[name][2]
    found = synthesis.synthesise(netlist, signed, "a", 12, cut, tmp_path)
    assert found.clock_gate is None and {r.clocked_by for r in found.registers} == {None}
    assert found.parts.count(REGISTERS) >= len(found.registers) - 2
    assert_behaves(found, netlist.table(cut.cells, signed), signed, cut)


def test_without_full_adders(mapped, technology, tmp_path):
    cut = without(technology, tmp_path, "fa_1")
    netlist = mapped("exact_4x4", cut)
    found = synthesis.synthesise(netlist, False, "a", 12, cut, tmp_path)
    assert_behaves(found, netlist.table(cut.cells, False), False, cut)


def test_without_a_flip_flop(mapped, technology, tmp_path):
    cut = without(technology, tmp_path, "dfxtp_1")
    with pytest.raises(LibertyError, match=r"(?s)D flip-flop.*cut\.lib.*take a library"):
        synthesis.synthesise(mapped("exact_4x4", technology), False, "a", 12, cut, tmp_path)


def test_the_original_library(mapped, outside_liberty, tmp_path):
    """Names, units and tables of its own, and several flip-flops and clock gates to choose from."""
    technology = load(outside_liberty)
    netlist: Netlist = mapped("odd_2x5", technology)
    found = synthesis.synthesise(netlist, False, "b", 11, technology, tmp_path)
    assert found.clock_gate == "sky130_fd_sc_hd__dlclkp_1"
    assert {r.cell for r in found.registers} == {"sky130_fd_sc_hd__dfxtp_1"}
    assert_behaves(found, netlist.table(technology.cells, False).T, False, technology)
