"""Limits on latency: cycles from shapes, clock periods from made-up hardware, multipliers that are too slow."""

import pytest

from agn_hw.nn.layers import table_layers
from agn_hw.search import latency
from agn_hw.search.pairs.operands import at_layers
from agn_hw.search.solver.assignment import AssignmentError, Limits
from agn_hw.search.strategies import Target
from agn_hw.search.study import Study
from lut_gen.errors import CatalogError
from tests.agn_hw.networks import small_resnet
from tests.agn_hw.search.doctored import Doctored
from tests.agn_hw.search.study_case import FEW, Quiet, few, splits

PERIODS = {"exact_8x8": 8.0, "exact_2x2": 2.0, "exact_3x3": 3.0, "truncated_4x4_d3": 4.0}
"""ns; all others 10."""


@pytest.fixture(scope="module")
def known(catalog) -> Study:
    return Study.of(small_resnet(), splits(), few(catalog), stages=Quiet(), hardware=Doctored({}, PERIODS))


def by_hand(study: Study) -> int:
    """Cycles on arrays of 4 x 4, from the shapes of weights and outputs."""
    total = 0
    layers = table_layers(study.quantized)
    shapes = at_layers(study.quantized, study.trials.calibration[:1], lambda layer, codes, output: output.shape)
    for name, shape in shapes.items():
        outputs, *taps = layers[name].weight.shape
        depth = 1
        for size in taps:
            depth *= size
        vectors = shape.numel() // outputs
        total += -(-depth // 4) * -(-outputs // 4) * (vectors + 2 * 4 + 4 - 1)
    return total


def test_cycles_are_those_of_the_tiles(known):
    assert latency.cycles(known, known.hardware) == by_hand(known) > 1000


def test_slow_multipliers_are_out(known):
    limit = by_hand(known) * 4.0 / 1000 * 1.0001  # us
    excluded = latency.too_slow(known, limit)
    fast = {"exact_2x2", "exact_3x3", "truncated_4x4_d3"}
    assert list(excluded) == list(known.options.operands)
    assert all(set(barred) == set(FEW) - fast for barred in excluded.values())
    said = known.stages.log[-1]
    assert said["stage"] == "clock periods" and said["cycles"] == by_hand(known)
    best = known.solve(Target(20.0, limits=Limits(excluded=excluded))).best
    assert best is not None and set(best.names.values()) <= fast


def test_the_limit_itself_is_allowed(known):
    """So that what the error says is least can be asked for."""
    least = by_hand(known) * 2.0 / 1000
    assert all("exact_2x2" not in barred for barred in latency.too_slow(known, least * (1 + 1e-9)).values())
    with pytest.raises(AssignmentError, match=f"2 ns, take {least:.4g} us"):
        latency.too_slow(known, least * 0.99)


def test_no_hardware(catalog, known):
    bare = Study(*(getattr(known, name) for name in ("network", "quantized", "splits", "options", "trials")), 0.0)
    with pytest.raises(CatalogError, match="hardware=Hardware"):
        latency.too_slow(bare, 1.0)
