"""Energies of elements and arrays: those of Hardware.spent, for every layer and multiplier."""

import pytest

from agn_hw.accelerator.savings import codes_at
from agn_hw.accelerator.system import LEVELS, Hardware
from agn_hw.mapping import default
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs import levels
from lut_gen.catalog import Catalog
from lut_gen.errors import CatalogError
from lut_gen.library import liberty, liberty_reader
from tests.agn_hw.networks import images, quantized_resnet

NAMES = ("exact_4x4", "exact_2x2")
IMAGES = images(2, seed=3)


@pytest.fixture(scope="module")
def hardware(tmp_path_factory) -> Hardware:
    return Hardware(4, 3, liberty_reader.load(liberty.BUILT_IN), tmp_path_factory.mktemp("elements"))


@pytest.fixture(scope="module")
def network():
    return quantized_resnet()


@pytest.fixture(scope="module")
def mappings(catalog, network) -> dict:
    """The operands of one layer come on the other ports."""
    return {
        layer: {name: default(catalog[name], "b" if layer == "fc" else "a", codes=own.in_codes[0]) for name in NAMES}
        for layer, own in table_layers(network).items()
    }


def test_they_are_those_of_the_hardware(catalog, network, mappings, hardware):
    layers, codes = table_layers(network), codes_at(network, IMAGES)
    steps = []
    found = {
        level: levels.of_pairs(hardware, level, network, IMAGES, catalog, mappings, lambda *done: steps.append(done))
        for level in LEVELS
    }
    assert steps == [(1, 2), (2, 2)] * 3
    for name in NAMES:
        widths = hardware.widths([(layer, catalog[name], mappings[key][name]) for key, layer in layers.items()])
        for key, layer in layers.items():
            spent = hardware.spent(layer, catalog[name], mappings[key][name], codes[key], widths)
            for level in LEVELS:
                assert found[level][key][name] == pytest.approx(spent.at(level) / spent.macs, rel=1e-12)
            multiplier, element, array = (found[level][key][name] for level in LEVELS)
            assert 0 < multiplier < element < array
    for level in LEVELS:
        assert list(found[level]) == list(layers) and all(tuple(own) == NAMES for own in found[level].values())


def test_tables_without_netlists(catalog):
    table = catalog.table.copy()
    table.loc[table["name"] == "exact_4x4", "netlist_sha256"] = ""
    with pytest.raises(CatalogError, match=r"(?s)exact_4x4.*--objective energy"):
        levels.check(Catalog(catalog.path, catalog.header, table), None)
    levels.check(catalog, None)
