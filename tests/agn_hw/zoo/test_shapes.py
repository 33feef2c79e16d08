"""The generator of textured shapes, without noise and clutter where the geometry is looked at."""

from dataclasses import replace

import numpy as np
import pytest

from agn_hw.zoo import shapes

CLEAN = replace(shapes.Recipe(), clutter=0, occluders=0, noise=0.0, centre=(12.0, 12.0), radius=(9.0, 9.0))


def test_same_seed_same_bytes():
    first, again, other = (shapes.generate(30, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_dtypes_and_balanced_classes():
    images, labels = shapes.generate(1003, (0,))  # more than one batch, the last one incomplete
    assert (images.dtype, images.shape, labels.dtype) == (np.uint8, (1003, 3, 24, 24), np.int64)
    assert set(np.bincount(labels)) == {100, 101}
    assert all(image.std() > 5 for image in images)


def mask(shape: str, points: int = 401) -> np.ndarray:
    """True where the unit circle's square [-1, 1]^2 is inside the shape."""
    at = np.linspace(-1, 1, points, dtype=np.float32)
    return shapes._distance(shape, at[None, None, :], at[None, :, None])[0] < 0


@pytest.mark.parametrize("shape, area", [
    ("disk", np.pi * 0.95**2), ("square", 1.5**2), ("triangle", 0.75 * np.sqrt(3)),
    ("ring", np.pi * (0.97**2 - 0.53**2)), ("cross", 2 * 0.6 * 1.94 - 0.6**2)])
def test_shapes_have_their_areas_inside_the_unit_circle(shape, area):
    inside = mask(shape)
    at = np.linspace(-1, 1, 401)
    assert inside.mean() * 4 == pytest.approx(area, rel=0.02)
    assert np.hypot(at[:, None], at[None, :])[inside].max() < 1.07


def test_two_texture_colours_keep_their_contrast():
    rng = np.random.default_rng(0)
    checker = np.arange(200) % 2 == 1
    colours = shapes._texture(rng, checker, CLEAN)
    spread = colours.max(axis=(2, 3)) - colours.min(axis=(2, 3))
    assert colours.min() >= 0 and colours.max() <= 1
    assert spread.max(axis=1) == pytest.approx(CLEAN.contrast, abs=0.02)


def test_stripes_vary_one_way_and_checkers_both():
    """A stripe texture has one pair of peaks in its spectrum, a checker two pairs at right angles."""
    rng = np.random.default_rng(1)
    checker = np.arange(60) % 2 == 1
    colours = shapes._texture(rng, checker, replace(CLEAN, side=96, frequency=(0.05, 0.06)))
    spectrum = np.abs(np.fft.fft2(colours - colours.mean(axis=(2, 3), keepdims=True))).sum(axis=1) ** 2
    at = np.fft.fftfreq(96)
    y, x = at[:, None], at[None, :]
    power = spectrum / spectrum.sum(axis=(1, 2), keepdims=True)
    moments = np.stack([[(power * y * y).sum((1, 2)), (power * y * x).sum((1, 2))],
                        [(power * y * x).sum((1, 2)), (power * x * x).sum((1, 2))]]).transpose(2, 0, 1)
    small, large = np.linalg.eigvalsh(moments).T
    assert (small / large)[~checker].max() < 0.35 and (small / large)[checker].min() > 0.6


def test_noise_and_occluders_change_the_image():
    clean = shapes.generate(20, (5,), CLEAN)[0].astype(int)
    noisy = shapes.generate(20, (5,), replace(CLEAN, noise=0.1))[0].astype(int)
    assert (noisy - clean).std() == pytest.approx(0.1 * 255, rel=0.2)
