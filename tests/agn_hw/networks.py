"""A small network that has learned something, and images for it."""

from functools import cache

import torch
from torch import fx, nn
from torch.nn import functional as F

from agn_hw.conversion.quantize import quantize
from agn_hw.zoo.models import resnet8

_STEPS = 150


def images(count: int = 12, channels: int = 3, side: int = 8, seed: int = 0) -> torch.Tensor:
    """Random images in 0..1 with some structure: float32 [count, channels, side, side]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 3, 3, generator=generator)
    fine = torch.rand(count, channels, side, side, generator=generator)
    return 0.7 * F.interpolate(coarse, size=(side, side), mode="bilinear") + 0.3 * fine


def labels(x: torch.Tensor) -> torch.Tensor:
    """Which of five parts of each 8 x 8 image is brightest, int64 [count]: four corners and the middle."""
    gray = x.mean(1)
    parts = [gray[:, :3, :3], gray[:, :3, 5:], gray[:, 5:, :3], gray[:, 5:, 5:], gray[:, 3:5, 3:5]]
    return torch.stack([part.mean((1, 2)) for part in parts], 1).argmax(1)


@cache
def _trained() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = resnet8(3, 5, widths=(4, 6, 8))
        optimizer = torch.optim.Adam(model.parameters())
        for step in range(_STEPS):
            x = images(64, seed=1000 + step)
            optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / _STEPS)
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels(x)).backward()
            optimizer.step()
    return model.state_dict()


def small_resnet() -> nn.Module:
    """A narrow ResNet-8 for 3 x 8 x 8 images and five classes, trained for a second, in eval mode."""
    model = resnet8(3, 5, widths=(4, 6, 8))
    model.load_state_dict(_trained())
    return model.eval()


def quantized_resnet() -> fx.GraphModule:
    """The same on integers, calibrated on 64 images."""
    return quantize(small_resnet(), [images(40), (images(24, seed=1), None)])
