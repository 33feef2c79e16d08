"""Zero-delay activity: weighted counts of ones against all ordered pairs of vectors, and recorded sequences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lut_gen.energy import activity, power
from lut_gen.energy.activity import Signals
from lut_gen.energy.data_order import (
    INDEPENDENT,
    OUTPUT_STATIONARY,
    DataOrder,
    activation_stationary,
    weight_stationary,
)
from lut_gen.errors import AgnError
from lut_gen.library import liberty_reader
from lut_gen.netlist import Netlist, all_operands
from tests.lut_gen import icarus
from tests.lut_gen.oracles import netlists, steady_toggles, vector_matrix

CELLS = liberty_reader.load().cells
ORDERS = (INDEPENDENT, weight_stationary(), weight_stationary(3), activation_stationary(), activation_stationary(1.5))


def histogram(netlist: Netlist, seed: int, zeros: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 100, (2 ** len(netlist.a), 2 ** len(netlist.b)))
    counts *= rng.random(counts.shape) >= zeros
    counts[rng.integers(len(counts)), 0] += 1
    return counts


@settings(derandomize=True, deadline=None, max_examples=60)
@given(netlists(CELLS, bits=2), st.integers(0, 2**32 - 1), st.sampled_from(ORDERS))
def test_toggles_are_the_mean_over_all_steps(netlist, seed, order):
    joint = histogram(netlist, seed)
    found = Signals.of(netlist, CELLS).toggles(joint, order)
    assert found.shape == (netlist.nets,)
    assert found == pytest.approx(steady_toggles(netlist, CELLS, joint, order.held, order.run), abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(netlists(CELLS), st.integers(0, 2**32 - 1), st.sampled_from(ORDERS))
def test_marginals_are_outer_products(netlist, seed, order):
    rng = np.random.default_rng(seed)
    signals = Signals.of(netlist, CELLS)
    a, b = (rng.integers(0, 3, (4, size)) for size in signals.shape)
    a[:, 0] += 1
    b[:, -1] += 1
    found = signals.toggles_of_marginals(a, b, order)
    for i in range(4):
        assert found[i] == pytest.approx(signals.toggles(np.outer(a[i], b[i]), order), abs=1e-12)
    if order.held is not None:
        orders = [order, DataOrder(order.held, 3.5), DataOrder(order.held, math.inf), DataOrder(None)]
        found = signals.toggles_of_marginals(a, b, orders)
        for i, own in enumerate(orders):
            assert found[i] == pytest.approx(signals.toggles(np.outer(a[i], b[i]), own), abs=1e-12)


@pytest.mark.parametrize("orders", [[DataOrder("a", 2), DataOrder("b", 2)], [DataOrder("a", 2)] * 3])
def test_marginals_share_one_held_operand(orders, catalog):
    signals = Signals.of(catalog["exact_3x3"].netlist, CELLS)
    with pytest.raises(AgnError, match="2 that hold the same operand"):
        signals.toggles_of_marginals(np.ones((2, 8)), np.ones((2, 8)), orders)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(netlists(CELLS), st.integers(0, 2**32 - 1))
def test_limits_of_the_orders(netlist, seed):
    signals, joint = Signals.of(netlist, CELLS), histogram(netlist, seed)
    independent = signals.toggles(joint)
    for port in "ab":
        assert signals.toggles(joint, DataOrder(port, 1)) == pytest.approx(independent, abs=1e-12)
        for_ever = signals.toggles(joint, DataOrder(port, math.inf))
        mixed = signals.toggles(joint, DataOrder(port, 4))
        assert mixed == pytest.approx(0.75 * for_ever + 0.25 * independent, abs=1e-12)
        held = netlist.a if port == "a" else netlist.b
        assert for_ever[list(held)] == pytest.approx(np.zeros(len(held)), abs=1e-12)
        assert (for_ever <= independent + 1e-12).all()  # variance within groups is no more than in all
    assert signals.toggles(7.5 * joint) == pytest.approx(independent, abs=1e-12)
    single = np.zeros(signals.shape)
    single[-1, 0] = 3
    for order in ORDERS:
        assert not signals.toggles(single, order).any()


def test_uniform_operands_give_the_probabilities_of_the_catalog(catalog):
    for name in ("exact_8x8", "exact_3x2", "baugh_wooley_4x4"):
        netlist = catalog[name].netlist
        signals = Signals.of(netlist, CELLS)
        a, b = all_operands(len(netlist.a), len(netlist.b))
        p = power.probabilities(netlist.evaluate(CELLS, a, b), len(a))
        assert signals.toggles(np.ones(signals.shape)) == pytest.approx(2 * p * (1 - p), abs=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(netlists(CELLS), st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 63, 64, 65, 66, 129, 130, 200]))
def test_recorded_toggles_are_counted_step_by_step(netlist, seed, length):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 2 ** len(nets), length) for nets in (netlist.a, netlist.b))
    counted = np.abs(np.diff(vector_matrix(netlist, CELLS, a, b), axis=0)).sum(axis=0)
    assert activity.recorded(netlist, CELLS, a, b).tolist() == counted.tolist()


def test_long_recordings_are_counted_in_parts(monkeypatch, catalog):
    netlist = catalog["exact_3x2"].netlist
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 8, 1000), rng.integers(0, 4, 1000)
    whole = activity.recorded(netlist, CELLS, a, b)
    for part in (1, 64, 100, 998, 999, 1000):
        monkeypatch.setattr(activity, "_STEPS", part)
        assert activity.recorded(netlist, CELLS, a, b).tolist() == whole.tolist()


@icarus.needs_icarus
@settings(derandomize=True, deadline=None, max_examples=10)
@given(netlists(CELLS, most_gates=30, bits=4), st.integers(0, 2**32 - 1))
def test_recorded_toggles_are_those_of_icarus(tmp_path_factory, netlist, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 2 ** len(nets), 120) for nets in (netlist.a, netlist.b))
    expected = icarus.toggles(netlist, CELLS, a, b, tmp_path_factory.mktemp("icarus"))
    assert activity.recorded(netlist, CELLS, a, b).tolist() == expected


@pytest.mark.parametrize("run", [1, 2, 5, math.inf])
def test_sequences_made_of_runs_tend_to_the_exact_rates(run, catalog):
    """Runs of fixed length with random activations: the very thing that `weight_stationary` describes."""
    netlist = catalog["exact_3x3"].netlist
    signals = Signals.of(netlist, CELLS)
    joint = histogram(netlist, 5)
    rng = np.random.default_rng(6)
    steps, shares = 60_000, joint / joint.sum()
    length = 40 if run == math.inf else run
    b = np.repeat(rng.choice(8, steps // length, p=shares.sum(axis=0)), length)
    a = np.empty_like(b)
    for weight in range(8):
        a[b == weight] = rng.choice(8, (b == weight).sum(), p=shares[:, weight] / max(shares[:, weight].sum(), 1e-9))
    counted = activity.recorded(netlist, CELLS, a, b) / (len(b) - 1)
    expected = signals.toggles(joint, weight_stationary(length))
    assert counted == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(steps / length))
    if run == math.inf:
        assert signals.toggles(joint, weight_stationary()) == pytest.approx(expected, abs=1 / length)


def test_output_stationary_is_independent_to_first_order():
    assert OUTPUT_STATIONARY == INDEPENDENT and INDEPENDENT.stay == 0


@pytest.mark.parametrize(
    "joint",
    [
        np.ones((4, 8)),
        np.ones(64),
        np.zeros((8, 8)),
        -np.eye(8),
        np.full((8, 8), np.nan),
        np.full((8, 8), np.inf),
    ],
)
def test_what_is_no_histogram_is_refused(joint, catalog):
    signals = Signals.of(catalog["exact_3x3"].netlist, CELLS)
    with pytest.raises(AgnError, match="a histogram of shape"):
        signals.toggles(joint)


def test_a_batch_with_one_empty_histogram_is_refused(catalog):
    signals = Signals.of(catalog["exact_3x3"].netlist, CELLS)
    with pytest.raises(AgnError, match="nothing was counted"):
        signals.toggles_of_marginals(np.ones((2, 8)), np.stack([np.ones(8), np.zeros(8)]))
    with pytest.raises(AgnError, match="its shape"):
        signals.toggles_of_marginals(np.ones((2, 8)), np.ones((3, 8)))


@pytest.mark.parametrize(("held", "run"), [("c", 2), ("b", 0.5), ("a", math.nan)])
def test_what_is_no_data_order_is_refused(held, run):
    with pytest.raises(AgnError):
        DataOrder(held, run)
