"""The whole quantised ResNet-8 recomputed, layer by layer, in a second implementation on numpy's integers."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.mapping import WEIGHTS, Mapping
from agn_hw.nn.convert import approximate
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.nn.quantize import quantize
from agn_hw.nn.requantize import multiplier_and_shift
from agn_hw.nn.sums import AveragePool, ResidualSum
from agn_hw.search.compensation import exact_moments, reestimate
from agn_hw.zoo.models import BasicBlock, Stem
from tests.agn_hw import oracles
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.tables import exact_table8, multiplier, random_lut

UNSIGNED, SIGNED, LOGITS = (0, 255), (-128, 127), (-32768, 32767)
NAMES = ["stem.conv", "stage1.conv1", "stage1.conv2", "stage2.conv1", "stage2.conv2", "stage2.shortcut",
         "stage3.conv1", "stage3.conv2", "stage3.shortcut", "fc"]


def shifted(total: np.ndarray, m: np.ndarray, s: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    return np.clip((total * m + (np.int64(1) << (s - 1))) >> s, *limits)


def layer(model: nn.Module, name: str, x: np.ndarray, limits: tuple[int, int], stride: int = 1) -> np.ndarray:
    """One layer of the network; its padding follows from the kernel."""
    module = model.get_submodule(name)
    assert isinstance(module, TableLayer)
    w, bias, m, s = (oracles.integers(value) for value in (module.weight_codes(), *module.integers()))
    assert np.abs(bias).max() < 2**31 and m.max() < 2**15 and m.min() >= 0
    table = (module.lut if module.lut.numel() else exact_table8()).numpy()
    if name == "fc":
        return shifted(oracles.matmul(x, w, table) + bias, m, s, limits)
    padding = w.shape[-1] // 2
    total = oracles.conv2d(x, w, table, (stride, stride), (padding, padding)) + bias.reshape(-1, 1, 1)
    return shifted(total, m.reshape(-1, 1, 1), s.reshape(-1, 1, 1), limits)


def add(model: nn.Module, name: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    module = model.get_submodule(name)
    assert isinstance(module, ResidualSum)
    (first, second), shift = module.integers()
    return shifted(left * int(first) + right * int(second), np.int64(1), np.int64(int(shift)), UNSIGNED)


def block(model: nn.Module, stage: int, x: np.ndarray, stride: int) -> np.ndarray:
    name = f"stage{stage}"
    y = layer(model, f"{name}.conv1", x, UNSIGNED, stride)
    y = layer(model, f"{name}.conv2", y, SIGNED)
    shortcut = layer(model, f"{name}.shortcut", x, SIGNED, stride) if stride > 1 else x
    return add(model, "add_sum" if stage == 1 else f"add_{stage - 1}_sum", y, shortcut)


def pool(model: nn.Module, x: np.ndarray) -> np.ndarray:
    module = model.get_submodule("pool")
    assert isinstance(module, AveragePool)
    m, s = multiplier_and_shift(module.in_scale / (module.out_scale * (x.shape[2] * x.shape[3])))
    return shifted(x.sum((2, 3)), np.int64(int(m)), np.int64(int(s)), UNSIGNED)


def integer_resnet8(model: nn.Module, x: torch.Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits' codes int64 [B, classes], and the activations between the stages."""
    scale = model.get_submodule("input_codes").scale.numpy()
    codes = np.clip(np.floor(x.numpy() / scale + np.float32(0.5)), 0, 255).astype(np.int64)
    edges = [layer(model, "stem.conv", codes, UNSIGNED)]
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        edges.append(block(model, stage, edges[-1], stride))
    edges.append(pool(model, edges[-1]))
    return layer(model, "fc", edges[-1], LOGITS), edges


def check(model: nn.Module, x: torch.Tensor) -> None:
    codes, edges = integer_resnet8(model, x)
    assert all(len(np.unique(edge)) > min(30, edge.size // 3) for edge in edges)  # numbers, not zeros
    expected = codes.astype(np.float32) * model.get_submodule("logits").scale.numpy()
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            assert np.array_equal(model(x).detach().numpy(), expected)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return quantized_resnet()


class Pooled(nn.Module):
    """The first part of ResNet-18, narrow: 7x7 stem with stride 2, max pool, a block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_pool = Stem(3, 6, kernel=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)
        self.stage1 = BasicBlock(6, 6, stride=1)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage1(self.stem_pool(self.stem(x)))
        return self.fc(torch.flatten(self.pool(x), 1))


def check_pooled(model: nn.Module, x: torch.Tensor) -> None:
    codes = oracles.integers(model.get_submodule("input_codes")(x))
    stem = layer(model, "stem.conv", codes, UNSIGNED, stride=2)
    pooled = oracles.max_pool(stem, kernel_size=3, stride=2, padding=1)
    assert len(np.unique(pooled)) > 30
    expected = layer(model, "fc", pool(model, block(model, 1, pooled, 1)), LOGITS)
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            logits = model(x).detach() / model.get_submodule("logits").scale
        assert np.array_equal(np.rint(logits.numpy()), expected)


def made_up() -> tuple:
    """A table without structure around the product, not commutative, zero operands included, and its mapping."""
    noisy = np.outer(np.arange(256), np.arange(256)) + random_lut(1, 3000)
    codes = np.random.default_rng(2).permutation(256).astype(np.uint8)
    near = np.clip(2 * np.abs(WEIGHTS) + codes % 3, 0, 255).astype(np.uint8)
    return multiplier(noisy), Mapping("sign_magnitude", "b", np.arange(256, dtype=np.uint8), near, WEIGHTS < 0, 1.9)


def test_names(model):
    assert list(table_layers(model)) == NAMES


def test_exact_product(model):
    check(model, images(5, seed=3))


def test_one_image(model):
    check(model, images(1, seed=4))


def test_precision_of_the_surroundings_does_not_matter(model):
    x = images(5, seed=3)
    expected = model(x)
    assert torch.equal(model(x.double()), expected)
    for network in (model, approximate(model, dict.fromkeys(NAMES, made_up()))):
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(x), expected)


def test_random_table_in_every_layer(model):
    network = approximate(model, dict.fromkeys(NAMES, made_up()))
    check(network, images(5, seed=3))
    assert not torch.equal(network(images(5, seed=3)), model(images(5, seed=3)))


def test_max_pool_on_codes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        source = Pooled()
    x = images(8, side=19)
    with torch.no_grad():
        source(x)  # BatchNorm's statistics
    network = quantize(source, [x])
    check_pooled(network, x)
    check_pooled(approximate(network, dict.fromkeys(table_layers(network), made_up())), x)


def test_different_tables_with_compensation(model):
    chosen = {name: made_up() for name in NAMES[::2]} | {"stage2.conv1": multiplier(random_lut(3, 50000))}
    network = approximate(model, chosen)
    reestimate(network, images(12), exact_moments(model, images(12)))
    assert any((part.channel_gain != 1).any() for part in table_layers(network).values())
    check(network, images(5, seed=3))
