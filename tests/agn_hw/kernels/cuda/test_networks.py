"""Whole networks on the emulated device: the same bits as on the CPU, forward and in training."""

import copy

import pytest
import torch
from torch.nn import functional as F

import agn_hw
from agn_hw.kernels import backend, cuda
from agn_hw.kernels.cuda import form
from agn_hw.nn import exact
from agn_hw.nn.gradients import gradient_factors
from agn_hw.nn.kept import _Version
from agn_hw.nn.layers import table_layers
from tests.agn_hw.kernels.operands import TABLES


class Small(torch.nn.Module):
    """A convolution, a depthwise one, a residual sum, pools, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = torch.nn.Conv2d(8, 8, 1)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        x = F.relu(x + self.pointwise(F.relu(self.depthwise(x))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Small().eval()
    return agn_hw.quantize(model, [_images(8)])


def _images(count):
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(count))


@pytest.fixture
def on_device(emulated, monkeypatch):
    """Switches CPU tensors to the way of CUDA tensors, when called."""

    def switch():
        monkeypatch.setattr(cuda, "serves", lambda tensor: True)
        monkeypatch.setattr(backend, "compiled", lambda: False)
        return emulated

    return switch


def _with(network, name, kind):
    made = copy.deepcopy(network)
    for layer in table_layers(made).values() if name else ():
        lut = TABLES[name].numpy()
        layer.set_table(lut, 1.0, gradient_factors(kind, lut, layer.in_codes[0], layer.largest_weight))
    return made


@pytest.mark.parametrize("name", [None, "product and a byte"])
def test_forward(network, on_device, name):
    here = _with(network, name, "ste")
    there, x = copy.deepcopy(here), _images(3)
    with torch.no_grad():
        expected = here(x)
        emulated = on_device()
        for _ in range(2):
            assert torch.equal(there(x), expected)
    kernels = set(emulated.launches)
    assert {"multiply", "direct"} <= kernels and ("row_add" in kernels or "gather" in kernels) == bool(name)


@pytest.mark.parametrize("name, kind", [
    (None, "ste"), ("product and a byte", "ste"), ("product and a byte", "smoothed"),
])
def test_training_step(network, on_device, name, kind):
    here = _with(network, name, kind).train()
    there, x = copy.deepcopy(here), _images(4)
    loss, expected = _step(here, x)
    on_device()
    found, gradients = _step(there, x)
    assert torch.equal(found, loss)
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def _step(model, x):
    loss = F.cross_entropy(model(x), torch.arange(len(x)) % 5)
    loss.backward()
    return loss.detach(), [parameter.grad for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("kind", ["ste", "smoothed"])
def test_all_of_a_step_inside_autocast(network, on_device, kind):
    here = _with(network, "product and a byte", kind).train()
    there, x = copy.deepcopy(here), _images(4)
    _, expected = _step(here, x)
    on_device()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, found = _step(there, x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_tables_first_used_in_inference_mode(network, on_device, monkeypatch):
    """They serve all passes to come, those with gradients too."""
    monkeypatch.setattr(exact, "_TABLES", {})
    on_device()
    with torch.inference_mode():
        network(_images(2))
    assert exact._TABLES and not any(table.is_inference() for table in exact._TABLES.values())
    form._on_device.cache_clear()
    _step(network.train(), _images(4))


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_narrow_accumulators(network, on_device, overflow):
    agn_hw.set_accumulator(network, 16, overflow, 8)
    x = _images(2)
    with torch.no_grad():
        expected = network(x)
        on_device()
        assert torch.equal(network(x), expected)


@pytest.mark.filterwarnings("ignore:.*which is a no-op")
def test_a_saved_state_does_not_move_a_network(network):
    """One of the CPU is loaded into a network elsewhere: into where that is."""
    state = _with(network, "17 bits", "ste").state_dict()
    elsewhere = copy.deepcopy(network).to("meta")
    elsewhere.load_state_dict(state)
    assert {tensor.device.type for tensor in elsewhere.state_dict().values() if torch.is_tensor(tensor)} == {"meta"}


def test_constants_are_forgotten(network):
    """Not the table's split: that depends on the table alone."""
    layer = next(iter(table_layers(_with(network, "17 bits", "ste")).values()))
    with torch.no_grad():
        layer(torch.zeros(1, 3, 12, 12))
    kept = layer._kept
    assert kept._constants is not None
    split = kept._split
    kept.forget()
    assert kept._constants is None and kept._split is split


def test_versions_of_tensors():
    """What tells a layer on a device whether its parameters have changed, without looking at them."""
    tensor = torch.zeros(3)
    before = _Version(tensor)
    assert before == _Version(tensor) and before != _Version(torch.zeros(3))
    tensor += 1
    assert before != _Version(tensor)
    parameter = torch.nn.Parameter(torch.zeros(3))
    before = _Version(parameter)
    with torch.no_grad():
        parameter.copy_(torch.ones(3))
    assert before != _Version(parameter)
    before = _Version(parameter)
    parameter.data = torch.zeros(3)  # as moving a module to another device does
    assert before != _Version(parameter)
    with torch.inference_mode():
        tensor = torch.zeros(3)
        assert _Version(tensor) != _Version(tensor)
    gone = _Version(torch.zeros(3))
    assert gone != _Version(torch.zeros(3)) and gone != 1
