"""Every estimate of a table's gradient against its definition, one entry at a time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from agn_hw.codes import SIGNED, UNSIGNED, Codes, affine, unsigned
from agn_hw.kernels.autograd import conv2d_sums
from agn_hw.nn import gradients
from agn_hw.nn.gradients import BOUND, TableGradient, gradient_factors, table_gradient

RANGES = [(UNSIGNED, 127), (SIGNED, 127), (affine(8, 37), 127), (unsigned(4), 7), (Codes(-8, 7), 3), (Codes(-1, 0), 1)]
GAIN = 3
Entry = Callable[[int, int], float]


def product(codes: Codes) -> np.ndarray:
    """The exact product times GAIN by byte, int32 [256, 256]."""
    return (GAIN * np.outer(codes.of_bytes(), Codes(-128, 127).of_bytes())).astype(np.int32)


def noisy(codes: Codes, seed: int = 0) -> np.ndarray:
    """Signed and not commutative, with an error that grows along both operands."""
    error = np.random.default_rng(seed).normal(0, 200, (256, 256)) * np.linspace(0.2, 1, 256)[:, None]
    return (product(codes) + error).round().astype(np.int32)


def tables(found: TableGradient) -> tuple[np.ndarray, np.ndarray]:
    """dT/dx and dT/dw by byte, float64 [256, 256]."""
    full = [(factor if len(factor) else torch.ones(256, 1)).double().numpy() for factor in found.factors]
    assert all(factor.dtype == torch.float32 for factor in found.factors)
    return full[0] @ full[1].T, full[2] @ full[3].T


def check(found: TableGradient, by_x: Entry, by_w: Entry, codes: Codes, largest: int, error: float = 1e-6) -> None:
    """Every pair of codes; `error` is relative to the largest derivative, and what was reported is no more."""
    for table, entry, reported in zip(tables(found), (by_x, by_w), found.error, strict=True):
        pairs = [(x, w) for x in range(codes.low, codes.high + 1) for w in range(-largest, largest + 1)]
        wanted = np.array([entry(x, w) for x, w in pairs])
        entries = np.array([table[x & 255, w & 255] for x, w in pairs])
        largest_found = np.abs(entries - wanted).max()
        assert largest_found <= error * np.abs(wanted).max() + 1e-9 and reported <= error


@pytest.mark.parametrize("codes, largest", RANGES)
def test_slopes_are_those_of_least_squares(codes, largest):
    table = noisy(codes)
    xs, ws = np.arange(codes.low, codes.high + 1), np.arange(-largest, largest + 1)
    by_weight = {w: np.polyfit(xs, table[xs & 255, w & 255], 1)[0] for w in ws.tolist()}
    by_code = {x: np.polyfit(ws, table[x & 255, ws & 255], 1)[0] for x in xs.tolist()}
    found = gradients.slopes(table, codes, largest)
    check(found, lambda x, w: by_weight[w], lambda x, w: by_code[x], codes, largest)
    assert [len(factor) for factor in found.factors] == [0, 256, 256, 0] and found.ranks == (1, 1)


def difference(line: np.ndarray, at: int, half: int) -> float:
    """The definition, for the code that is number `at` of a line of the table."""
    def mean(centre: int) -> float:
        return float(line[centre - half : centre + half + 1].mean())

    last = len(line) - 1
    if half < at < last - half:
        return (mean(at + 1) - mean(at - 1)) / 2
    return (mean(last - half) - mean(half)) / (last - 2 * half)


def smoothed_entries(table: np.ndarray, codes: Codes, largest: int, half: int) -> tuple[Entry, Entry]:
    xs, ws = np.arange(codes.low, codes.high + 1), np.arange(-largest, largest + 1)
    ordered = table[np.ix_(xs & 255, ws & 255)].astype(float)
    return (
        lambda x, w: difference(ordered[:, w + largest], x - codes.low, half),
        lambda x, w: difference(ordered[x - codes.low], w + largest, half),
    )


@pytest.mark.parametrize("codes, largest, half", [
    (UNSIGNED, 127, 0), (UNSIGNED, 127, 1), (SIGNED, 127, 16), (affine(8, 37), 127, 64), (unsigned(4), 15, 2),
    (Codes(-8, 7), 7, 6),
])
def test_smoothed_differences(codes, largest, half):
    table = noisy(codes)
    found = gradients.smoothed(table, codes, largest, half, bound=0)
    check(found, *smoothed_entries(table, codes, largest, half), codes, largest)


@pytest.mark.parametrize("codes, half", [(UNSIGNED, 16), (SIGNED, 16), (unsigned(4), 1), (unsigned(5), 2)])
def test_windows_go_with_the_range(codes, half):
    table, largest = noisy(codes), (codes.high - codes.low) // 2
    found, wanted = gradients.smoothed(table, codes, largest), gradients.smoothed(table, codes, largest, half)
    assert all(map(torch.equal, found.factors, wanted.factors)) and max(found.error) <= BOUND


@pytest.mark.parametrize("bound", [0.3, 0.05, 1e-3])
def test_the_bound_is_kept_by_the_lowest_rank(bound):
    table, half = noisy(SIGNED), 4
    found = gradients.smoothed(table, SIGNED, 127, half, bound)
    check(found, *smoothed_entries(table, SIGNED, 127, half), SIGNED, 127, bound)
    for exact, rank in zip(tables(gradients.smoothed(table, SIGNED, 127, half, 0)), found.ranks, strict=True):
        assert rank < 256
        u, s, v = np.linalg.svd(exact)
        one_less = (u[:, : rank - 1] * s[: rank - 1]) @ v[: rank - 1]
        assert np.abs(one_less - exact).max() > bound * np.abs(exact).max()


def test_a_window_longer_than_the_range():
    """The longest for which there are two whole windows."""
    codes = unsigned(3)
    table = noisy(codes)
    long, longest = (tables(gradients.smoothed(table, codes, 3, half, 0)) for half in (64, 3))
    assert np.array_equal(long[0], longest[0])
    ordered = table[np.ix_(np.arange(8), np.arange(-3, 4) & 255)]
    assert long[0][5, 2] == pytest.approx(ordered[1:8, 5].mean() - ordered[0:7, 5].mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["slopes", "smoothed"])
@pytest.mark.parametrize("codes, largest", RANGES)
def test_the_exact_product_is_straight_through(kind, codes, largest):
    """At the borders, too; and at its price: one product each, nothing multiplied by ones."""
    found = table_gradient(kind, product(codes), codes, largest)
    check(found, lambda x, w: GAIN * w, lambda x, w: GAIN * x, codes, largest)
    assert [len(factor) for factor in found.factors] == [0, 256, 256, 0]


@pytest.mark.parametrize("kind", ["slopes", "smoothed"])
def test_falling_tables_have_negative_gradients(kind):
    """The range of a row over its codes would be positive, whichever way it goes."""
    by_x, by_w = tables(table_gradient(kind, -product(UNSIGNED), UNSIGNED, 127))
    assert (by_x[:, 1:128] < 0).all() and (by_x[:, 129:] > 0).all() and (by_w[1:] < 0).all()


def test_tables_of_ones_own():
    """By byte, as given; equal rows cost one product."""
    generator = np.random.default_rng(0)
    dx, dw = generator.normal(size=(256, 256)), np.tile(generator.normal(size=(1, 256)), (256, 1))
    found = gradients.from_tables(dx, dw, bound=0)
    np.testing.assert_allclose(tables(found)[0], dx, atol=1e-5)
    np.testing.assert_allclose(tables(found)[1], dw, atol=1e-5)
    assert found.ranks == (256, 1) and len(found.factors[2]) == 0
    assert max(found.error) < 1e-5
    chosen = gradient_factors((dx, dw), product(SIGNED), SIGNED, 127)
    assert all(map(torch.equal, chosen, found.factors))
    cut = gradients.from_tables(dx, dw, bound=0.5)
    assert 1 < cut.ranks[0] < 100 and 0.1 < cut.error[0] <= 0.5


def test_a_table_that_never_changes():
    for kind in ("slopes", "smoothed"):
        found = table_gradient(kind, np.full((256, 256), 9, np.int32), SIGNED, 127)
        assert not any(table.any() for table in tables(found)) and found.error == (0, 0)


def test_straight_through_needs_no_factors():
    assert gradient_factors("ste", noisy(SIGNED), SIGNED, 127) == []
    assert table_gradient("ste", noisy(SIGNED), SIGNED, 127).ranks == (1, 1)


def test_what_cannot_be_is_refused():
    table, square = noisy(SIGNED), np.zeros((256, 256))
    with pytest.raises(ValueError, match=r"wanted a gradient of ste, slopes, smoothed, or two tables.*got 'lut'"):
        gradient_factors("lut", table, SIGNED, 127)
    with pytest.raises(ValueError, match=r"shape \(16, 16\)"):
        gradient_factors("slopes", table[:16, :16], SIGNED, 127)
    with pytest.raises(ValueError, match=r"two tables of finite numbers.*\(256,\)"):
        gradient_factors((square, square[0]), table, SIGNED, 127)
    with pytest.raises(ValueError, match="finite numbers"):
        gradient_factors((square, np.where(square == 0, np.nan, 0)), table, SIGNED, 127)


@pytest.mark.parametrize("kind", ["ste", "slopes", "smoothed", (np.ones((256, 256)), np.zeros((256, 256)))])
def test_the_operators_take_them(kind):
    table = noisy(SIGNED)
    x, w = torch.full((1, 2, 5, 5), -3.0, requires_grad=True), torch.full((2, 2, 3, 3), 4.0, requires_grad=True)
    factors = gradient_factors(kind, table, SIGNED, 127)
    gain = torch.tensor(1.0 * GAIN, dtype=torch.float64)
    y = conv2d_sums(x, w, torch.from_numpy(table), [], gain, factors, [1, 1], [1, 1], [1, 1], 1)
    to_x, to_w = torch.autograd.grad(y.sum(), (x, w))
    assert to_x.shape == x.shape and to_w.shape == w.shape and torch.isfinite(to_x).all() and torch.isfinite(to_w).all()
