"""The built-in networks as 8-bit networks with tables."""

import numpy as np
import pytest
import torch

from agn_hw.conversion.quantize import quantize
from agn_hw.nn.layers import table_layers
from agn_hw.zoo import models
from tests.agn_hw.tables import WEIGHTS
from tests.agn_hw.zoo.test_models import layers


@pytest.mark.parametrize("name", models.MODELS)
def test_networks_quantise_and_take_tables(name):
    channels, side = (1, 33) if name == "lenet5" else (3, models.SMALLEST.get(name, 9))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.build(name, channels, 5)
    x = torch.rand(16, channels, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for _ in range(20):
            model(x)  # BatchNorm's statistics
        network = quantize(model, [x])
        assert list(table_layers(network)) == layers(model)
        expected, found = model.eval()(x), network(x)
        assert (found - expected).std() < 0.05 * expected.std()
        for layer in table_layers(network).values():
            layer.set_table(np.outer(layer.in_codes[0].of_bytes(), WEIGHTS).astype(np.int32))
        assert torch.equal(network(x), found)
