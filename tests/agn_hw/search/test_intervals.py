"""Bootstrap intervals: against the normal approximation, degenerate samples, the same twice."""

import pytest
import torch

from agn_hw.search.intervals import interval


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_hits_have_the_normal_interval(share):
    hits = torch.arange(2000) < 2000 * share
    low, high = interval(hits)
    spread = 1.96 * (share * (1 - share) / 2000) ** 0.5
    assert low == pytest.approx(share - spread, abs=0.1 * spread)
    assert high == pytest.approx(share + spread, abs=0.1 * spread)
    assert interval(hits) == (low, high)


def test_differences_are_paired():
    hits = torch.rand(1000, generator=torch.Generator().manual_seed(0)) < 0.8
    other = hits.clone()
    other[:10] = ~other[:10]
    low, high = interval(hits.double() - other.double())
    assert high - low < 0.02  # ten answers of a thousand, not the spread of two accuracies
    assert interval(hits.double() - hits.double()) == (0.0, 0.0)
    assert interval(torch.tensor([1.0])) == (1.0, 1.0)
