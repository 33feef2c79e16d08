"""The run folder: plan, network, tables, log and picture - each whole or not at all, the plan last - and back.

plan.json             the plan (accelerator/config.py), with the hashes of the next two
network.pt            state dict of the quantised, compensated network
tables.npz            the multipliers' tables, each layer's mapping and compensation (accelerator/tables.py)
log.jsonl             one line a stage: seconds and facts
energy_accuracy.png   energy against accuracy of everything that was tried
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from agn_hw import report
from agn_hw.accelerator import tables
from agn_hw.accelerator.config import Plan, PlanError
from agn_hw.accelerator.tables import LayerTable
from agn_hw.conversion.quantize import skeleton
from agn_hw.nn.layers import table_layers
from agn_hw.search.candidates import Choice
from agn_hw.stages import Stages
from agn_hw.zoo import models
from lut_gen.files import npz_bytes, remove_leftovers, sha256, write_atomically

FILES = ("plan.json", "network.pt", "tables.npz", "log.jsonl", "energy_accuracy.png")


def check_place(run: Path, files: Sequence[str] = FILES) -> None:
    """Raises PlanError where these files cannot or must not be written: no folder, or one that holds other things."""
    where = run.resolve()
    wanted, mend = "a new folder or an older run for the result", "choose another folder with -o"
    existing = next(place for place in (where, *where.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise PlanError(wanted, f"{existing} is no folder that can be written to", mend)
    if existing == where:
        others = sorted(path.name for path in where.iterdir() if path.name not in files and not _is_temporary(path))
        if others:
            raise PlanError(wanted, f"{run} holds other things, such as {others[0]}", mend)


def write_run(run: Path, plan: Plan, network: fx.GraphModule, choice: Choice, stages: Stages) -> None:
    """Writes a run's files, each whole or not at all, the plan last: a folder without a plan is no run.

    Only these files are touched. A kill in the middle leaves an older plan whose hashes no longer fit, or none.
    """
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    contents = {"network.pt": buffer.getvalue(), "tables.npz": npz_bytes(**tables.to_arrays(_tables(network, choice)))}
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


def _tables(network: fx.GraphModule, choice: Choice) -> dict[str, LayerTable]:
    layers = table_layers(network)
    return {
        name: LayerTable(
            multiplier.name,
            multiplier.lut,
            mapping,
            layers[name].channel_gain.numpy(force=True),
            layers[name].channel_offset.numpy(force=True),
        )
        for name, (multiplier, mapping) in choice.items()
    }


def choices(run: str | Path) -> dict[str, LayerTable]:
    """What a run's plan assigns to each layer: multiplier, mapping and compensation.

    Raises PlanError for a missing or damaged file.
    """
    run = Path(run)
    plan = Plan.load(run)
    state, arrays = _read(run, plan)
    try:
        return _choices(plan, state, arrays)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unfit(run, error) from None


def _choices(plan: Plan, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, LayerTable]:
    for part in plan.layers:
        for name in ("channel_gain", "channel_offset"):  # an older run has them in its network only
            if f"{part.name}/{name}" not in arrays:
                arrays[f"{part.name}/{name}"] = state[f"{part.name}.{name}"].numpy()
    return {part.name: tables.from_arrays(part, arrays) for part in plan.layers}


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
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise _unfit(run, error) from None


def _rebuilt(run: Path, plan: Plan, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> fx.GraphModule:
    image = plan.data.get("image")  # an older plan does not say
    example = None if image is None else torch.zeros(2, *image)
    channels = state[f"{plan.layers[0].name}.weight"].shape[1] if image is None else image[0]
    classes = plan.data.get("classes", len(state[f"{plan.layers[-1].name}.weight"]))
    network = skeleton(models.build(plan.model, channels, classes), example=example)
    network.load_state_dict(state)
    layers = table_layers(network)
    for name, table in _choices(plan, state, arrays).items():
        layer, gain = layers[name], table.mapping.gain
        if not np.array_equal(table.table8(), layer.lut.numpy()):
            raise _damaged(run, f"layer {name}: the saved table is not the one of {table.multiplier}")
        if not np.isclose(gain, float(layer.gain), rtol=1e-5):
            raise _damaged(run, f"layer {name}: the plan's gain {gain} is not the network's {float(layer.gain):.6g}")
        for key in ("channel_gain", "channel_offset"):
            if not np.array_equal(getattr(table, key), getattr(layer, key).numpy()):
                raise _damaged(run, f"layer {name}: the {key} of tables.npz is not the network's")
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


def _unfit(run: Path, error: Exception) -> PlanError:
    return _damaged(run, f"plan and network do not fit: {type(error).__name__}: {error}")


def _damaged(run: Path, came: str) -> PlanError:
    return PlanError(f"a sound run in {run}", came, "run `agn-hw codesign` again")
