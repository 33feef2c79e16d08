"""A training run on disk: two checkpoints, of which one is always whole, and a log of one JSON line an epoch.

checkpoint.pt   all that the next step depends on, the identity of the run, and the hash of its start weights
previous.pt     the one before
log.jsonl       what the checkpoint's history holds
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agn_hw.run_identity import of_weights
from lut_gen.errors import AgnError
from lut_gen.files import remove_leftovers, write_atomically

log = logging.getLogger(__name__)

SCHEMA = 2
CHECKPOINT, PREVIOUS, LOG, TENSORBOARD = "checkpoint.pt", "previous.pt", "log.jsonl", "tensorboard"
FIGURES = ("loss", "train_accuracy", "validation_accuracy", "rate")


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
    """Where one run is kept. identity: what it depends on; another run's checkpoint is refused. weights: hash of those
    of the network as it came. seconds: between checkpoints within an epoch, at least. tensorboard: epochs also go to
    event files in the folder.

    Raises AgnError where TensorBoard is asked for and not installed.
    """

    def __init__(
        self, folder: Path, identity: dict[str, str], weights: str, seconds: float, tensorboard: bool = False
    ) -> None:
        self.folder, self.identity, self.start, self._seconds = folder, identity, weights, seconds
        self._saved = time.monotonic()
        self._summary = _summary_writer() if tensorboard else None

    def load(self) -> dict[str, Any] | None:
        """The state of the newest whole checkpoint, or None where there is none yet.

        Raises CheckpointError if all are damaged, of a run with another identity or an older schema, if the network
        came with weights that are neither those the run began with nor the checkpoint's, or the log is of something
        else. A damaged one beside a whole one, another torch and another number of threads (the last bits may differ)
        are reported in the log.
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
        state: dict[str, Any] = content["state"]
        if self.start not in (content["start"], of_weights(state["model"])):
            came = "the network has other weights than this run began with, and than its checkpoint holds"
            raise CheckpointError(wanted, came, "choose another folder, or give the network as it was at the start")
        self.start = content["start"]
        for key, now in _machine().items():
            before = content["machine"].get(key)
            if before != now:
                log.warning("%s was begun with %s %s, now %s: the last bits may differ", self.folder, key, before, now)
        remove_leftovers(self.folder)
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
        run = {"identity": self.identity, "start": self.start, "machine": _machine()}
        write_tensors(path, {"schema": SCHEMA, **run, "state": state})
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
            if not _is_checkpoint(content):
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


def _is_checkpoint(content: object) -> bool:
    """Of this schema with all its entries, or of another schema."""
    if not isinstance(content, dict) or "schema" not in content:
        return False
    entries = {"identity": dict, "start": str, "machine": dict, "state": dict}
    return content["schema"] != SCHEMA or all(isinstance(content.get(key), kind) for key, kind in entries.items())


def _machine() -> dict[str, str]:
    return {"torch": str(torch.__version__), "threads": str(torch.get_num_threads())}
