"""Training images changed at random in ways that keep their class; every draw comes from the generator given."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch.nn import functional as F

Augment = Literal["none", "shift", "dihedral", "crop-flip"]
AUGMENTS: tuple[str, ...] = get_args(Augment)


def augmented(images: torch.Tensor, augment: Augment, generator: torch.Generator) -> torch.Tensor:
    """Each image of [N, C, H, W], any dtype, changed on its own; what moves in is 0.

    shift: by up to one pixel each way. dihedral: one of the eight symmetries of the square (H = W). crop-flip: by up
    to an eighth of the side, then mirrored or not, as CIFAR is trained in He et al., "Deep residual learning for
    image recognition", CVPR 2016, section 4.2.
    """
    if augment == "none":
        return images
    if augment == "shift":
        return _shifted(images, 1, generator)
    if augment == "crop-flip":
        moved = _shifted(images, max(1, images.shape[-1] // 8), generator)
        coin = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator).bool()
        return torch.where(coin, moved.flip(3), moved)
    coins = torch.randint(0, 2, (3, len(images), 1, 1, 1), generator=generator).bool()
    images = torch.where(coins[0], images.flip(2), images)
    images = torch.where(coins[1], images.flip(3), images)
    return torch.where(coins[2], images.transpose(2, 3), images)


def _shifted(images: torch.Tensor, reach: int, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by -reach..reach pixels down and right."""
    count, _, height, width = images.shape
    move = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
    rows, columns = move[0] + torch.arange(height), move[1] + torch.arange(width)
    pixels = F.pad(images, (reach,) * 4).permute(0, 2, 3, 1)
    moved = pixels[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)
