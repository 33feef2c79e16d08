"""A training run on disk: two checkpoints, of which one is always whole, and a log of one JSON line an epoch.

checkpoint.pt   all that the next step depends on, and the identity of the run
previous.pt     the one before
log.jsonl       what the checkpoint's history holds
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from agn_hw.zoo.data import Split, Splits
from lut_gen.errors import AgnError
from lut_gen.files import remove_leftovers, write_atomically

log = logging.getLogger(__name__)

SCHEMA = 1
CHECKPOINT, PREVIOUS, LOG, TENSORBOARD = "checkpoint.pt", "previous.pt", "log.jsonl", "tensorboard"
FIGURES = ("loss", "train_accuracy", "validation_accuracy", "rate")
_SAMPLE = 1000  # images of a split that its hash looks at


class CheckpointError(AgnError):
    """A folder's checkpoints are damaged, or another run's."""


def read_tensors(path: Path) -> Any:
    """What torch.save wrote to `path`, on the CPU: tensors, numbers, texts and lists and dicts of them, nothing else.

    Raises ValueError, or whatever zipfile and torch.load raise, for a damaged file.
    """
    with zipfile.ZipFile(path) as archive:  # torch.load does not compare the checksums
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"wrong checksum of {damaged}")
    return torch.load(path, map_location="cpu", weights_only=True)


def write_tensors(path: Path, content: Any) -> None:
    """Writes what `read_tensors` reads, whole or not at all. Raises CatalogError where it cannot be written."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


class RunFolder:
    """Where one run is kept. identity: what it depends on; another run's checkpoint is refused. seconds: between
    checkpoints within an epoch, at least. tensorboard: epochs also go to event files in the folder.

    Raises AgnError where TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, identity: dict[str, str], seconds: float, tensorboard: bool = False) -> None:
        self.folder, self.identity, self._seconds = folder, identity, seconds
        self._saved = time.monotonic()
        self._summary = _summary_writer() if tensorboard else None

    def load(self) -> dict[str, Any] | None:
        """The state of the newest whole checkpoint, or None where there is none yet.

        Raises CheckpointError if all are damaged, of a run with another identity, or the log is of something else. A
        damaged one beside a whole one, another torch and another number of threads (the last bits may differ) are
        reported in the log.
        """
        content = _newest(self.folder)
        wanted = f"a new folder, or a run to go on with, at {self.folder}"
        mend = "choose another folder, or ask for the run that was begun here"
        if content is None:
            if (self.folder / LOG).exists():
                raise CheckpointError(wanted, f"it holds a {LOG} and no checkpoint", "choose another folder")
            return None
        if content["schema"] != SCHEMA:
            raise CheckpointError(wanted, f"its checkpoint has schema {content['schema']}, not {SCHEMA}", mend)
        found = content["identity"]
        others = [f"{key} ({found.get(key)}, now {now})" for key, now in self.identity.items() if found.get(key) != now]
        if others:
            raise CheckpointError(wanted, f"it has another {'; '.join(others)}", mend)
        for key, now in _machine().items():
            before = content["machine"][key]
            if before != now:
                log.warning("%s was begun with %s %s, now %s: the last bits may differ", self.folder, key, before, now)
        remove_leftovers(self.folder)
        state: dict[str, Any] = content["state"]
        return state

    def save_when_due(self, state: Callable[[], dict[str, Any]]) -> None:
        """Saves `state()` if the last checkpoint is old enough."""
        if time.monotonic() - self._saved >= self._seconds:
            self.save(state())

    def save(self, state: dict[str, Any]) -> None:
        """Makes `state` the checkpoint, and the checkpoint the previous one. A kill leaves one of them or both."""
        path = self.folder / CHECKPOINT
        if path.exists():
            os.replace(path, self.folder / PREVIOUS)
        content = {"schema": SCHEMA, "identity": self.identity, "machine": _machine(), "state": state}
        write_tensors(path, content)
        self._saved = time.monotonic()

    def write_log(self, epochs: list[dict[str, Any]], new: int) -> None:
        """Replaces log.jsonl: whole lines, one an epoch, none twice, whatever was left there. new: epochs to add to
        TensorBoard's, from the end."""
        write_atomically(self.folder / LOG, "".join(json.dumps(epoch) + "\n" for epoch in epochs).encode())
        if self._summary is not None and new:
            with self._summary(str(self.folder / TENSORBOARD), purge_step=epochs[-new]["step"]) as writer:
                for epoch in epochs[-new:]:
                    for name in FIGURES:
                        if epoch[name] is not None:
                            writer.add_scalar(name, epoch[name], epoch["step"])


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise AgnError("a log for TensorBoard", "it is not installed", "pip install tensorboard") from None
    return SummaryWriter


def _newest(folder: Path) -> dict[str, Any] | None:
    damaged = []
    for path in (folder / CHECKPOINT, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            content: dict[str, Any] = read_tensors(path)
            if not isinstance(content, dict) or not content.keys() >= {"schema", "identity", "machine", "state"}:
                raise ValueError("it is no checkpoint")
        except Exception as error:  # a damaged file fails in many ways
            damaged.append(f"{path.name}: {str(error).partition(chr(10))[0]}")
            continue
        if damaged:
            log.warning("%s is damaged (%s); going on from %s", folder / CHECKPOINT, damaged[0], path.name)
            (folder / CHECKPOINT).unlink()  # or it would take the place of the whole one
        return content
    if damaged:
        mend = "delete the folder to begin anew"
        raise CheckpointError(f"a whole checkpoint in {folder}", f"all are damaged ({'; '.join(damaged)})", mend)
    return None


def identity(model: nn.Module, splits: Splits, recipe: object, teacher: nn.Module | None) -> dict[str, str]:
    """What a run's weights depend on, as short texts by name.

    Of the model its structure, its tensors' shapes, and the values of what training does not change (tables, scales,
    compensation), not those of the weights: an interrupted run goes on with the weights of its checkpoint.
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    shapes = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors]
    settings = {name: value for name, value in model.state_dict().items() if not isinstance(value, torch.Tensor)}
    structure = re.sub(r" at 0x[0-9a-f]+", "", f"{model} {shapes} {settings}")
    sizes = ", ".join(f"{part} {size}" for part, size in splits.sizes().items())
    return {
        "recipe": str(recipe),
        "data set": f"{splits.name}, seed {splits.seed}, {sizes}",
        "images": _short(_sample(splits.train)),
        "model": _short([structure.encode()]),
        "tables or scales": _short(map(_bytes, _resting(model))),
        "teacher": "none" if teacher is None else _short(map(_bytes, [*teacher.parameters(), *teacher.buffers()])),
    }


def _resting(model: nn.Module) -> Iterable[torch.Tensor]:
    """Parameters and buffers that training leaves as they are, in the model's order."""
    for module in model.modules():
        yield from (tensor for tensor in module.parameters(recurse=False) if not tensor.requires_grad)
        if not isinstance(module, _NormBase):  # running statistics follow the images
            yield from module.buffers(recurse=False)


def _sample(split: Split) -> Iterable[bytes]:
    yield _bytes(split.images[:: max(1, len(split) // _SAMPLE)])
    yield _bytes(split.labels)


def _bytes(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    return repr(tuple(plain.shape)).encode() + plain.flatten().view(torch.uint8).numpy().tobytes()


def _short(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:12]


def _machine() -> dict[str, str]:
    return {"torch": str(torch.__version__), "threads": str(torch.get_num_threads())}
