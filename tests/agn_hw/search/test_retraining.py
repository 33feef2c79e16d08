"""Retraining in the loop: how far it goes down, and that it turns back where the target is missed."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agn_hw.search.behaviour import Drop
from agn_hw.search.retraining import FEWEST_STEPS, ROUNDS, descend, recipe
from agn_hw.search.selection import Trial
from agn_hw.zoo import data


@dataclass
class Known:
    """Stands in for Retraining: proposals below `crossing` hold once they are retrained."""

    crossing: int
    asked: list[int] = field(default_factory=list)

    def known(self, names: dict[str, int]) -> bool:
        return names["layer"] in self.asked

    def run(self, names: dict[str, int]) -> Trial:
        number = names["layer"]
        if number not in self.asked:
            self.asked.append(number)
        lost = Drop(0.5 if number < self.crossing else 3.0, 0.1)
        return Trial(names, 1.0 / (1 + number), 0.0, 0.9, lost, lost)


def energy(trial: Trial) -> float:
    return trial.energy


@given(st.integers(1, 100), st.integers(-1, 99), st.integers(0, 100))
def test_what_is_found_holds_and_is_cheaper_than_without(count, untrained, crossing):
    known = Known(crossing)
    untrained = min(untrained, count - 1)
    found = descend(known, [{"layer": number} for number in range(count)], untrained, 1.0, energy)
    assert len(known.asked) == len(set(known.asked)) <= ROUNDS
    assert all(untrained < number < count for number in known.asked)
    holding = [number for number in known.asked if number < crossing]
    assert (found.names["layer"] if found else None) == max(holding, default=None)


def test_farther_while_it_holds_and_half_way_back():
    known = Known(24)
    descend(known, [{"layer": number} for number in range(96)], 10, 1.0, energy)
    assert known.asked == [16, 22, 28, 25]


def test_the_cost_decides_and_duplicates_cost_no_round():
    known = Known(9)
    proposals = [{"layer": number // 8} for number in range(96)]
    found = descend(known, proposals, -1, 1.0, lambda trial: trial.energy)
    assert found is not None and found.names["layer"] == max(n for n in known.asked if n < 9)
    assert len(known.asked) == ROUNDS
    dear = descend(Known(9), proposals, -1, 1.0, lambda trial: -trial.energy)
    assert dear is not None and dear.energy > found.energy


def test_small_sets_get_enough_steps():
    splits = data.load("digits")
    found = recipe(splits, "shift", seed=3)
    assert found.epochs * len(splits.train) / found.batch == pytest.approx(FEWEST_STEPS) and found.seed == 3
