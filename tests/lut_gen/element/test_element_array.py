"""What stands around the elements: registers as Yosys counts them in systolic_array.v, accumulators, their energy."""

import json
from collections import Counter

import numpy as np
import pytest

from lut_gen import timing, yosys
from lut_gen.element.array import ACCUMULATORS, DELAY_LINES, ArrayShape, Surroundings, accumulator, predict
from lut_gen.element.operand_streams import Operands
from lut_gen.element.power import ElementEnergy
from lut_gen.element.prediction import cycles_of
from lut_gen.element.prediction import predict as predict_elements
from lut_gen.element.synthesis import ACCELERATOR
from lut_gen.energy import power
from tests.lut_gen.element.test_element_synthesis import without


def counted(folder, rows: int, cols: int, x_bits: int, sum_bits: int, mode: int) -> tuple[Counter, int]:
    """Registers with an enable by width, and flip-flops without, in systolic_array.v; elements are black boxes."""
    for name in ("pe.v", "systolic_array.v", "gated_register.v"):
        (folder / name).write_text((ACCELERATOR / name).read_text())
    values = {"ROWS": rows, "COLS": cols, "X_BITS": x_bits, "SUM_BITS": sum_bits, "MODE": mode}
    parameters = "".join(f" -chparam {key} {value}" for key, value in values.items())
    yosys.run(
        "read_verilog -lib pe.v\nread_verilog -defer systolic_array.v gated_register.v\n"
        f"hierarchy -top systolic_array{parameters}\nrename -top top\nproc\nflatten\nopt\nopt_clean\n"
        "write_json a.json\n",
        folder,
    )
    cells = json.loads((folder / "a.json").read_text())["modules"]["top"]["cells"].values()
    assert sum(cell["type"].endswith("pe") for cell in cells) == rows * cols
    kinds = [(cell["type"], int(cell["parameters"]["WIDTH"], 2)) for cell in cells if "dff" in cell["type"]]
    gated = Counter(width for kind, width in kinds if kind == "$dffe")
    return gated, sum(width for kind, width in kinds if kind in ("$dff", "$sdff"))


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (4, 3), (3, 5)])
@pytest.mark.parametrize("name", ["exact_4x4", "signed_4x4"])
def test_delay_lines_are_those_of_the_verilog(element, technology, tmp_path, name, rows, cols):
    around = Surroundings.of(element(name), ArrayShape(rows, cols, 14), technology, tmp_path)
    mode = 1 if name == "signed_4x4" else 2
    gated, valid = counted(tmp_path, rows, cols, 4, 12, mode)
    assert around.registers == dict(gated) and around.valid_bits == valid
    flip_flops = sum(bits * count for bits, count in gated.items()) + valid
    area = flip_flops * 20.0192 + sum(gated.values()) * 17.5168
    assert around.area_um2[DELAY_LINES] == pytest.approx(area)
    adder = power.area_um2(around.accumulator, technology.cells)
    assert around.area_um2[ACCUMULATORS] == pytest.approx(cols * adder) and adder > 100
    leakage = power.leakage_nw(around.accumulator, technology.cells)
    assert around.leakage_nw[ACCUMULATORS] == pytest.approx(cols * leakage)


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize(("sum_bits", "acc_bits"), [(6, 8), (8, 6), (12, 24)])
def test_accumulators_add(technology, tmp_path, saturate, sum_bits, acc_bits):
    netlist = accumulator(sum_bits, ArrayShape(2, 2, acc_bits, saturate), technology, tmp_path)
    rng = np.random.default_rng(1)
    total, tile = rng.integers(0, 2**acc_bits, 3000), rng.integers(0, 2**sum_bits, 3000)
    words = netlist.evaluate(technology.cells, total, tile)
    came = netlist.product(words, 3000, signed=True)
    half = 2 ** (acc_bits - 1)
    exact = (total ^ half) - half + (tile ^ 2 ** (sum_bits - 1)) - 2 ** (sum_bits - 1)
    expected = np.clip(exact, -half, half - 1) if saturate else (exact + half) % (2 * half) - half
    assert np.array_equal(came, expected)
    if saturate and acc_bits < 24:
        assert (came != exact).any()


def test_energy_of_delay_lines_by_hand(element, technology, tmp_path):
    """3 rows: 3 registers of 4 bits and a sign; 2 columns: 1 of 12; and two valid bits."""
    found = element("exact_4x4")
    around = Surroundings.of(found, ArrayShape(3, 2, 14), technology, tmp_path)
    flip_flop, gate = technology.cells["dfxtp_1"], technology.cells["dlclkp_1"]
    pin = flip_flop.input_ff["CLK"] * 1.8**2 + 2 * flip_flop.input_energy_fj["CLK"]
    own = gate.input_ff["CLK"] * 1.8**2 + 2 * gate.input_energy_fj["CLK"]
    opened = [2 * gate.energy_fj["GCLK"].at(0.05, bits * flip_flop.input_ff["CLK"]) for bits in (5, 12)]
    load = flip_flop.input_ff["D"]
    toggle = flip_flop.energy_fj["Q"].at(0.05, load) + 0.5 * load * 1.8**2 + flip_flop.input_energy_fj["D"]
    toggles = np.zeros(found.nets)
    toggles[list(found.inputs["x_in"])] = 0.25
    toggles[list(found.outputs["sum_out"])] = 0.5
    clock = 100 * (2 * pin + 4 * own) + 70 * (27 * pin + 3 * opened[0] + opened[1])
    came = around.delay_lines_fj(toggles, vectors=70, cycles=100)
    assert came == pytest.approx(clock + 70 * toggle * (3 * 4 * 0.25 + 12 * 0.5))
    bare = Surroundings.of(element("exact_4x4"), ArrayShape(1, 1, 14), technology, tmp_path)
    assert bare.delay_lines_fj(toggles, 70, 100) == 0 and bare.area_um2[DELAY_LINES] == 0


def test_without_clock_gates_all_flip_flops_are_clocked(element, technology, tmp_path):
    cut = without(technology, tmp_path, "dlclkp_1")
    around = Surroundings.of(element("exact_4x4"), ArrayShape(3, 2, 14), cut, tmp_path)
    mux = cut.gates["mux"][0].area_um2
    assert around.area_um2[DELAY_LINES] == pytest.approx(29 * 20.0192 + 27 * mux)
    always, vector = around.clock_fj
    assert vector == 0 and always > 29 * 40


def test_accumulators_spend_what_their_operands_toggle(element, technology, tmp_path):
    around = Surroundings.of(element("exact_4x4"), ArrayShape(2, 2, 14), technology, tmp_path)
    rng = np.random.default_rng(2)
    totals, sums = rng.integers(-999, 999, (5, 64)), rng.integers(-99, 99, (5, 64))
    netlist, count = around.accumulator, 0.0
    for total, tile in zip(totals, sums, strict=True):
        words = netlist.evaluate(technology.cells, total, tile)
        bits = words[:, 0, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)
        count = count + (bits[:, 1:] != bits[:, :-1]).sum(axis=1)
    expected = power.toggle_energies(netlist, technology) @ count / (5 * 63)
    assert around.accumulator_fj(totals, sums) == pytest.approx(expected)
    assert around.accumulator_fj(totals * 0, sums * 0) == 0
    assert around.accumulator_ns > timing.delay_ns(netlist, technology) + 0.2


def test_a_matrix_product(element, mapped, technology, tmp_path):
    """The parts of a prediction: cycles and vectors of all tiles, results of used columns."""
    found, table = element("exact_4x4"), mapped("exact_4x4", technology).table(technology.cells, False)
    rng = np.random.default_rng(3)
    operands = Operands(rng.integers(0, 16, (90, 7)), rng.integers(0, 16, (5, 7)), None, rng.random((5, 7)) < 0.5)
    shape = ArrayShape(4, 4, 14)
    around = Surroundings.of(found, shape, technology, tmp_path)
    elements = predict_elements(found, ElementEnergy.of(found, technology), technology, operands, table, 4, 4)
    came = predict(around, elements, operands, table)
    tiles, cycles = cycles_of(operands, 4, 4)
    assert (tiles, cycles) == (4, 4 * (90 + 11))
    assert came[DELAY_LINES] == pytest.approx(around.delay_lines_fj(elements.toggles, 4 * 90, cycles))
    a_result = came[ACCUMULATORS] / (90 * 5 * 2)
    adder = power.toggle_energies(around.accumulator, technology)
    assert 0 < a_result < adder.sum()
