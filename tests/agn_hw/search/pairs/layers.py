"""Single layers of odd shapes with codes for them, and tables without structure, for tests of what predicts errors."""

import numpy as np
import torch
from torch import nn

from agn_hw.codes import SIGNED, UNSIGNED, Codes
from agn_hw.mapping import WEIGHTS
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from tests.agn_hw.tables import random_lut

SOURCES = {
    "plain": (nn.Conv2d(3, 5, 3, padding=1), (3, 6, 7), UNSIGNED),
    "all uneven": (nn.Conv2d(2, 4, (2, 3), stride=(3, 1), padding=(0, 2), dilation=(1, 2)), (2, 7, 5), SIGNED),
    "groups": (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 6), Codes(-20, 235)),
    "depthwise, reflect": (nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect", groups=4), (4, 5, 5), UNSIGNED),
    "one dimension, same": (nn.Conv1d(3, 4, 4, padding="same"), (3, 9), SIGNED),
    "linear": (nn.Linear(11, 4), (11,), UNSIGNED),
    "linear on sequences": (nn.Linear(7, 3), (6, 7), SIGNED),
}


def case(name: str, images: int = 4) -> tuple[TableLayer, torch.Tensor]:
    """A layer with random weight codes that use their whole range, and codes [images, ...] whose channels differ."""
    source, shape, codes = SOURCES[name]
    made = {nn.Conv1d: TableConv1d, nn.Conv2d: TableConv2d, nn.Linear: TableLinear}[type(source)](source)
    generator = torch.Generator().manual_seed(len(name))
    made.weight.data = torch.randint(-127, 128, source.weight.shape, generator=generator).float()
    made.weight_scale.data.fill_(1.0)
    made.in_codes = (codes,)
    span = (codes.high - codes.low) * torch.rand(images, *shape, generator=generator)
    axis = made.channel_axis
    alike = torch.linspace(0.3, 1, shape[axis if axis < 0 else axis - 1])
    span = span * (alike if axis < 0 else alike.reshape(-1, *[1] * (len(shape) - 1)))
    return made, (codes.low + span).round().clamp(codes.low, codes.high)


def tables(count: int = 3) -> list[tuple[np.ndarray, float]]:
    """Folded tables that are about gain * x * w, with errors that lean to one side and follow x, and their gains."""
    x = np.arange(256)
    made = []
    for seed in range(count):
        gain, slope = 1.0 + 0.7 * seed, random_lut(seed, 9, (1, 256))
        table = gain * np.outer(x, WEIGHTS) + random_lut(seed, 900) + 40 + x[:, None] * slope
        made.append((table.round().astype(np.int32), gain))
    return made
