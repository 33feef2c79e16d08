"""tables.npz: what each layer of a plan multiplies with, as arrays; knows no torch.

    lut/MULTIPLIER                                int32 [2**a_bits, 2**b_bits], the multiplier's own table
    LAYER/activation_codes, .../weight_codes      uint8 [256], patterns on the ports (mapping.py)
    LAYER/activation_negative, .../weight_negative    bool [256]
    LAYER/gain                                    float64 scalar; plan.json has it rounded
    LAYER/channel_gain, .../channel_offset        float64 [N], the compensation

Older files lack activation_negative (no activation was negative), gain and the compensation (it is in network.pt).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass

import numpy as np

from agn_hw.accelerator.config import LayerPlan, Plan, PlanError
from agn_hw.codes import UNSIGNED, Codes
from agn_hw.mapping import LARGEST_WEIGHT, Mapping
from lut_gen.files import sha256

_BY_BYTE = ("activation_codes", "activation_negative", "weight_codes", "weight_negative")
_COMPENSATION = ("channel_gain", "channel_offset")


@dataclass(frozen=True)
class LayerTable:
    """What one layer multiplies with. multiplier: its name; lut: its table, int32 [2**a_bits, 2**b_bits].

    channel_gain, channel_offset: float64 [N]; the accumulator, in products, counts as gain * acc + offset.
    """

    multiplier: str
    lut: np.ndarray
    mapping: Mapping
    channel_gain: np.ndarray
    channel_offset: np.ndarray

    def table8(self) -> np.ndarray:
        """The folded table, int32 [256, 256] by activation byte and weight byte."""
        return self.mapping.table8(self.lut)


def of_plan(plan: Plan) -> dict[str, LayerTable]:
    """What a plan that was loaded from its run folder assigns to each layer.

    Raises PlanError for a plan without a folder, and for a tables.npz that is missing, damaged or not the plan's.
    """
    if plan.folder is None:
        raise PlanError("a plan with its tables", "one that was not loaded from a folder came", "use Plan.load(run)")
    path = plan.folder / "tables.npz"
    wanted, mend = f"the tables of the plan in {plan.folder}", "run `agn-hw codesign` again"
    try:
        data = path.read_bytes()
        if sha256(data) != plan.provenance.get("files", {}).get(path.name):
            raise PlanError(wanted, f"{path} is not the file that the plan was written with", mend)
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return {part.name: from_arrays(part, arrays) for part in plan.layers}
    except (OSError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise PlanError(wanted, f"{path}: {type(error).__name__}: {error}", mend) from None


def to_arrays(tables: Dictionary[str, LayerTable]) -> dict[str, np.ndarray]:
    """The content of tables.npz."""
    arrays: dict[str, np.ndarray] = {}
    for layer, table in tables.items():
        arrays[f"lut/{table.multiplier}"] = table.lut
        arrays |= {f"{layer}/{key}": getattr(table.mapping, key) for key in _BY_BYTE}
        arrays[f"{layer}/gain"] = np.array(table.mapping.gain)
        arrays |= {f"{layer}/{key}": getattr(table, key) for key in _COMPENSATION}
    return arrays


def describe(mapping: Mapping) -> dict[str, object]:
    """A mapping's entry in plan.json: all of it but the arrays."""
    return {
        "encoding": mapping.encoding,
        "activation_port": mapping.activation_port,
        "prescale": float(f"{mapping.prescale:.6g}"),
        "gain": float(f"{mapping.gain:.6g}"),
        "remap": mapping.remap,
        "codes": list(mapping.codes),
        "largest_weight": mapping.largest_weight,
        "activation_zero": mapping.activation_zero,
        "weight_zero": mapping.weight_zero,
    }


def from_arrays(part: LayerPlan, arrays: Dictionary[str, np.ndarray]) -> LayerTable:
    """The table of one layer, from its entry in plan.json and the content of tables.npz.

    A file without compensation needs `LAYER/channel_gain` and `LAYER/channel_offset` added to `arrays`. Raises KeyError
    for what is missing, ValueError for what does not fit.
    """
    described = part.mapping
    by_byte = {key: arrays[f"{part.name}/{key}"] for key in _BY_BYTE if key != "activation_negative"}
    by_byte["activation_negative"] = arrays.get(f"{part.name}/activation_negative", np.zeros(256, bool))
    wrong = [key for key, array in by_byte.items() if array.shape != (256,) or array.dtype.kind not in "bu"]
    if wrong:
        raise ValueError(f"layer {part.name}: {wrong[0]} are not 256 patterns")
    gain = float(arrays.get(f"{part.name}/gain", described["gain"]))
    if not np.isclose(gain, described["gain"], rtol=1e-5):
        raise ValueError(f"layer {part.name}: the plan's gain {described['gain']} is not the tables' {gain:.6g}")
    mapping = Mapping(
        encoding=described["encoding"],
        activation_port=described["activation_port"],
        gain=gain,
        prescale=described["prescale"],
        remap=described["remap"],
        codes=Codes(*described.get("codes", UNSIGNED)),
        largest_weight=described.get("largest_weight", LARGEST_WEIGHT),
        activation_zero=described.get("activation_zero", 0),
        weight_zero=described.get("weight_zero", 0),
        **by_byte,
    )
    compensation = (arrays[f"{part.name}/{key}"] for key in _COMPENSATION)
    return LayerTable(part.multiplier, arrays[f"lut/{part.multiplier}"], mapping, *compensation)
