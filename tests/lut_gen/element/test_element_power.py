"""Costs of toggles and clocks: worked out by hand, and against the multiplier's own and a whole array's pins."""

import dataclasses

import numpy as np
import pytest

from lut_gen.element import simulate
from lut_gen.element.figures import ElementFigures
from lut_gen.element.netlist import ACCUMULATOR, MULTIPLIER, REGISTERS, ElementNetlist, Register
from lut_gen.element.power import CLOCK, IDLE, NEXT, PARTS, Counts, ElementEnergy, net_loads, uniform_energy_fj
from lut_gen.energy import power
from lut_gen.errors import DesignError
from lut_gen.netlist import Gate

ROW = {part: i for i, part in enumerate(PARTS)}


def one_bit() -> ElementNetlist:
    """An element of an inverter: sum_out takes !x_in where valid_in is 1; all else stays 0."""
    names = ("reset", "load", "valid_in", "x_in", "x_sign_in", "w_in", "w_sign_in", "enable_in", "sum_in")
    inputs = {name: (2 + i,) for i, name in enumerate(names)}
    register = Register("dfxtp_1", "D", "CLK", 12, 11, 4)
    gate = Gate("inv_1", {"A": 5}, {"Y": 12})
    outputs = dict.fromkeys(("valid_out", "x_out", "x_sign_out", "w_out", "w_sign_out", "enable_out"), (0,))
    return ElementNetlist(inputs, {**outputs, "sum_out": (11,)}, (register,), (gate,), (MULTIPLIER,), "dlclkp_1")


def test_by_hand(technology):
    """Who pays for which pin, one gate, one register and one clock gate."""
    cells, square = technology.cells, technology.voltage**2
    inverter, flip_flop, gate = (cells[name] for name in ("inv_1", "dfxtp_1", "dlclkp_1"))
    energy = ElementEnergy.of(one_bit(), technology)
    expected = np.zeros((3, 13))
    expected[ROW[MULTIPLIER], 5] = 0.5 * inverter.input_ff["A"] * square + inverter.input_energy_fj["A"]
    load = flip_flop.input_ff["D"]
    driver = inverter.energy_fj["Y"].at(0.05, load)
    expected[ROW[MULTIPLIER], 12] = driver + 0.5 * load * square + flip_flop.input_energy_fj["D"]
    expected[ROW[REGISTERS], 4] = 0.5 * gate.input_ff["GATE"] * square + gate.input_energy_fj["GATE"]
    expected[ROW[REGISTERS], 11] = flip_flop.energy_fj["Q"].at(0.05, 0.0)
    assert energy.toggle_fj == pytest.approx(expected)
    assert energy.every_cycle_fj == pytest.approx(gate.input_ff["CLK"] * square + 2 * gate.input_energy_fj["CLK"])
    clock_pin = flip_flop.input_ff["CLK"] * square + 2 * flip_flop.input_energy_fj["CLK"]
    output = 2 * gate.energy_fj["GCLK"].at(0.05, flip_flop.input_ff["CLK"])
    assert energy.gated_fj == {4: pytest.approx(clock_pin + output)} and energy.valid == 4
    assert energy.leakage_nw == pytest.approx(inverter.leakage_nw + flip_flop.leakage_nw + gate.leakage_nw)


def test_energy_by_part_by_hand(technology):
    energy = ElementEnergy(np.array([[0, 1.0], [0, 2.0], [0, 4.0]]), 10.0, {7: 100.0, 8: 1000.0}, 7, 0.0)
    counts = Counts(np.array([9, 3]), cycles=20, clocked={7: 6, 8: 2}, products=5)
    assert energy.by_part(counts) == {
        MULTIPLIER: 3, ACCUMULATOR: 6, REGISTERS: 12, CLOCK: 5 * 110, IDLE: 20 * 10 + 600 + 2000 - 550
    }  # fmt: skip
    ungated = dataclasses.replace(energy, gated_fj={}, valid=None)
    assert ungated.by_part(Counts(np.zeros(2), 20, {}, 5)) == {
        MULTIPLIER: 0, ACCUMULATOR: 0, REGISTERS: 0, CLOCK: 50, IDLE: 150
    }  # fmt: skip


@pytest.mark.parametrize("name", ["exact_4x4", "signed_4x4", "truncated_5x3"])
def test_the_multiplier_costs_what_the_catalog_says(element, mapped, technology, name):
    """Net by net, but for the product bits, whose loads are the real ones."""
    netlist, found = mapped(name, technology), element(name)
    own = power.toggle_energies(netlist, technology)
    energy = ElementEnergy.of(found, technology).toggle_fj[ROW[MULTIPLIER]]
    nets = dict(zip((*netlist.a, *netlist.b), (*found.inputs["x_in"], *found.outputs["w_out"]), strict=True))
    for gate, spliced in zip(netlist.gates, found.gates, strict=False):
        nets |= {net: spliced.outputs[pin] for pin, net in gate.outputs.items()}
    inner = [net for net in nets if net not in netlist.y]
    assert len(inner) > len(netlist.gates) / 2
    assert [energy[nets[net]] for net in inner] == pytest.approx([own[net] for net in inner])


def test_an_array_pays_every_pin_once(element, technology):
    """The nets of elements in a ring: the capacitances that all their nets pay for are those of all pins."""
    found = element("exact_4x4")
    own, whole = net_loads(found, technology)
    cells = [technology.cells[gate.cell] for gate in found.gates]
    pins = sum(sum(cell.input_ff.values()) for cell in cells)
    tied = sum(cell.input_ff[pin] for gate, cell in zip(found.gates, cells, strict=True)
               for pin, net in gate.inputs.items() if net < 2)  # fmt: skip
    pins += len(found.registers) * technology.cells["dfxtp_1"].input_ff["D"]
    pins += 2 * technology.cells["dlclkp_1"].input_ff["GATE"]
    assert own.sum() == pytest.approx(pins - tied)
    driven = [net for port in NEXT for net in found.outputs[port] if net > 1]
    assert whole[driven].sum() - own[driven].sum() == pytest.approx(
        sum(own[net] for output, port in NEXT.items() for q, net in
            zip(found.outputs[output], found.inputs[port], strict=True) if q > 1)
    )  # fmt: skip


def test_registers_weigh_what_their_cells_do(element, technology):
    found = element("exact_8x8", sum_bits=20)
    figures = ElementFigures.of(found, technology)
    steering = sum(technology.cells[gate.cell].area_um2
                   for gate, part in zip(found.gates, found.parts, strict=True) if part == REGISTERS)  # fmt: skip
    assert figures.flip_flops == 1 + 9 + 10 + 20
    assert figures.area_um2[REGISTERS] == pytest.approx(40 * 20.0192 + 2 * 17.5168 + steering)
    assert figures.area_um2[ACCUMULATOR] == pytest.approx(20 * technology.cells["fa_1"].area_um2)
    assert figures.total_um2 == pytest.approx(sum(figures.area_um2.values()))
    assert 0.4 < figures.multiplier_share < 0.7
    wide = ElementFigures.of(element("exact_8x8", sum_bits=32), technology)
    assert 0.35 < wide.multiplier_share < figures.multiplier_share
    assert ElementEnergy.of(found, technology).leakage_nw == pytest.approx(sum(figures.leakage_nw.values()))


def test_uniform_energy_is_that_of_a_long_random_run(element, technology):
    """One element, cycle by cycle, against the streams that recipes are compared by."""
    found = element("exact_4x4")
    rng = np.random.default_rng(1)
    state = np.zeros((len(found.registers), 40), dtype=np.uint64)
    held = {name: rng.integers(0, 2**64, (len(nets), 40), dtype=np.uint64) for name, nets in found.inputs.items()}
    always = {name: np.full((1, 40), simulate.ONES) for name in ("valid_in", "enable_in")}
    before, count, cycles = None, np.zeros(found.nets), 60
    for cycle in range(cycles + 2):
        inputs = {name: rng.integers(0, 2**64, (len(found.inputs[name]), 40), dtype=np.uint64)
                  for name in ("x_in", "x_sign_in", "sum_in")}  # fmt: skip
        load = np.full((1, 40), simulate.ONES if cycle == 0 else np.uint64(0))
        weights = {name: held[name] for name in ("w_in", "w_sign_in")}
        words = simulate.evaluate(found, technology.cells, state, {**inputs, **weights, **always, "load": load})
        state = simulate.clocked(found, words)
        if cycle > 1:
            count += np.bitwise_count(words ^ before).sum(axis=1)
        before = words
    expected = ElementEnergy.of(found, technology).toggle_fj.sum(axis=0) @ count / (cycles * 64 * 40)
    assert uniform_energy_fj(found, technology, streams=2000) == pytest.approx(expected, rel=0.02)


def test_a_gated_clock_may_not_change_within_a_stream(element, technology):
    found = element("exact_4x4")
    state = np.zeros((len(found.registers), 1), dtype=bool)
    with pytest.raises(DesignError, match="gated throughout or never"):
        simulate.streams(found, technology.cells, state, {"load": np.array([[5]], dtype=np.uint64)})


def test_streams_are_clock_edges(element, technology):
    """64 cycles in one evaluation are the 64 that the clock makes."""
    found = element("odd_2x5")
    rng = np.random.default_rng(6)
    ports = {name: rng.integers(0, 2 ** len(nets), (3, 64)) for name, nets in found.inputs.items()}
    for name, value in {"reset": 0, "load": 0, "valid_in": 1}.items():
        ports[name][:] = value
    start = rng.random((len(found.registers), 3)) < 0.5
    packed = {name: simulate.cycles(values, len(found.inputs[name])) for name, values in ports.items()}
    words = simulate.streams(found, technology.cells, start, packed)
    state = np.array([simulate.port(row.astype(int), 1)[0] for row in start])
    changes, before = np.zeros((found.nets, 3), dtype=int), np.zeros((found.nets, 3), dtype=int)
    for cycle in range(64):
        inputs = {name: simulate.port(values[:, cycle], len(found.inputs[name])) for name, values in ports.items()}
        now = simulate.evaluate(found, technology.cells, state, inputs)
        for stream in range(3):
            bits = now[:, 0] >> np.uint64(stream) & np.uint64(1)
            assert np.array_equal(bits, words[:, stream] >> np.uint64(cycle) & np.uint64(1)), cycle
            changes[:, stream] += bits.astype(int) != before[:, stream] if cycle else 0
        before = np.stack([now[:, 0] >> np.uint64(s) & np.uint64(1) for s in range(3)], axis=1).astype(int)
        state = simulate.clocked(found, now)
    assert np.array_equal(changes, simulate.toggles(words))
