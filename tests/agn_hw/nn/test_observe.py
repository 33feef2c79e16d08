"""Activation scales against trying every scale on every value."""

import pytest
import torch

from agn_hw.nn import observe


def errors(values: torch.Tensor, levels: int, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The scales that are tried and the squared error of each, on the values themselves."""
    top = float(values.abs().max())
    scales = [top / levels * (0.3 + 0.7 * i / 47) for i in range(48)]
    found = []
    for scale in scales:
        codes = torch.floor(values.double() / scale + 0.5).clamp(-levels - 1 if signed else 0, levels)
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
