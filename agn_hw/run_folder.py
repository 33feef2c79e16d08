"""The run folder: plan, network, tables, log and picture - written whole or not at all, and read back.

plan.json             the plan (accelerator/config.py), with the hashes of the next two
network.pt            state dict of the quantised, compensated network
tables.npz            the multipliers' tables ("lut/NAME") and each layer's mapping ("LAYER/activation_codes" ...)
log.jsonl             one line a stage: seconds and facts
energy_accuracy.png   energy against accuracy of everything that was tried
"""

from __future__ import annotations

import io
import os
import shutil
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
from lut_gen.files import npz_bytes, sha256

_CODES = ("activation_codes", "weight_codes", "weight_negative")


def check_place(run: Path) -> None:
    """Raises PlanError where a run cannot or must not be written: a folder or file that holds something else."""
    if run.is_dir() and any(run.iterdir()) and not (run / "plan.json").exists():
        came = f"{run} holds other files and would be replaced"
        raise PlanError("a new folder or an older run for the result", came, "choose another folder with -o")
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
        if run.is_file() or not os.access(run.parent, os.W_OK):
            raise PermissionError(f"{run} cannot be made a folder")
    except OSError as error:
        raise PlanError("a folder for the result", str(error), "choose another folder with -o") from None


def write_run(run: Path, plan: Plan, network: fx.GraphModule, choice: Choice, stages: Stages) -> None:
    """Writes the folder beside its place and swaps it in; an older run of the name is replaced."""
    run = run.absolute()
    temporary = run.with_name(f".{run.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        _fill(temporary, plan, network, choice, stages)
        old = run.with_name(f".{run.name}.{os.getpid()}.old")
        if run.exists():
            os.replace(run, old)
        os.replace(temporary, run)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, plan: Plan, network: fx.GraphModule, choice: Choice, stages: Stages) -> None:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    contents = {"network.pt": buffer.getvalue(), "tables.npz": npz_bytes(**_arrays(choice))}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    hashes = {name: sha256(data) for name, data in contents.items()}
    plan = replace(plan, provenance={**plan.provenance, "files": hashes})
    (folder / "plan.json").write_text(plan.to_json())
    (folder / "log.jsonl").write_text(stages.lines())
    report.draw(plan, folder / "energy_accuracy.png")


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
    channels = state[f"{plan.layers[0].name}.weight"].shape[1]
    classes = state[f"{plan.layers[-1].name}.weight"].shape[0]
    network = skeleton(models.build(plan.model, channels, classes))
    network.load_state_dict(state)
    layers = table_layers(network)
    for part in plan.layers:
        activation, weight, negative = (arrays[f"{part.name}/{key}"] for key in _CODES)
        encoding, port, gain = (part.mapping[key] for key in ("encoding", "activation_port", "gain"))
        mapping = Mapping(encoding, port, activation, weight, negative, gain)
        table = mapping.table8(arrays[f"lut/{part.multiplier}"])
        if not np.array_equal(table, layers[part.name].lut.numpy()):
            raise _damaged(run, f"layer {part.name}: the saved table is not the one of {part.multiplier}")
    return network.eval()


def _read(run: Path, plan: Plan) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data = {}
    for name, expected in plan.provenance["files"].items():
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
