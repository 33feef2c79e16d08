"""Splits of one's own images."""

import pytest
import torch

from agn_hw.zoo.data.splits import PARTS, DataError, from_images

IMAGES = torch.arange(200 * 3 * 4 * 5, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(200, 3, 4, 5)
LABELS = torch.arange(200) % 4


def test_every_image_is_in_one_part_with_its_label():
    splits = from_images(IMAGES, LABELS.to(torch.int32), seed=3)
    parts = [getattr(splits, part) for part in PARTS]
    assert (splits.classes, splits.channels, splits.side) == (4, 3, 4)
    assert splits.sizes() == {"train": 130, "calibration": 10, "validation": 20, "test": 40}
    pairs = [pair for part in parts for pair in zip(part.images, part.labels, strict=True)]
    seen = {bytes(image.numpy().tobytes()): int(label) for image, label in pairs}
    wanted = {bytes(image.numpy().tobytes()): int(label) for image, label in zip(IMAGES, LABELS, strict=True)}
    assert seen == wanted
    again = from_images(IMAGES, LABELS, seed=3)
    assert torch.equal(again.test.images, splits.test.images)
    assert not torch.equal(from_images(IMAGES, LABELS, seed=4).test.images, splits.test.images)


@pytest.mark.parametrize("images, labels", [
    (IMAGES.float(), LABELS), (IMAGES[0], LABELS[:3]), (IMAGES, LABELS[:-1]), (IMAGES, LABELS.float()),
    (IMAGES, LABELS - 1), (IMAGES[:10], LABELS[:10]), (IMAGES, LABELS * 10**12), (IMAGES.numpy(), LABELS),
    (IMAGES, LABELS.tolist()),
])  # fmt: skip
def test_others_are_refused(images, labels):
    with pytest.raises(DataError, match="wanted"):
        from_images(images, labels)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_another_seed_is_refused(seed):
    with pytest.raises(DataError, match="a seed, a whole number"):
        from_images(IMAGES, LABELS, seed=seed)


def test_labels_of_any_integer_type_and_classes_without_images():
    splits = from_images(IMAGES, (LABELS * 300).to(torch.uint16))
    assert splits.classes == 901 and set(splits.test.labels.tolist()) == {0, 300, 600, 900}
