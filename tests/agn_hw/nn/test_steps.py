"""Learned step sizes: the gradients of scales.

Scales here are powers of two (those of weights with a few bits more), so that the factors of requantisation are exact
in their 15 bits, and the integer network's codes are those of the network in real numbers, bit for bit. What is left
of a difference in gradients is float32: the integer network adds up two large numbers, codes and - value / scale, whose
difference below one half is what counts. Their sizes are known (`mass`), and 1e-6 of them with 1e-3 of the gradient is
room enough.
"""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

import agn_hw
from agn_hw.codes import SIGNED, UNSIGNED, Codes, affine, signed, unsigned
from agn_hw.nn.coded import WIDE, Coded, learn_steps, scales
from agn_hw.nn.ends import Dequantize, Quantize
from agn_hw.nn.functions import Lookup
from agn_hw.nn.layers import table_layers
from agn_hw.nn.pools import AveragePool, GlobalAverage
from agn_hw.nn.products import TableLinear
from agn_hw.nn.scheme import Scheme
from agn_hw.nn.sums import CodeProduct, ResidualSum
from tests.agn_hw import networks
from tests.agn_hw.nn.fake_quant import FakeQuant
from tests.agn_hw.nn.single_layers import back_ends, images, settle, using
from tests.agn_hw.tables import exact_table8, random_table8

TOLERANCE, FLOAT32 = 1e-3, 1e-6


def lsq(ratio: np.ndarray, low: int, high: int, strict: bool = False) -> np.ndarray:
    """Equation 3: round(v / s) - v / s inside, the limit at the limits.

    strict: a code at a limit counts as clipped, as in requantisation, where only codes are known afterwards.
    """
    codes = np.floor(ratio + 0.5)
    clipped = (codes <= low) | (codes >= high) if strict else (codes < low) | (codes > high)
    return np.where(clipped, np.clip(codes, low, high), codes - ratio)


def random(*shape: int, seed: int = 9) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(
    found: torch.Tensor | None, expected: np.ndarray | torch.Tensor, name: str = "", mass: torch.Tensor | float = 0.0
) -> None:
    assert found is not None, name
    wanted = torch.as_tensor(expected).double().reshape(found.shape)
    assert wanted.abs().max() > 0, name
    atol = TOLERANCE * float(wanted.abs().max()) + FLOAT32 * float(mass)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=atol, msg=lambda text: f"{name}: {text}")


# --- one scale, by the formula


@pytest.mark.parametrize("table", [None, 1, 4], ids=["exact product", "exact table", "exact table times 4"])
@pytest.mark.parametrize("one_scale", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_scales_of_weights(bits, one_scale, table):
    layer = settle(TableLinear(nn.Linear(30, 4)), Codes(-(2**15), 2**15 - 1), bits=bits)
    largest = layer.largest_weight
    scale = layer.weight.detach().abs().amax(1).double() / (1.5 * largest + 0.5)  # some are clipped
    layer.set_scheme(bits, scale[:1] if one_scale else scale)
    with torch.no_grad():
        layer.bias.zero_()
        layer.in_scale.fill_(2.0**-6)
        layer.out_scale.fill_(2.0**-9)
    if table:
        layer.set_table((exact_table8() * table).numpy(), float(table))
    learn_steps(layer)
    x, grad = images(11, 30), random(11, 4)
    (layer(x) * grad).sum().backward()
    ratio = layer.weight.detach().double().numpy() / layer.weight_scale.detach().double().numpy().reshape(-1, 1)
    assert (np.abs(ratio) > largest + 0.5).any()
    to_weight = (grad.T.double() @ x.double()).numpy() * 2.0**-6 / 2.0**-9  # of scale * code
    found = (to_weight * lsq(ratio, -largest, largest)).sum(1) / (30 * (4 if one_scale else 1) * largest) ** 0.5
    close(layer.weight_scale.grad, found.sum(keepdims=True) if one_scale else found)


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 60), unsigned(2), signed(3)])
def test_scale_of_the_inputs(codes):
    begin, end = Quantize(), Dequantize()
    begin.out_codes, end.in_scale = codes, begin.out_scale
    with torch.no_grad():
        begin.out_scale.fill_(2.0**-5)
    learn_steps(nn.Sequential(begin, end))
    x = random(50, 40) * 2.0**-5 * codes.largest
    grad = random(50, 40, seed=3)
    (end(begin(x)) * grad).sum().backward()
    ratio = x.double().numpy() * 2.0**5
    assert (ratio > codes.high + 1).any() and ((ratio > codes.low) & (ratio < codes.high)).any()
    close(begin.out_scale.grad, np.array((grad.double().numpy() * lsq(ratio, *codes)).sum()))


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, affine(8, 60), unsigned(2), signed(3)])
def test_scale_of_an_edge_between_two_layers(codes):
    """One tensor for the layer that makes the codes and the one that takes them."""
    first = settle(TableLinear(nn.Linear(20, 30)), codes)
    second = settle(TableLinear(nn.Linear(30, 3)), Codes(-(2**15), 2**15 - 1), codes, seed=1)
    second.in_scale = first.out_scale
    with torch.no_grad():
        for layer in (first, second):
            layer.weight_scale.copy_(2.0 ** layer.weight_scale.log2().round())
            layer.bias.zero_()
        first.in_scale.fill_(2.0**-6)
        step = 2.0 ** round(np.log2(20 / codes.largest))
        first.out_scale.fill_(step)
        second.out_scale.fill_(step * codes.largest * 2.0**-8)
    learn_steps(nn.Sequential(first, second))
    x, grad = images(25, 20), random(25, 3)
    y = second(first(x))
    (y * grad).sum().backward()
    assert 1000 < y.abs().max() < 32767
    weights = [(part.weight_codes() * part.weight_scale[:, None]).detach().numpy() for part in (first, second)]
    ratio = x.double().numpy() * 2.0**-6 @ weights[0].T / step
    to_edge = grad.double().numpy() @ weights[1] / second.out_scale.item()
    found = lsq(ratio, *codes, strict=True)
    assert np.isin(found, [codes.low, codes.high]).any() and (np.abs(found[found != 0]) < 0.5).any()
    close(first.out_scale.grad, np.array((to_edge * found).sum()))


def module_and_branches(kind: str) -> tuple[Coded, list[torch.Tensor], Callable[..., torch.Tensor], float]:
    """A module, real numbers for its branches, the same in real numbers, and the scale of its output."""
    if kind in ("sum", "product"):
        shape = (3, 4, 5, 5), (3, 4, 5, 5) if kind == "sum" else (3, 4, 1, 1)
        real = [3 * random(*shape[0], seed=1), 3 * random(*shape[1], seed=2)]
        if kind == "sum":
            return ResidualSum(), real, lambda left, right: left + right, 2.0**-5
        return CodeProduct(), real, lambda left, right: left * right, 2.0**-4
    if kind == "global average":
        return GlobalAverage(), [3 * random(3, 4, 4, 4)], lambda x: x.mean((2, 3), keepdim=True), 2.0**-7
    if kind == "lookup":
        return Lookup(nn.SiLU()), [3 * random(30, 40)], F.silu, 2.0**-6
    pool = nn.AvgPool2d(2, stride=1) if kind == "average" else nn.AdaptiveAvgPool2d(2)
    return AveragePool(pool), [3 * random(3, 4, 4, 4)], pool, 2.0**-6


@pytest.mark.parametrize("kind", ["sum", "product", "global average", "average", "adaptive average", "lookup"])
def test_scales_around_other_modules(kind):
    """Quantize -> module -> Dequantize: of the inputs and of the output, both by the formula."""
    module, real, function, step = module_and_branches(kind)
    begins, end = [Quantize() for _ in real], Dequantize()
    for i, (begin, name) in enumerate(zip(begins, module.SOURCES, strict=True)):
        begin.out_codes = SIGNED
        begin.out_scale.data.fill_(2.0**-4 / (1 + i))
        setattr(module, name, begin.out_scale)
    module.in_codes, module.out_codes = (SIGNED,) * len(real), SIGNED
    module.out_scale.data.fill_(step)
    end.in_scale = module.out_scale
    learn_steps(nn.ModuleList([*begins, module, end]))
    y = end(module(*[begin(x) for begin, x in zip(begins, real, strict=True)]))
    grad = random(*y.shape, seed=5)
    (y * grad).sum().backward()

    branches = [x.double() * 2**4 * (1 + i) for i, x in enumerate(real)]
    inputs = [((x + 0.5).floor().clamp(*SIGNED) * 2.0**-4 / (1 + i)).requires_grad_() for i, x in enumerate(branches)]
    value = function(*inputs)
    ratio = value.detach().numpy() / step
    strict = not isinstance(module, (AveragePool, Lookup))
    expected = (value / step + 0.5).floor().clamp(*SIGNED) * step
    assert (np.abs(ratio) > 128).any() and torch.equal(y.detach().double(), expected)
    close(module.out_scale.grad, np.array((grad.double().numpy() * lsq(ratio, *SIGNED, strict)).sum()), kind)
    codes, room = np.floor(ratio + 0.5), 0.5 if strict else -0.5
    inside = torch.from_numpy((codes > SIGNED.low + room) & (codes < SIGNED.high - room))
    to_inputs = torch.autograd.grad((value * grad.double() * inside).sum(), inputs)
    for begin, to_input, x in zip(begins, to_inputs, branches, strict=True):
        wanted = (to_input.numpy() * lsq(x.numpy(), *SIGNED)).sum()
        assert begin.out_scale.grad is not None
        room = 0.02 if kind == "lookup" else TOLERANCE  # a difference over two codes, not the derivative
        assert float(begin.out_scale.grad) == pytest.approx(wanted, rel=room), kind


# --- whole networks, against real numbers


class Everything(nn.Module):
    """Convolutions plain, in groups and depthwise, a residual sum, poolings, squeeze and excitation, functions."""

    def __init__(self, smooth: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.pool, self.act = nn.AvgPool2d(2), nn.SiLU() if smooth else nn.ReLU()
        self.squeeze, self.depthwise = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, (1, 3), padding="same", groups=8)
        self.gate = nn.Sigmoid() if smooth else nn.ReLU()
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        x = self.pool(x + self.second(x))
        x = self.act(self.depthwise(x))
        x = x * self.gate(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Rows(nn.Module):
    """Convolutions in one dimension, and a linear layer on every row."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 6, 3, padding=1), nn.Conv1d(6, 6, 4, padding="same")
        self.fc, self.last = nn.Linear(6, 7), nn.Linear(7, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(F.relu(self.first(x.flatten(2)))).transpose(1, 2)
        return self.last(F.relu(self.fc(x)))


SCHEMES = {"8 bits": Scheme(), "4 bits": Scheme(weight_bits=4, activation_bits=4),
           "affine, one scale": Scheme(affine=True, per_channel=False, activation_observer="minmax")}


def calibrated(build: Callable[[], nn.Module], scheme: Scheme | None = None) -> fx.GraphModule:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return agn_hw.quantize(build(), [networks.images(16) - 0.3], scheme)


@torch.no_grad()
def quantised_network(build: Callable[[], nn.Module], scheme: Scheme) -> fx.GraphModule:
    """All scales moved to numbers whose ratios requantisation holds exactly."""
    network = calibrated(build, scheme)
    of_weights = {id(layer.weight_scale) for layer in table_layers(network).values()}
    for scale in scales(network):
        exponent = scale.log2().floor() - 5 if id(scale) in of_weights else scale.log2().round()
        scale.copy_((scale / 2**exponent).round() * 2**exponent)
    return network


NETWORKS = {"smooth": lambda: Everything(True), "piecewise linear": lambda: Everything(False), "rows": Rows}


def give_tables(network: fx.GraphModule) -> None:
    for seed, layer in enumerate(table_layers(network).values()):
        error = random_table8(seed, 200).numpy()
        layer.set_table(2 * exact_table8().numpy() + error, 2.0)  # codes -128..-1 have the bytes 128..255: far off
        layer.channel_gain.fill_(0.5)
        layer.channel_offset.fill_(40.0)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("table", [False, True], ids=["exact products", "tables"])
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_gradients_of_a_network_are_those_of_real_numbers(build, scheme, table):
    network = quantised_network(build, scheme)
    if table:
        give_tables(network)
    learn_all(network)
    x = networks.images(6, seed=3) - 0.3
    reference = FakeQuant(network)
    expected = reference.run(x)
    for compiled in back_ends():
        with using(compiled):
            network.zero_grad()
            y = network(x)
            assert torch.equal(y.double(), expected)  # rounding as in the integers, everywhere
            grad = random(*y.shape)
            (y * grad).sum().backward()
        wanted = torch.autograd.grad((expected * grad).sum(), list(reference.by_name.values()), retain_graph=True)
        for (name, parameter), one in zip(network.named_parameters(), wanted, strict=True):
            share = reference.shares.get(id(parameter), 1.0)
            close(parameter.grad, one * share, name, share * reference.masses.get(id(parameter), 0.0))


@pytest.mark.parametrize("table", [False, True], ids=["exact products", "tables"])
def test_learning_does_not_change_the_codes(table):
    network = calibrated(lambda: Everything(True))
    if table:
        give_tables(network)
    x = networks.images(8, seed=4) - 0.3
    with torch.no_grad():
        expected = network(x)
    learn_all(network)
    for compiled in back_ends():
        other = copy.deepcopy(network)
        with using(compiled):
            for mode in (torch.enable_grad(), torch.no_grad(), torch.inference_mode()):
                with mode:
                    assert torch.equal(other(x), expected)
    learn_steps(network, False)
    assert torch.equal(network(x), expected)


def of_wide_outputs(network: nn.Module) -> set[int]:
    return {id(module.out_scale) for module in network.modules() if getattr(module, "bits", 8) == WIDE}


def learn_all(network: nn.Module) -> None:
    """Those of 16-bit outputs too, whose gradients are as right as all others."""
    for scale in scales(network):
        scale.requires_grad_(True)


def test_what_learns():
    """All scales but those of 16-bit outputs, and nothing else, change; each once, though modules share it."""
    network = calibrated(lambda: Everything(True))
    found = scales(network)
    assert len({id(scale) for scale in found}) == len(found)
    named = {id(parameter): name for name, parameter in network.named_parameters() if name.endswith("_scale")}
    assert {id(scale) for scale in found} == set(named)
    for learn in (True, False):
        learn_steps(network, learn)
        for name, parameter in network.named_parameters():
            is_scale, wide = name.endswith("_scale"), id(parameter) in of_wide_outputs(network)
            assert parameter.requires_grad == (not is_scale or (learn and not wide)), name
    assert of_wide_outputs(network)


@pytest.mark.parametrize("table", [False, True], ids=["exact products", "tables"])
def test_steps_are_trained_and_stay_shared(table):
    """A step down the gradient moves both ends of every edge, and layers notice; copies share as the original does."""
    network = copy.deepcopy(calibrated(lambda: Everything(False)))
    if table:
        for layer in table_layers(network).values():
            layer.set_table(exact_table8().numpy(), 1.0)
    learn_all(network)
    x, wanted = networks.images(32, seed=5), random(32, 5)
    before = [scale.detach().clone() for scale in scales(network)]
    with torch.no_grad():
        first = network(x)
    (network(x) - wanted).square().sum().backward()
    with torch.no_grad():
        for scale in scales(network):
            assert scale.grad is not None
            scale.mul_(1 - 0.03 * scale.grad.sign())
    assert all(not torch.equal(*pair) for pair in zip(before, scales(network), strict=True))
    with torch.no_grad():
        after = network(x)
    assert not torch.equal(after, first) and torch.equal(after, network(x).detach())
    assert network.get_submodule("second").in_scale is network.get_submodule("first").out_scale
    assert torch.equal(copy.deepcopy(network)(x), after)
