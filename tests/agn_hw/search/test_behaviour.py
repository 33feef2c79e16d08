"""Accuracy differences on the same images, and the network that is tried."""

import numpy as np
import pytest
import torch

from agn_hw.conversion.approximate import approximate
from agn_hw.mapping import default
from agn_hw.nn.compensation import exact_moments, reestimate
from agn_hw.search.behaviour import Drop, answers, build, drop
from agn_hw.zoo.data import Split
from tests.agn_hw.networks import images, labels, quantized_resnet
from tests.agn_hw.tables import multiplier, truncated_lut


@pytest.mark.parametrize("seed", range(4))
def test_drop_and_its_paired_error(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.random(900) < 0.9, rng.random(900) < 0.8
    lost, won = int((one & ~other).sum()), int((~one & other).sum())
    found = drop(torch.from_numpy(one), torch.from_numpy(other))
    points = (lost - won) / 9
    assert found.points == pytest.approx(points)
    variance = (lost + won) / 900 - ((lost - won) / 900) ** 2  # of +1, -1 and 0
    assert found.error == pytest.approx(100 * (variance / 900) ** 0.5)


def test_pairing_makes_small_differences_certain():
    one = torch.arange(1000) % 10 != 0
    other = one.clone()
    other[1] = False
    found = drop(one, other)
    assert found.points == pytest.approx(0.1) and found.error == pytest.approx(0.1, rel=0.01)
    assert drop(one, one) == Drop(0, 0)
    assert drop(other, one).points == pytest.approx(-0.1)


def test_within_is_one_standard_error_on_the_safe_side():
    assert Drop(0.5, 0.5).within(1.0) and not Drop(0.5, 0.51).within(1.0) and Drop(-2.0, 0.5).within(0.0)


def split(count: int) -> Split:
    pixels = (images(count, seed=12) * 255).round().to(torch.uint8)
    return Split(pixels, labels(pixels / 255))


def test_correct_is_image_by_image_whatever_the_batches():
    model, found = quantized_resnet(), split(230)
    hits = answers(model, found).hits
    one_by_one = [model(image[None] / 255).argmax() for image in found.images]
    expected = (torch.stack(one_by_one) == found.labels).tolist()
    assert hits.dtype == torch.bool and hits.tolist() == expected
    assert 0.6 < hits.double().mean() < 1


def test_built_network_is_approximate_and_reestimated():
    model, x = quantized_resnet(), images(30, seed=13)
    made = multiplier(truncated_lut(5))
    choice = {"stage1.conv1": (made, default(made)), "fc": (made, default(made, "b"))}
    exact = exact_moments(model, [x])
    expected = approximate(model, choice)
    reestimate(expected, [x], exact)
    network = build(model, choice, x, exact)
    assert torch.equal(network(x), expected(x)) and not torch.equal(network(x), model(x))
