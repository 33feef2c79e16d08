"""What a plan's arrays spend, by hand from Hardware: energies, areas, cycles, widths."""

import math

import pytest

from agn_hw.accelerator import bounds
from agn_hw.accelerator.savings import Account, codes_at, described
from agn_hw.accelerator.system import LEVELS, Hardware
from agn_hw.conversion.approximate import approximate
from agn_hw.mapping import default
from agn_hw.nn.layers import table_layers
from lut_gen.element import figures, power
from lut_gen.library import liberty, liberty_reader
from tests.agn_hw.networks import images, quantized_resnet

ROWS, COLS = 4, 3
IMAGES = images(2, seed=3)


@pytest.fixture(scope="module")
def hardware(tmp_path_factory) -> Hardware:
    return Hardware(ROWS, COLS, liberty_reader.load(liberty.BUILT_IN), tmp_path_factory.mktemp("elements"))


@pytest.fixture(scope="module")
def choice(catalog) -> dict:
    """Two multipliers, one of them with activations on both ports: three arrays."""
    chosen = {}
    for layer, own in table_layers(quantized_resnet()).items():
        name, port = ("exact_2x2", "a") if "stage1" in layer else ("exact_4x4", "b" if layer == "fc" else "a")
        chosen[layer] = catalog[name], default(catalog[name], port, codes=own.in_codes[0])
    return chosen


@pytest.fixture(scope="module")
def network(choice):
    return approximate(quantized_resnet(), choice)


@pytest.fixture(scope="module")
def account(hardware, network, choice) -> Account:
    return Account.of(hardware, network, choice, IMAGES)


@pytest.fixture(scope="module")
def reference(hardware, catalog) -> Account:
    exact = quantized_resnet()
    made = catalog["exact_4x4"]
    chosen = {name: (made, default(made, codes=layer.in_codes[0])) for name, layer in table_layers(exact).items()}
    return Account.of(hardware, exact, chosen, IMAGES)


def sharing(choice: dict, layer: str) -> list[str]:
    """The layers on the same array."""
    own = choice[layer][0].name, choice[layer][1].activation_port
    return [name for name, (made, mapping) in choice.items() if (made.name, mapping.activation_port) == own]


def test_each_array_is_as_wide_as_its_layers_need(account, network, choice):
    layers = table_layers(network)
    for name, served in account.layers.items():
        assert list(account.layers) == list(choice)
        assert served.widths == bounds.widths(bounds.of_layer(layers[one], ROWS) for one in sharing(choice, name))
        assert (served.multiplier.name, served.port) == (choice[name][0].name, choice[name][1].activation_port)
    assert len({one.widths for one in account.layers.values()}) > 1
    assert len(account.arrays()) == 3


def test_layers_spend_what_the_hardware_says(account, hardware, network, choice):
    """On the codes that the approximate network itself has."""
    layers, codes = table_layers(network), codes_at(network, IMAGES)
    for name, served in account.layers.items():
        assert served.spent == hardware.spent(layers[name], *choice[name], codes[name], served.widths)
        assert served.spent.cycles == hardware.cycles(layers[name], choice[name][1], codes[name][:1])
    for level in LEVELS:
        total = sum(served.spent.at(level) for served in account.layers.values())
        assert account.energy_fj(level) == pytest.approx(total) and total > 0
    assert account.cycles == sum(served.spent.cycles for served in account.layers.values())


def test_what_the_plan_says(account, reference, hardware, choice):
    found = described(hardware, account, reference, {"other": reference})
    assert (found["rows"], found["cols"], found["cycles"]) == (ROWS, COLS, account.cycles)
    for level in LEVELS:
        ratio = account.energy_fj(level) / reference.energy_fj(level)
        expected = {"energy_fj": account.energy_fj(level), "energy_relative": ratio}
        assert found["levels"][level] == pytest.approx(expected)
        assert ratio < 1 and found["others"]["other"][level] == 1
    errors = (one.standard_error_fj / one.energy_fj("element") for one in (account, reference))
    assert found["standard_error"] == pytest.approx(math.hypot(*errors) * found["levels"]["element"]["energy_relative"])
    assert 0 < found["standard_error"] < 0.1
    assert found["period_ns"] == max(one["period_ns"] for one in found["arrays"])
    assert found["latency_us"] == pytest.approx(found["cycles"] * found["period_ns"] / 1000)
    for name, (made, _) in choice.items():
        own, served = found["layers"][name], account.layers[name]
        assert sum(own["energy_fj"].values()) * served.spent.macs == pytest.approx(served.spent.at("array"))
        widths = (own["sum_bits"], own["acc_bits"])
        assert widths == served.widths and own["cycles"] == served.spent.cycles
        (array,) = (
            one for one in found["arrays"] if (one["multiplier"], one["activation_port"]) == (made.name, served.port)
        )
        assert (array["sum_bits"], array["acc_bits"]) == widths


def test_areas_and_clock_of_the_arrays(account, reference, hardware):
    found = described(hardware, account, reference, {})
    for one, array in zip(account.arrays(), found["arrays"], strict=True):
        element = hardware.element(one.multiplier, one.port, one.widths.sum_bits)
        around = hardware.around(one.multiplier, one.port, one.widths)
        cells = sum(cell.area_um2 for _, cell in power.all_cells(element.netlist, hardware.technology))
        assert sum(array["element_area_um2"].values()) == pytest.approx(cells)
        whole = ROWS * COLS * cells + sum(around.area_um2.values())
        assert sum(array["array_area_um2"].values()) == pytest.approx(whole)
        period = figures.ElementFigures.of(element.netlist, hardware.technology).period_ns
        assert array["period_ns"] == max(period, around.accumulator_ns)
