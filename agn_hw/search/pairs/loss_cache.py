"""Measured losses on disk: a pair that was measured once, for this network on these images, is not measured again.

    FOLDER/<network>.jsonl   one line a pair: {"pair": ..., "loss": ...}; both names are the first 128 bits of sha256

The network's hash covers its graph, state and settings, the images and the versions of what computes; the pair's the
layer's name, the folded table and its gain. Lines are only ever appended; a line that a killed run left torn is passed
over, and measured again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import torch
from torch import fx, nn

import agn_hw

VERSION = 1
"""Raise it when the same pair would measure another loss."""


def network_key(model: fx.GraphModule, images: torch.Tensor) -> str:
    """Hash of all that losses of a network on these images depend on, but for the pair."""
    digest = hashlib.sha256()
    settings = {name: _settings(module) for name, module in model.named_modules()}
    structure = re.sub(r" at 0x[0-9a-f]+", "", f"{model} {model.graph} {settings}")
    digest.update(f"{VERSION} {agn_hw.__version__} {torch.__version__} {structure}".encode())
    for name, value in {**model.state_dict(), "images": images}.items():
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        else:
            digest.update(f"{name} {value!r}".encode())
    return digest.hexdigest()[:32]


def _settings(module: nn.Module) -> dict[str, object]:
    """Plain attributes: strides, ranges, bits. Tensors are in the state."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, torch.Tensor)
    }


def pair_key(layer: str, table8: np.ndarray, gain: float) -> str:
    """Hash of a layer's name with a folded table int32 [256, 256] and its gain."""
    digest = hashlib.sha256(f"{layer} {float(gain).hex()} ".encode())
    digest.update(np.ascontiguousarray(table8, dtype="<i4").tobytes())
    return digest.hexdigest()[:32]


class LossCache:
    """Losses in `folder`, which is made when the first is written. Several runs may write at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def read(self, network: str) -> dict[str, float]:
        """All losses known for a network, nats, by pair."""
        path = self._path(network)
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return dict(entry for entry in map(_entry, lines) if entry)

    def append(self, network: str, pair: str, loss: float) -> None:
        """Keeps one loss; the line goes out in one write, behind a line break of its own where one was torn."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(network)
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        with path.open("ab") as file:
            file.write((torn * "\n" + json.dumps({"pair": pair, "loss": loss}) + "\n").encode())

    def _path(self, network: str) -> Path:
        return self.folder / f"{network}.jsonl"


def _entry(line: str) -> tuple[str, float] | None:
    """What a line says, or None if it is damaged."""
    try:
        found = json.loads(line)
        pair, loss = str(found["pair"]), float(found["loss"])
    except (ValueError, KeyError, TypeError):
        return None
    return (pair, loss) if math.isfinite(loss) and loss >= 0 else None
