"""Small networks of every kind, with random weights and BatchNorm statistics, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn
from torch.nn import functional as F

from agn_hw.conversion.quantize import quantize
from agn_hw.nn.scheme import Scheme
from tests.agn_hw.networks import images, small_resnet


def _unit(inputs: int, outputs: int, kernel: int, stride: int, groups: int, act: Callable[[], nn.Module]) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), act())


class Inverted(nn.Module):
    """MobileNetV2's block: expansion, depthwise convolution, linear bottleneck; a sum of signed codes."""

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__()
        self.expand = _unit(width, 2 * width, 1, 1, 1, nn.ReLU6)
        self.depthwise = _unit(2 * width, 2 * width, 3, stride, 2 * width, nn.ReLU6)
        self.project = nn.Sequential(nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.residual = stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class Mobile(nn.Module):
    """A stem and two inverted bottlenecks, the first with a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _unit(3, 4, 3, 2, 1, nn.ReLU6)
        self.bottleneck = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.blocks = nn.Sequential(Inverted(4), Inverted(4, stride=2))
        self.head = _unit(4, 8, 1, 1, 1, nn.ReLU6)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.blocks(self.bottleneck(self.stem(x))))
        return self.fc(x.mean([2, 3]))


class Squeeze(nn.Module):
    """SiLU, and squeeze and excitation: a branch of one pixel that scales the other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _unit(3, 6, 3, 1, 1, nn.SiLU)
        self.down, self.up = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6, 1)
        self.activation, self.pool = nn.SiLU(), nn.AdaptiveAvgPool2d(1)
        self.project = nn.Conv2d(6, 6, 1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        squeezed = self.activation(self.down(F.adaptive_avg_pool2d(x, 1)))
        x = self.project(x * torch.sigmoid(self.up(squeezed))) + x
        return self.fc(torch.flatten(self.pool(x), 1))


class Signal(nn.Module):
    """Convolutions in one dimension: BatchNorm1d, dilation, groups, stride, 'same' and circular padding."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(3, 6, 4, padding="same", dilation=2, bias=False), nn.BatchNorm1d(6)
        self.second = nn.Conv1d(6, 8, 3, stride=2, padding=2, dilation=2, groups=2)
        self.third = nn.Conv1d(8, 4, 3, padding=1, padding_mode="circular")
        self.fc = nn.Linear(4 * 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x.flatten(2)[..., :12])))
        x = F.leaky_relu(self.second(x), 0.2)
        return self.fc(torch.relu(self.third(x)).flatten(1))


class Averages(nn.Module):
    """Average pools with padding, with and without the padding counted, uneven adaptive ones; max pools."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
        self.pools = nn.ModuleList([
            nn.AvgPool2d(3, stride=2, padding=1),
            nn.AvgPool2d((3, 2), stride=(2, 1), padding=(1, 0), count_include_pad=False, ceil_mode=True),
            nn.AdaptiveAvgPool2d((3, 2)),
            nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        ])
        self.fc = nn.Linear(364, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        pooled = [pool(x).flatten(1) for pool in self.pools]
        pooled.append(F.avg_pool2d(x, 4, 2, divisor_override=7).flatten(1))
        return self.fc(torch.cat(pooled, 1))


class Rows(nn.Module):
    """Linear layers on rows, LayerNorm in float between them; a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 12)
        self.norm, self.again = nn.LayerNorm(12), nn.Linear(12, 12)
        self.act, self.fc = nn.GELU(), nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x.flatten(1, 2))
        x = x + self.again(self.norm(x))
        x = x + self.act(self.again(x))
        return self.fc(self.norm(x)).mean(1)


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that let something through, BatchNorm statistics that make a difference when folded; eval mode."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
        return mean + deviation * torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                module.weight.data.copy_(normal(module.weight, 0, (2 / module.weight[0].numel()) ** 0.5))
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_mean is not None:
                module.running_mean.copy_(normal(module.running_mean, 0, 0.2))
                module.running_var.copy_(normal(module.running_var, 1, 0.1).abs())
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
                module.weight.copy_(normal(module.weight, 1, 0.2))
                module.bias.copy_(normal(module.bias, 0, 0.2))
    return model.eval()


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """build() with weights that depend on the seed only, randomised as above."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomise(build(), seed)


def signed_images(count: int = 12, seed: int = 0) -> torch.Tensor:
    """Images about zero, as after normalisation."""
    return (images(count, seed=seed) - 0.45) / 0.25


MIXED = {"stem.0": Scheme(4, 6), "blocks.0.expand.0": Scheme(3, 5), "blocks.0.depthwise.0": Scheme(5, 4),
         "blocks.0.project.0": Scheme(2, 3), "blocks.1.expand.0": Scheme(8, 5), "head.0": Scheme(7, 7),
         "fc": Scheme(6, 2)}
NARROW = {"down": Scheme(4, 4), "project": Scheme(8, 3), "up": Scheme(2, 5), "fc": Scheme(3, 6)}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Scheme, dict[str, Scheme]]] = {
    "resnet": (small_resnet, Scheme(), {}),
    "resnet of 4 bits": (small_resnet, Scheme(4, 4), {"stem.conv": Scheme(), "fc": Scheme()}),
    "mobile": (Mobile, Scheme(), {}),
    "affine mobile": (Mobile, Scheme(affine=True), {}),
    "mixed mobile": (Mobile, Scheme(), MIXED),
    "squeeze": (Squeeze, Scheme(), {}),
    "affine squeeze of 6 bits": (Squeeze, Scheme(6, 6, affine=True), {}),
    "narrow squeeze": (Squeeze, Scheme(), NARROW),
    "signal": (Signal, Scheme(), {}),
    "signal per tensor": (Signal, Scheme(per_channel=False, activation_observer="minmax"), {}),
    "averages": (Averages, Scheme(), {}),
    "affine averages": (Averages, Scheme(affine=True, activation_observer="percentile"), {}),
    "rows": (Rows, Scheme(), {}),
    "affine rows per tensor": (Rows, Scheme(5, 7, affine=True, per_channel=False), {}),
}
"""name -> how to build it, the scheme of all layers, that of some."""


def float_network(name: str) -> nn.Module:
    """One of `NETWORKS` in float: random weights, but for the trained ResNet."""
    build = NETWORKS[name][0]
    return build() if build is small_resnet else seeded(build)


def quantized(name: str) -> fx.GraphModule:
    """One of `NETWORKS` on integers."""
    _, scheme, layers = NETWORKS[name]
    return quantize(float_network(name), [inputs(name, 24, seed=1)], scheme, layers)


def inputs(name: str, count: int, seed: int = 0) -> torch.Tensor:
    """Inputs for one of `NETWORKS`: 0..1 for the ResNet, else about zero."""
    return images(count, seed=seed) if name.startswith("resnet") else signed_images(count, seed)
