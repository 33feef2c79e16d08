"""Mappings and compensation, to arrays and plan entries and back."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agn_hw.accelerator import tables
from agn_hw.accelerator.config import LayerPlan
from agn_hw.accelerator.tables import LayerTable
from agn_hw.codes import SIGNED, Codes
from agn_hw.mapping import Mapping, affine, default
from tests.agn_hw.tables import multiplier, random_lut

LUT = random_lut(0, 60000)
WIDE = random_lut(1, 60000, (512, 64))
KINDS: dict[str, tuple[np.ndarray, Mapping]] = {
    "plain": (LUT, default(multiplier(LUT))),
    "prescaled": (LUT, default(multiplier(LUT), "b", 4.0 ** (1 / 6))),
    "signed codes": (LUT, default(multiplier(LUT), codes=SIGNED)),
    "4-bit weights": (LUT, default(multiplier(LUT), largest_weight=7)),
    "two's complement": (LUT, default(multiplier(LUT, signed=True), codes=SIGNED)),
    "affine": (LUT, affine(multiplier(LUT), codes=Codes(-77, 178))),
    "remapped": (LUT, default(multiplier(LUT)).with_weights(np.arange(256)[::-1], 1 / 3)),
    "wide": (WIDE, default(multiplier(WIDE))),
}


def layer_plan(mapping: Mapping, name: str = "conv") -> LayerPlan:
    """The layer's entry after it has been on disk."""
    described: dict[str, Any] = json.loads(json.dumps(tables.describe(mapping)))
    return LayerPlan(name, "Conv2d", 1, "made_up", 1.0, "uniform", described, {}, None)


@pytest.mark.parametrize("lut, mapping", KINDS.values(), ids=KINDS)
def test_there_and_back(lut, mapping):
    table = LayerTable("made_up", lut, mapping, np.array([0.5, 2]), np.array([-3.0, 1 / 3]))
    arrays = tables.to_arrays({"conv": table, "other": table})
    found = tables.from_arrays(layer_plan(mapping), arrays)
    assert np.array_equal(found.table8(), mapping.table8(lut)) and found.multiplier == "made_up"
    assert found.mapping.gain == mapping.gain  # not the plan's rounded one
    assert found.channel_gain.tolist() == [0.5, 2] and found.channel_offset.tolist() == [-3, 1 / 3]
    same = ("encoding", "activation_port", "remap", "codes", "largest_weight", "activation_zero", "weight_zero")
    assert all(getattr(found.mapping, key) == getattr(mapping, key) for key in same)
    assert isinstance(found.mapping.codes, Codes)


def test_older_runs():
    """They knew unsigned activations and 8-bit weights only, and had no gain of full precision."""
    mapping = KINDS["prescaled"][1]
    part = layer_plan(mapping)
    for key in ("codes", "largest_weight", "activation_zero", "weight_zero"):
        part.mapping.pop(key)
    arrays = {f"conv/{key}": getattr(mapping, key) for key in ("activation_codes", "weight_codes", "weight_negative")}
    arrays |= {"lut/made_up": LUT, "conv/channel_gain": np.ones(2), "conv/channel_offset": np.zeros(2)}
    found = tables.from_arrays(part, arrays)
    assert np.array_equal(found.table8(), mapping.table8(LUT))
    assert found.mapping.gain == pytest.approx(mapping.gain, rel=1e-5)
    assert (found.mapping.codes, found.mapping.largest_weight) == (mapping.codes, 127)


def test_what_does_not_fit():
    mapping = KINDS["plain"][1]
    table = LayerTable("made_up", LUT, mapping, np.ones(2), np.zeros(2))
    arrays, part = tables.to_arrays({"conv": table}), layer_plan(mapping)
    with pytest.raises(KeyError):
        tables.from_arrays(replace(part, name="nothing"), arrays)
    with pytest.raises(KeyError):
        tables.from_arrays(replace(part, multiplier="nothing"), arrays)
    with pytest.raises(ValueError, match=r"gain 3"):
        tables.from_arrays(replace(part, mapping={**part.mapping, "gain": 3}), arrays)
    with pytest.raises(ValueError, match="weight_codes are not 256"):
        tables.from_arrays(part, {**arrays, "conv/weight_codes": np.zeros(255, np.uint8)})
    with pytest.raises(ValueError, match="activation_codes are not 256"):
        tables.from_arrays(part, {**arrays, "conv/activation_codes": np.zeros(256)})
