"""Losses that outlive the process: what is measured again, and what is not."""

import copy
import json

import pytest
import torch

from agn_hw.mapping import default
from agn_hw.search.pairs.loss_cache import LossCache, network_key, pair_key
from agn_hw.search.pairs.sensitivity import Sensitivity
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.tables import multiplier, truncated_lut

X = images(8, seed=12)
MADE = multiplier(truncated_lut(6))
PAIRS = [(name, MADE, default(MADE)) for name in ("stage3.conv2", "fc")]


def test_second_sensitivity_measures_nothing(tmp_path, monkeypatch):
    first = Sensitivity(quantized_resnet(), X, LossCache(tmp_path / "losses")).divergences(PAIRS)
    again = Sensitivity(quantized_resnet(), X, LossCache(tmp_path / "losses"))
    monkeypatch.setattr("agn_hw.search.pairs.sensitivity._Worker", None)  # whoever measures fails
    assert again.divergences(PAIRS) == first == [again.divergence(*pair) for pair in PAIRS]
    told = []
    again.divergences(PAIRS, lambda *counts: told.append(counts))
    assert told == [(2, 2)]


def test_only_the_missing_are_measured(tmp_path):
    cache, model = LossCache(tmp_path), quantized_resnet()
    expected = Sensitivity(model, X).divergences(PAIRS)
    cache.append(network_key(model, X), _pair_key(PAIRS[0]), 0.125)
    assert Sensitivity(model, X, cache).divergences(PAIRS) == [0.125, expected[1]]
    assert cache.read(network_key(model, X)) == {_pair_key(PAIRS[0]): 0.125, _pair_key(PAIRS[1]): expected[1]}


def _pair_key(pair) -> str:
    name, made, mapping = pair
    return pair_key(name, mapping.table8(made.lut), mapping.gain)


def test_losses_come_back_to_the_bit(tmp_path):
    cache = LossCache(tmp_path)
    for pair, loss in (("a", 0.1 + 0.2), ("b", 0.0), ("c", 5e-324)):
        cache.append("network", pair, loss)
    assert LossCache(tmp_path).read("network") == {"a": 0.1 + 0.2, "b": 0.0, "c": 5e-324}
    assert cache.read("another") == {}


@pytest.mark.parametrize("damage", ['{"pair": "torn", "lo', "\xff\xfe", "[1]", "null", '{"pair": "x", "loss": NaN}',
                                    '{"pair": "x", "loss": -1}', '{"pair": "x", "loss": null}'])
def test_damaged_lines_are_passed_over(tmp_path, damage):
    cache = LossCache(tmp_path)
    cache.append("network", "before", 1.0)
    with (tmp_path / "network.jsonl").open("ab") as file:
        file.write(damage.encode("latin-1"))  # and no line break
    cache.append("network", "behind", 2.0)
    assert cache.read("network") == {"before": 1.0, "behind": 2.0}
    assert len((tmp_path / "network.jsonl").read_bytes().splitlines()) == 3
    assert json.loads((tmp_path / "network.jsonl").read_bytes().splitlines()[-1]) == {"pair": "behind", "loss": 2.0}


def test_keys_know_what_losses_depend_on():
    model = quantized_resnet()
    key = network_key(model, X)
    assert key == network_key(copy.deepcopy(model), X.clone()) == network_key(quantized_resnet(), X)
    assert key != network_key(model, X[:-1]) and key != network_key(model, X.flip(0))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_submodule("stage1.conv1").weight[0, 0, 0, 0] += 1
    assert key != network_key(other, X)
    other = copy.deepcopy(model)
    other.get_submodule("stage1.conv1").stride = [2, 2]
    assert key != network_key(other, X)


def test_pair_keys():
    table = truncated_lut(4)
    key = pair_key("fc", table, 2.0)
    assert key == pair_key("fc", table.astype("int32"), 2)
    changed = table.copy()
    changed[255, 255] += 1
    others = [pair_key("fd", table, 2.0), pair_key("fc", changed, 2.0), pair_key("fc", table, 2.0 + 2**-50)]
    assert len({key, *others}) == 4
