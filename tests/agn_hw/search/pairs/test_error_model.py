"""Predicted output errors against loops over products, draws of operands, and the layer itself."""

import numpy as np
import pytest
import torch
from torch import nn

from agn_hw.mapping import WEIGHTS
from agn_hw.nn.compensation import Moments, match
from agn_hw.search.pairs.error_model import OutputErrors, noise, output_errors
from agn_hw.search.pairs.fields import receptive_fields
from agn_hw.search.pairs.operands import record
from tests.agn_hw import oracles
from tests.agn_hw.search.pairs.layers import SOURCES, case, tables

DRAWS = 40_000
PER_CHANNEL = pytest.mark.parametrize("per_channel", [False, True], ids=["one histogram", "one a channel"])
ALL = pytest.mark.parametrize("name", SOURCES)


def histograms(layer, operands) -> np.ndarray:
    """The histogram that each product of each output channel draws from, [N, K, 256]."""
    channels, depth, *taps = layer.weight.shape
    taps = int(np.prod(taps))
    if operands.channels is None:
        return np.broadcast_to(operands.activations, (channels, depth * taps, 256))
    per_group = channels // layer.groups
    inputs = [[n // per_group * depth + k // taps for k in range(depth * taps)] for n in range(channels)]
    return operands.channels[np.array(inputs)]


def weight_rows(layer) -> np.ndarray:
    return oracles.integers(layer.weight_codes()).reshape(len(layer.weight), -1)


def by_loops(layer, operands, table: np.ndarray, gain: float) -> np.ndarray:
    """Mean, variance, covariance, exact variance of each channel, product after product: [4, N]."""
    x = operands.codes.of_bytes().astype(float)
    totals = np.zeros((4, len(layer.weight)))
    shares = histograms(layer, operands)
    for (n, k), w in np.ndenumerate(weight_rows(layer)):
        p, error, product = shares[n, k], table[:, w & 255] / gain - x * w, x * w
        mean, centre = float(p @ error), float(p @ product)
        totals[0, n] += mean
        totals[1, n] += p @ (error - mean) ** 2
        totals[2, n] += p @ ((error - mean) * (product - centre))
        totals[3, n] += p @ (product - centre) ** 2
    return totals


@PER_CHANNEL
@ALL
def test_every_product_counts(name, per_channel):
    layer, codes = case(name)
    operands = record(nn.Sequential(layer), codes, per_channel=per_channel)["0"]
    found = output_errors(layer, operands, tables())
    for m, (table, gain) in enumerate(tables()):
        expected = by_loops(layer, operands, table, gain)
        got = found.mean[m], found.variance[m], found.covariance[m], found.exact_variance
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-6)
    np.testing.assert_allclose(found.std**2, found.variance)


def drawn(layer, operands, table: np.ndarray, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact and approximate sums of independent activations, float64 [DRAWS, N]."""
    generator = np.random.default_rng(5)
    shares, rows = histograms(layer, operands), weight_rows(layer)
    exact, other = np.empty((2, DRAWS, len(rows)))
    product = np.outer(operands.codes.of_bytes(), WEIGHTS)
    for n, weights in enumerate(rows):
        x = np.stack([generator.choice(256, DRAWS, p=p) for p in shares[n]], 1)
        exact[:, n] = oracles.matmul(x, weights[None], product)[:, 0]
        other[:, n] = oracles.matmul(x, weights[None], table)[:, 0] / gain
    return exact, other


@ALL
def test_draws_of_operands(name):
    layer, codes = case(name)
    operands = record(nn.Sequential(layer), codes, per_channel=True)["0"]
    table, gain = tables()[1]
    found = output_errors(layer, operands, [(table, gain)])
    exact, other = drawn(layer, operands, table, gain)
    error = other - exact
    assert found.mean[0] == pytest.approx(error.mean(0), abs=6 * error.std(0).max() / DRAWS**0.5)
    assert found.std[0] == pytest.approx(error.std(0), rel=0.03)
    assert found.exact_variance == pytest.approx(exact.var(0), rel=0.05)
    assert found.residual(gain=False)[0] == pytest.approx(error.var(0), rel=0.05)
    factor = exact.std(0) / other.std(0)
    assert found.gain()[0] == pytest.approx(factor, rel=0.03)
    assert found.residual()[0] == pytest.approx((factor * other - exact).var(0), rel=0.08)


def test_gain_is_what_compensation_sets():
    channels = 6
    exact_std = torch.tensor([1.0, 1.0, 0.0, 0.0, 5.0, 2.0], dtype=torch.float64)
    own_std = torch.tensor([2.0, 100.0, 3.0, 0.0, 0.5, 0.0], dtype=torch.float64)
    layer = case("plain")[0]
    layer.channel_gain, layer.channel_offset = torch.empty(channels).double(), torch.empty(channels).double()
    zeros = torch.zeros(channels, dtype=torch.float64)
    match(layer, Moments(zeros, own_std), Moments(zeros, exact_std))
    # approximate = (own / exact) * exact where it varies, else independent of it
    ratio = np.divide(own_std, exact_std, out=np.zeros(channels), where=exact_std.numpy() > 0) - 1
    variance = np.where(exact_std > 0, (ratio * exact_std.numpy()) ** 2, own_std.numpy() ** 2)
    errors = OutputErrors(
        np.zeros((1, channels)), variance[None], (ratio * exact_std.numpy() ** 2)[None], exact_std.numpy() ** 2
    )
    np.testing.assert_allclose(errors.gain()[0], layer.channel_gain.numpy())
    left = errors.residual()[0]
    np.testing.assert_allclose(left, [0, (0.05 * 100 - 1) ** 2, (0.05 * 3) ** 2, 0, (4 * 0.5 - 5) ** 2, 4])


@PER_CHANNEL
@ALL
def test_errors_that_follow_the_activation_have_the_fields_covariance(name, per_channel):
    layer, codes = case(name)
    operands = record(nn.Sequential(layer), codes, per_channel=per_channel)["0"]
    slopes = np.random.default_rng(2).integers(-300, 301, 256)
    table = np.outer(operands.codes.of_bytes(), slopes)
    fields = receptive_fields(layer, codes, count=10**6)
    found = output_errors(layer, operands, [(table, 1.5)], fields)
    exact = layer.accumulate(codes).detach().movedim(layer.channel_axis, 0).flatten(1).double().numpy()
    layer.set_table(table.astype(np.int32), 1.5)
    with torch.no_grad():
        own = layer.accumulate(codes).movedim(layer.channel_axis, 0).flatten(1).double().numpy() / 1.5
    np.testing.assert_allclose(found.exact_variance, exact.var(1))
    np.testing.assert_allclose(found.variance[0], (own - exact).var(1), rtol=1e-7)
    both = ((own - own.mean(1, keepdims=True)) * (exact - exact.mean(1, keepdims=True))).mean(1) - exact.var(1)
    np.testing.assert_allclose(found.covariance[0], both, rtol=1e-7, atol=1e-7 * exact.var())


@ALL
def test_what_the_activation_does_not_explain_stays_independent(name):
    layer, codes = case(name)
    operands = record(nn.Sequential(layer), codes, per_channel=True)["0"]
    (table, gain), x = tables()[2], operands.codes.of_bytes().astype(float)
    fields, shares = receptive_fields(layer, codes, 30), histograms(layer, operands)
    rows = weight_rows(layer)
    expected = np.zeros(len(rows))
    per_group = len(rows) // layer.groups
    for n, weights in enumerate(rows):
        linear = np.zeros(len(fields))
        for k, w in enumerate(weights):
            p, error = shares[n, k], table[:, w & 255] / gain - x * w
            slope, constant = np.polyfit(x[p > 0], error[p > 0], 1, w=np.sqrt(p[p > 0]))
            linear += slope * fields[:, n // per_group, k]
            expected[n] += p @ (error - constant - slope * x) ** 2
        expected[n] += linear.var()
    found = output_errors(layer, operands, [(table, gain)], fields)
    np.testing.assert_allclose(found.variance[0], expected, rtol=1e-6)
    np.testing.assert_allclose(found.mean, output_errors(layer, operands, [(table, gain)]).mean)


def test_an_exact_table_makes_no_error():
    layer, codes = case("groups")
    operands = record(nn.Sequential(layer), codes)["0"]
    table = 3 * np.outer(operands.codes.of_bytes(), WEIGHTS)
    for fields in (None, receptive_fields(layer, codes)):
        found = output_errors(layer, operands, [(table, 3.0), (2 * table, 3.0)], fields)
        assert not found.mean[0].any() and not found.variance[0].any() and not found.residual()[0].any()
        assert found.mean[1].any() and found.variance[1].all()
        np.testing.assert_allclose(found.residual()[1] / found.variance[1], 0, atol=1e-12)  # a gain undoes it
        np.testing.assert_allclose(found.residual(gain=False)[1], found.variance[1])


def test_noise_is_relative_to_the_measured_variance():
    layer, codes = case("plain")
    operands = record(nn.Sequential(layer), codes)["0"]
    std = torch.tensor([3.0, 0.0, 5.0, 7.0, 11.0], dtype=torch.float64)
    left = output_errors(layer, operands, tables()).residual()
    expected = [np.mean([row[n] / float(std[n]) ** 2 for n in (0, 2, 3, 4)]) for row in left]
    np.testing.assert_allclose(noise(layer, operands, tables(), Moments(std, std)), expected)
    fields = receptive_fields(layer, codes, 40)
    left = output_errors(layer, operands, tables(), fields).residual()
    expected = (left / 4).mean(1)
    np.testing.assert_allclose(noise(layer, operands, tables(), Moments(std, 0 * std + 2), fields), expected)
    assert not noise(layer, operands, tables(), Moments(std, 0 * std)).any()


def test_constant_activations():
    layer, codes = case("linear")
    codes = torch.zeros_like(codes)
    operands = record(nn.Sequential(layer), codes)["0"]
    for fields in (None, receptive_fields(layer, codes)):
        found = output_errors(layer, operands, tables(), fields)
        assert not found.variance.any() and not found.exact_variance.any() and (found.gain() == 1).all()
        assert found.mean.all()
