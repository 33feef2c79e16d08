"""Evolved assignments against brute force; what is evaluated, how often, in which order; what is refused."""

import itertools
import math
import sys

import numpy as np
import pytest

from agn_hw.search.evolution import EvolutionError, evolve


class Case:
    """A separable problem of random pairs in which energy costs loss, and a diary of what was evaluated."""

    def __init__(self, layers: int, multipliers: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.choices = {f"layer{i}": [f"m{j}" for j in range(multipliers)] for i in range(layers)}
        self.energy, self.lost = {}, {}
        for layer, own in self.choices.items():
            rising, falling = np.sort(random.random(multipliers)) * 10, np.sort(random.random(multipliers))[::-1]
            self.energy[layer] = dict(zip(own, rising.tolist(), strict=True))
            self.lost[layer] = dict(zip(own, falling.tolist(), strict=True))
        self.asked: list[dict[str, str]] = []

    def loss(self, names: dict[str, str]) -> float:
        self.asked.append(dict(names))
        return self.lost_by(names)

    def lost_by(self, names: dict[str, str]) -> float:
        return math.fsum(self.lost[layer][name] for layer, name in names.items())

    def energy_of(self, names: dict[str, str]) -> float:
        return math.fsum(self.energy[layer][name] for layer, name in names.items())

    def point(self, names: dict[str, str]) -> tuple[float, float]:
        return self.energy_of(names), self.lost_by(names)

    def uniform(self) -> list[dict[str, str]]:
        return [dict.fromkeys(self.choices, name) for name in self.choices["layer0"]]

    def everything(self) -> list[dict[str, str]]:
        return [dict(zip(self.choices, names, strict=True)) for names in itertools.product(*self.choices.values())]

    def front(self, found: list[dict[str, str]]) -> list[tuple[float, float]]:
        """The points of these that no other is as good as in both and better in one, by the definition."""
        points = {self.point(names) for names in found}
        return sorted(p for p in points if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points))

    def evolve(self, evaluations: int, seed: int = 0, start: list[dict[str, str]] | None = None, **more):
        start = self.uniform() if start is None else start
        return evolve(self.choices, self.energy, self.loss, evaluations, seed, start, **more)


def test_finds_nearly_the_whole_front():
    case = Case(4, 6)  # 1296 assignments
    best = case.front(case.everything())
    found = [case.point(names) for names in case.evolve(600)]
    assert len(case.asked) == 600
    assert len(set(found) & set(best)) > 0.8 * len(best)
    assert found == case.front(case.asked)


def volume(points: list[tuple[float, float]], corner: tuple[float, float]) -> float:
    """Area between a front, cheapest first, and a corner that is worse than all of it."""
    ends = [*(energy for energy, _ in points[1:]), corner[0]]
    return sum((end - energy) * (corner[1] - lost) for (energy, lost), end in zip(points, ends, strict=True))


def test_better_than_the_start_and_than_chance():
    case, corner = Case(10, 20), (100.0, 10.0)
    found = volume([case.point(names) for names in case.evolve(1000)], corner)
    random = np.random.default_rng(5)
    drawn = [{layer: str(random.choice(own)) for layer, own in case.choices.items()} for _ in range(1000)]
    assert found > 1.05 * volume(case.front(drawn + case.uniform()), corner)


def test_few_assignments_are_all_evaluated():
    case = Case(3, 4)
    found = case.evolve(64, start=[])
    assert [case.point(names) for names in found] == case.front(case.everything())
    assert len(case.asked) == 64


@pytest.mark.parametrize("layers, multipliers, evaluations", [(1, 1, 5), (1, 9, 3), (6, 1, 3), (7, 3, 2), (2, 30, 890)])
def test_small_problems(layers, multipliers, evaluations):
    case = Case(layers, multipliers)
    found = case.evolve(evaluations, start=[])
    assert [case.point(names) for names in found] == case.front(case.asked)
    assert len(case.asked) == len({tuple(names.values()) for names in case.asked}) <= evaluations


def test_start_comes_first_and_nothing_twice():
    case = Case(5, 8)
    told = []
    case.evolve(150, start=[*case.uniform(), *case.uniform()], step=lambda done, total: told.append((done, total)))
    assert case.asked[:8] == case.uniform()
    assert len({tuple(names.values()) for names in case.asked}) == len(case.asked) == 150
    assert told == [(done, 150) for done in range(1, 151)]


def test_longer_start_than_evaluations():
    case = Case(5, 8)
    found = case.evolve(3)
    assert case.asked == case.uniform()[:3]
    assert [case.point(names) for names in found] == case.front(case.asked)


def test_seed_decides(capfd):
    runs = {}
    for turn, seed in enumerate((0, 0, 1)):
        case = Case(6, 8)
        np.random.seed(turn)
        state = np.random.get_state()[1].copy()
        runs[turn] = case.evolve(200, seed), case.asked
        assert np.array_equal(np.random.get_state()[1], state)
    assert runs[0] == runs[1]
    assert runs[0][1][:58] != runs[2][1][:58]
    assert capfd.readouterr() == ("", "")


def test_of_equal_assignments_the_first_is_kept():
    case = Case(4, 5)
    case.energy = {layer: dict.fromkeys(own, 1.0) for layer, own in case.choices.items()}
    case.lost = {layer: dict.fromkeys(own, 0.5) for layer, own in case.choices.items()}
    assert case.evolve(60) == case.uniform()[:1]


def refused(case: Case, evaluations: int = 20, start: list[dict[str, str]] | None = None) -> str:
    with pytest.raises(EvolutionError) as caught:
        case.evolve(evaluations, start=start)
    assert case.asked == [] or math.isnan(case.lost["layer0"]["m0"])
    return str(caught.value)


def test_refusals():
    assert "0 came" in refused(Case(2, 3), evaluations=0)
    case = Case(2, 3)
    case.choices["layer1"] = []
    assert "layer1" in refused(case, start=[])
    case.choices["layer1"] = ["m0", "m0"]
    assert "layer1" in refused(case, start=[])
    case = Case(2, 3)
    del case.energy["layer1"]["m2"]
    assert "m2" in refused(case)
    assert "m7 in layer1" in refused(Case(2, 3), start=[{"layer0": "m0", "layer1": "m7"}])
    assert "None in layer1" in refused(Case(2, 3), start=[{"layer0": "m0"}])
    case = Case(2, 3)
    case.lost["layer0"]["m0"] = math.nan
    assert "nan came" in refused(case)


def test_says_how_to_get_pymoo(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymoo"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymoo", None)
    assert "agn-hw[evolution]" in refused(Case(2, 3))
