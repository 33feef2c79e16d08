"""Random changes of training images: all that may come does, and nothing else."""

import pytest
import torch

from agn_hw.augment import AUGMENTS, augmented


def test_shift_moves_by_at_most_one_pixel():
    image = torch.arange(1, 26, dtype=torch.uint8).reshape(1, 1, 5, 5)
    moved = augmented(image.expand(200, 1, 5, 5), "shift", torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image[0, 0], (1, 1, 1, 1))
    expected = {tuple(padded[y:y + 5, x:x + 5].flatten().tolist()) for y in range(3) for x in range(3)}
    assert {tuple(one.flatten().tolist()) for one in moved} == expected


def test_dihedral_gives_the_eight_symmetries():
    image = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3)
    moved = augmented(image.expand(200, 1, 3, 3), "dihedral", torch.Generator().manual_seed(0))
    turns = [image[0, 0].rot90(quarter) for quarter in range(4)]
    expected = {tuple(one.flatten().tolist()) for turn in turns for one in (turn, turn.flip(0))}
    assert {tuple(one.flatten().tolist()) for one in moved} == expected


def test_crop_flip_moves_by_an_eighth_and_mirrors():
    image = torch.arange(1, 8 * 16 + 1, dtype=torch.uint8).reshape(1, 1, 8, 16)
    moved = augmented(image.expand(900, 1, 8, 16), "crop-flip", torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image[0, 0], (2, 2, 2, 2))
    windows = [padded[y:y + 8, x:x + 16] for y in range(5) for x in range(5)]
    expected = {tuple(one.flatten().tolist()) for window in windows for one in (window, window.flip(1))}
    assert {tuple(one.flatten().tolist()) for one in moved} == expected


@pytest.mark.parametrize("augment", AUGMENTS)
def test_the_generator_decides(augment):
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, again, other = (augmented(images, augment, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and torch.equal(one, other) == (augment == "none")
    assert one.shape == images.shape and one.dtype == torch.uint8
