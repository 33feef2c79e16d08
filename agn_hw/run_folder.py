"""The run folder: plan, network, tables, log and picture - each whole or not at all, the plan last - and back.

plan.json             the plan (accelerator/config.py), with the hashes of the next two
network.pt            state dict of the quantised, compensated network
tables.npz            the multipliers' tables ("lut/NAME") and each layer's mapping ("LAYER/activation_codes" ...)
log.jsonl             one line a stage: seconds and facts
energy_accuracy.png   energy against accuracy of everything that was tried
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from agn_hw import report
from agn_hw.accelerator.config import Plan, PlanError
from agn_hw.mapping import Mapping
from agn_hw.nn.layers import table_layers
from agn_hw.nn.quantize import skeleton
from agn_hw.search.candidates import Choice
from agn_hw.stages import Stages
from agn_hw.zoo import models
from lut_gen.files import npz_bytes, remove_leftovers, sha256, write_atomically

FILES = ("plan.json", "network.pt", "tables.npz", "log.jsonl", "energy_accuracy.png")
_CODES = ("activation_codes", "weight_codes", "weight_negative")


def check_place(run: Path) -> None:
    """Raises PlanError where a run cannot or must not be written: not a folder, or one that holds something else."""
    where = run.resolve()
    wanted, mend = "a new folder or an older run for the result", "choose another folder with -o"
    existing = next(place for place in (where, *where.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise PlanError(wanted, f"{existing} is no folder that can be written to", mend)
    if existing == where:
        others = sorted(path.name for path in where.iterdir() if path.name not in FILES and not _is_temporary(path))
        if others:
            raise PlanError(wanted, f"{run} holds other things, such as {others[0]}", mend)


def write_run(run: Path, plan: Plan, network: fx.GraphModule, choice: Choice, stages: Stages) -> None:
    """Writes a run's files, each whole or not at all, the plan last: a folder without a plan is no run.

    Only these files are touched. A kill in the middle leaves an older plan whose hashes no longer fit, or none.
    """
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    contents = {"network.pt": buffer.getvalue(), "tables.npz": npz_bytes(**_arrays(choice))}
    hashes = {name: sha256(data) for name, data in contents.items()}
    plan = replace(plan, provenance={**plan.provenance, "files": hashes})
    contents["log.jsonl"] = stages.lines().encode()
    contents["energy_accuracy.png"] = report.draw(plan)
    contents["plan.json"] = plan.to_json().encode()
    where = run.resolve()
    if where.is_dir():
        remove_leftovers(where)
    for name, data in contents.items():
        write_atomically(where / name, data)


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _arrays(choice: Choice) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for layer, (multiplier, mapping) in choice.items():
        arrays[f"lut/{multiplier.name}"] = multiplier.lut
        for key in _CODES:
            arrays[f"{layer}/{key}"] = getattr(mapping, key)
    return arrays


def load_network(run: str | Path) -> fx.GraphModule:
    """The network of a run, ready to classify: float images in, logits out.

    The tables are folded anew from multiplier and mapping and compared with those the network was saved with. Raises
    PlanError for a missing or damaged file.
    """
    run = Path(run)
    plan = Plan.load(run)
    state, arrays = _read(run, plan)
    try:
        return _rebuilt(run, plan, state, arrays)
    except (KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
        raise _damaged(run, f"plan and network do not fit: {type(error).__name__}: {error}") from None


def _rebuilt(run: Path, plan: Plan, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> fx.GraphModule:
    channels = state[f"{plan.layers[0].name}.weight"].shape[1]
    classes = state[f"{plan.layers[-1].name}.weight"].shape[0]
    network = skeleton(models.build(plan.model, channels, classes))
    network.load_state_dict(state)
    layers = table_layers(network)
    for part in plan.layers:
        activation, weight, negative = (arrays[f"{part.name}/{key}"] for key in _CODES)
        encoding, port, gain = (part.mapping[key] for key in ("encoding", "activation_port", "gain"))
        mapping = Mapping(encoding, port, activation, weight, negative, gain)
        layer = layers[part.name]
        if not np.array_equal(mapping.table8(arrays[f"lut/{part.multiplier}"]), layer.lut.numpy()):
            raise _damaged(run, f"layer {part.name}: the saved table is not the one of {part.multiplier}")
        if not np.isclose(gain, float(layer.gain), rtol=1e-5):
            raise _damaged(
                run, f"layer {part.name}: the plan's gain {gain} is not the network's {float(layer.gain):.6g}"
            )
    return network.eval()


def _read(run: Path, plan: Plan) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data = {}
    for name in ("network.pt", "tables.npz"):
        expected = plan.provenance.get("files", {}).get(name)
        try:
            data[name] = (run / name).read_bytes()
        except OSError as error:
            raise _damaged(run, str(error)) from None
        if sha256(data[name]) != expected:
            raise _damaged(run, f"{name} is not the file that the plan was written with")
    try:
        state = torch.load(io.BytesIO(data["network.pt"]), weights_only=True)
        with np.load(io.BytesIO(data["tables.npz"]), allow_pickle=False) as archive:
            return state, {key: archive[key] for key in archive.files}
    except (KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise _damaged(run, f"{type(error).__name__}: {error}") from None


def _damaged(run: Path, came: str) -> PlanError:
    return PlanError(f"a sound run in {run}", came, "run `agn-hw codesign` again")
