"""Users' models as they come: what tracing makes of them, and what it keeps whole, with the reason."""

import copy

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from agn_hw.conversion.fold import fold_batch_norm
from agn_hw.conversion.quantize import ModelError, kept_exact, quantize
from agn_hw.conversion.trace import trace
from agn_hw.nn.layers import table_layers
from tests.agn_hw.networks import images
from tests.agn_hw.nn.integer_network import integer_network
from tests.agn_hw.nn.small_networks import randomise


def seeded(build, *arguments) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomise(build(*arguments))


X = images(16)


def close(model: nn.Module, room: float = 0.03) -> fx.GraphModule:
    """Quantises a model and compares it with the float one, and with integers."""
    network = quantize(model, [X])
    with torch.no_grad():
        expected, found = model(X), network(X)
    assert (found - expected).std() < room * expected.std()
    assert torch.equal(found[:3], integer_network(network, X[:3])[0])
    return network


class Between(nn.Module):
    """A convolution, a module of the user's in the middle, a convolution."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Conv2d(3, 4, 3), middle, nn.Conv2d(4, 2, 3)

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = self.inner(x)
        return y if y.mean() > 100 else -y


class Looping(nn.Module):
    def forward(self, x):
        for _ in range(int(x.abs().max())):
            x = x * 0.5
        return x


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(6) + 0.1)

    def forward(self, x):
        return x @ self.matrix


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(36, 36, batch_first=True)

    def forward(self, x):
        return self.lstm(x.flatten(2))[0].unflatten(2, (6, 6))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(36, 2, batch_first=True)

    def forward(self, x):
        rows = x.flatten(2)
        return self.attend(rows, rows, rows, need_weights=False)[0].unflatten(2, (6, 6))


EXACT = {
    "control flow on values": (Branching, {"middle": "cannot trace Branching"}),
    "loop over values": (Looping, {"middle": "cannot trace Looping"}),
    "matrix product": (Product, {"matmul": "matmul"}),
    "transposed convolution": (lambda: nn.ConvTranspose2d(4, 4, 1), {"middle": "ConvTranspose2d"}),
    "three dimensions": (lambda: nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv3d(4, 4, 1), nn.Flatten(1, 2)),
                         {"middle.1": "Conv3d"}),
    "LSTM": (Recurrent, {"middle.lstm": "LSTM"}),
    "attention": (Attention, {"middle.attend": "MultiheadAttention"}),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), {"middle": "GroupNorm"}),
    "PReLU": (lambda: nn.PReLU(4), {"middle": "PReLU"}),
}


@pytest.mark.parametrize("build, named", EXACT.values(), ids=EXACT)
def test_what_cannot_be_converted_is_named_and_stays_exact(build, named, caplog):
    model = seeded(lambda: Between(build()))
    network = close(model)
    kept = kept_exact(network)
    assert list(kept) == list(named)
    for name, part in named.items():
        assert part in kept[name] and f"'{name}' stays in float: {kept[name]}" in caplog.text
    assert list(table_layers(network)) == ["first", "last"]
    y = torch.rand(2, 4, 6, 6)
    with torch.no_grad():
        if isinstance(network.get_submodule("middle"), type(model.middle)):
            assert torch.equal(network.get_submodule("middle")(y), model.middle(y))


def test_reason_survives_copies():
    network = quantize(seeded(lambda: Between(Branching())), [X])
    assert kept_exact(copy.deepcopy(network)) == kept_exact(network) != {}


class Functional(nn.Module):
    """Parameters that are given to functions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.offset = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4))
        self.norm = nn.BatchNorm2d(4)
        self.matrix = nn.Parameter(torch.randn(5, 4))

    def forward(self, x):
        x = F.conv2d(x, self.kernel, self.offset, stride=2, padding=1)
        norm = self.norm
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.1, norm.eps)
        x = F.dropout(F.relu6(x), training=self.training)
        x = F.avg_pool2d(F.max_pool2d(x, 2), 2)
        return F.linear(torch.flatten(x, 1), self.matrix)


def test_functions_with_parameters_become_layers():
    network = close(seeded(Functional))
    kinds = [type(layer).__name__ for layer in table_layers(network).values()]
    assert kinds == ["TableConv2d", "TableLinear"] and not kept_exact(network)


def test_a_layer_is_a_model():
    assert list(kept_exact(close(seeded(nn.Conv2d, 3, 4, 3)))) == []
    assert list(kept_exact(close(seeded(nn.Linear, 8, 4)))) == []


def test_subclasses_that_inherit_forward_are_layers_and_others_are_looked_into():
    class Same(nn.Conv2d):
        pass

    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, weight, self.bias)

    class Padded(nn.Conv2d):
        def forward(self, x):
            return super().forward(F.pad(x, (1, 0, 1, 0)))

    assert list(table_layers(close(seeded(lambda: Between(Same(4, 4, 3))), 0.05))) == ["first", "middle", "last"]
    found = close(seeded(lambda: Between(Padded(4, 4, 3))))
    assert list(table_layers(found)) == ["first", "middle", "last"] and not kept_exact(found)
    network = close(seeded(lambda: Between(Standardised(4, 4, 3))), 0.05)
    assert list(kept_exact(network)) == ["mean", "sub", "conv2d"]


@pytest.mark.parametrize("with_norm", [False, True])
def test_parametrised_weights(with_norm):
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3))
    middle = nn.Sequential(conv, nn.BatchNorm2d(4)) if with_norm else conv
    model = seeded(lambda: Between(middle))
    name = "middle.0" if with_norm else "middle"
    assert list(table_layers(close(model, 0.06))) == ["first", name, "last"]


def test_parameters_shared_by_functions_of_another_geometry():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            conv = self.conv
            x = F.conv2d(self.conv(x), conv.weight, conv.bias, padding=2)
            return F.conv2d(F.conv2d(x, conv.weight), conv.weight, dilation=2)

    assert len(table_layers(close(seeded(Shared), 0.05))) == 4


def test_functions_that_share_parameters():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)

        def forward(self, x):
            x = F.conv2d(x, self.conv.weight, self.conv.bias, padding=2)
            return F.conv2d(x, self.conv.weight, stride=2)

    assert len(table_layers(close(seeded(Shared), 0.05))) == 2


def test_names_and_order_are_the_models():
    model = seeded(lambda: Between(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))))
    network = close(model)
    assert list(table_layers(network)) == ["first", "middle.0", "middle.3", "last"]
    assert table_layers(network)["middle.3"].weight.shape == (4, 4, 1, 1)


@pytest.mark.parametrize("layer, norm", [
    (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
    (nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6, affine=False)), (nn.Linear(8, 4), None)])
def test_batch_norm_is_folded_in_float(layer, norm):
    model = seeded(lambda: nn.Sequential(layer, *([norm] if norm else [nn.Flatten(2), nn.BatchNorm1d(3)])))
    traced, whole = trace(copy.deepcopy(model))
    fold_batch_norm(traced)
    traced.recompile()
    with torch.no_grad():
        torch.testing.assert_close(traced(X), model(X), rtol=1e-4, atol=1e-5)
    assert not whole
    targets = [type(traced.get_submodule(n.target)) for n in traced.graph.nodes if n.op == "call_module"]
    assert any("BatchNorm" in kind.__name__ for kind in targets) is (norm is None)


def test_norm_without_statistics_stays():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)))
    network = quantize(model, [X])
    assert list(kept_exact(network)) == ["1"]


def test_several_outputs():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = torch.relu(self.body(x))
            return {"left": self.left(x), "both": [self.right(x), x]}

    model = seeded(Two)
    network = quantize(model, [X])
    with torch.no_grad():
        expected, found = model(X), network(X)
    for wanted, came in ((expected["left"], found["left"]), *zip(expected["both"], found["both"], strict=True)):
        assert (came - wanted).std() < 0.03 * wanted.std()


def test_a_model_that_cannot_be_traced_at_all():
    class Lambda(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            return torch.from_numpy(x.numpy()) + self.fc(x)

    with pytest.raises(ModelError, match=r"'Lambda'.*trace"):
        quantize(seeded(Lambda), [X])
