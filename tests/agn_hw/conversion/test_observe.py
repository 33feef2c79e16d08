"""Activation scales against trying every scale on every value."""

import pytest
import torch

from agn_hw.conversion import observe
from agn_hw.nn.scheme import OBSERVERS


def errors(values: torch.Tensor, levels: int, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The scales that are tried and the squared error of each, on the values themselves."""
    top = float(values.abs().max())
    scales = [top / levels * (0.3 + 0.7 * i / 47) for i in range(48)]
    found = []
    for scale in scales:
        codes = torch.floor(values.double() / scale + 0.5).clamp(-levels if signed else 0, levels)
        found.append(float((codes * scale - values.double()).square().sum()))
    return torch.tensor(scales, dtype=torch.float64), torch.tensor(found, dtype=torch.float64)


def draw(shape: str, count: int = 40000) -> torch.Tensor:
    normal = torch.randn(count, generator=torch.Generator().manual_seed(1))
    return {"half normal": normal.abs(), "rectified": normal.relu(), "normal": normal, "long tails": normal**3,
            "uniform": torch.linspace(0, 3, count), "skewed": normal.exp() - 3, "negative": -normal.abs()}[shape]


@pytest.mark.parametrize("shape, levels, signed", [
    ("half normal", 255, False), ("rectified", 15, False), ("long tails", 127, True), ("normal", 127, True),
    ("normal", 7, True), ("uniform", 255, False), ("skewed", 127, True), ("half normal", 3, False),
    ("negative", 1, True), ("negative", 2, True),
])
def test_least_squared_error_of_all_candidates(shape, levels, signed):
    values = draw(shape)
    scales, expected = errors(values, levels, signed)
    scale = observe.mse_scale(values, levels, signed)
    assert scale.dtype == torch.float64 and scale.shape == ()
    chosen = int((scales - scale).abs().argmin())
    assert float(scales[chosen]) == pytest.approx(float(scale), rel=1e-6)
    assert float(expected[chosen]) <= 1.02 * float(expected.min())  # a histogram's bins stand for the values
    assert float(expected[chosen]) < float(expected[0]) or chosen == 0


def test_few_levels_clip_and_many_do_not():
    values = draw("long tails")
    top = float(values.abs().max())
    assert float(observe.mse_scale(values, 7, True)) < 0.5 * top / 7
    uniform = draw("uniform")
    assert float(observe.mse_scale(uniform, 255, False)) == pytest.approx(3 / 255, rel=0.02)


def test_shape_and_order_do_not_matter():
    values = draw("half normal")
    assert observe.mse_scale(values.flip(0).reshape(4, 10, 1000), 255, False) == observe.mse_scale(values, 255, False)


@pytest.mark.parametrize("signed", [False, True])
def test_zeros_have_a_scale(signed):
    zeros = torch.zeros(3, 4)
    assert float(observe.largest_magnitude(zeros)) > 0
    assert 0 < float(observe.mse_scale(zeros, 127, signed)) < 1e-9


def test_largest_magnitude_sees_negative_values():
    values = torch.tensor([1.0, -3.0, 2.0], requires_grad=True)
    assert float(observe.largest_magnitude(values)) == 3 and not observe.largest_magnitude(values).requires_grad


def seen(values: torch.Tensor, low: float, high: float) -> observe.Histogram:
    histogram = observe.Histogram.empty(low, high)
    for part in values.split(7000):  # batch by batch
        histogram.add(part)
    return histogram


def test_a_histogram_counts_every_value_within_once():
    values = draw("normal")
    histogram = seen(values, -2.0, 3.0)
    assert histogram.counts.sum() == ((values >= -2) & (values <= 3)).sum()
    expected = torch.histogram(values, 4096, range=(-2.0, 3.0)).hist
    assert (histogram.counts - expected).abs().sum() <= 40  # values at the edge of a bin
    centres = histogram.centres()
    assert centres[0] == -2 + 2.5 / 4096 and centres[-1] == pytest.approx(3 - 2.5 / 4096)


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5, 0.9, 0.9999, 1.0])
def test_quantiles_are_those_of_the_values(share):
    values = draw("normal")
    low, high = float(values.min()), float(values.max())
    found = seen(values, low, high).quantile(share)
    assert found - (high - low) / 4096 <= float(torch.quantile(values, share)) + 1e-3 and found <= high + 1e-6
    assert float((values <= found + 1e-6).double().mean()) >= share


@pytest.mark.parametrize("levels", [255, 15, 3])
def test_symmetric_scales_of_the_other_observers(levels):
    values = draw("long tails")
    top = float(values.abs().max())
    both = seen(values, -top, top)
    assert observe.symmetric_scale(both, levels, "minmax").item() == pytest.approx(top / levels)
    kept = observe.symmetric_scale(both, levels, "percentile").item() * levels
    outside = float((values.abs() > kept).double().mean())
    assert 5e-5 < outside <= 2.5e-4 and kept < 0.9 * top  # a ten-thousandth at either end
    positive = seen(values.relu(), 0.0, float(values.max()))
    kept = observe.symmetric_scale(positive, levels, "percentile").item() * levels
    assert 0 < float((values.relu() > kept).double().mean()) <= 1.5e-4


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("levels", [255, 15])
@pytest.mark.parametrize("shape", ["skewed", "normal", "half normal", "negative"])
def test_affine_scales(shape, levels, observer):
    """Their codes hold the number 0, and no other clip of 30 % to 100 % errs less where the error decides."""
    values = draw(shape)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if observer == "percentile":
        ends = [float(values.kthvalue(k).values) for k in (4, len(values) - 4)]  # of 40000
        low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    histogram = seen(values, min(0.0, float(values.min())), max(0.0, float(values.max())))
    scale, zero_point = observe.affine_scale(histogram, levels, observer)
    assert scale.dtype == torch.float64 and 0 <= zero_point <= levels
    assert zero_point == pytest.approx(-low / (high - low) * levels, abs=0.51 + levels / 1000)
    if observer != "mse":
        bin_ = (histogram.high - histogram.low) / 4096
        assert float(scale) * levels == pytest.approx(high - low, rel=1e-6, abs=bin_ if observer == "percentile" else 0)
        return
    clips = torch.linspace(0.3, 1.0, 48, dtype=torch.float64) * (high - low) / levels
    found = [float(affine_error(values, clip, zero_point, levels)) for clip in clips]
    assert float(affine_error(values, scale, zero_point, levels)) <= 1.02 * min(found)


def affine_error(values: torch.Tensor, scale: torch.Tensor, zero_point: int, levels: int) -> torch.Tensor:
    codes = torch.floor(values.double() / scale + 0.5).clamp(-zero_point, levels - zero_point)
    return (codes * scale - values.double()).square().sum()


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("levels", [127, 7, 1])
def test_weight_scales(levels, per_channel):
    weight = draw("long tails", 6 * 900).reshape(6, 4, 15, 15) * torch.arange(1.0, 7.0).reshape(-1, 1, 1, 1)
    rows = weight.double().reshape(6 if per_channel else 1, -1)
    largest = rows.abs().amax(1)
    for observer in OBSERVERS:
        scale = observe.weight_scales(weight, levels, per_channel, observer)
        assert scale.dtype == torch.float64 and scale.shape == (len(rows),)
        if observer == "minmax":
            torch.testing.assert_close(scale, largest / levels)
        elif observer == "percentile":
            torch.testing.assert_close(scale * levels, torch.quantile(rows.abs(), 0.9999, dim=1))
        else:
            clips = torch.linspace(0.3, 1.0, 48, dtype=torch.float64)
            for row, top, found in zip(rows, largest, scale, strict=True):
                tried = [weight_error(row, top * clip / levels, levels) for clip in clips]
                assert weight_error(row, found, levels) <= min(tried) * (1 + 1e-9)


def weight_error(row: torch.Tensor, scale: torch.Tensor, levels: int) -> float:
    return float((torch.floor(row / scale + 0.5).clamp(-levels, levels) * scale - row).square().sum())


@pytest.mark.parametrize("observer", OBSERVERS)
def test_channels_without_weights_have_a_scale(observer):
    weight = torch.ones(3, 5)
    weight[1] = 0
    weight[2] *= 1e-9
    scale = observe.weight_scales(weight, 127, True, observer)
    assert scale[1] == scale[2] == 2.0**-10 / 127 and scale[0] > scale[1]
    assert (observe.weight_scales(weight * 0, 127, True, observer) > 0).all()
