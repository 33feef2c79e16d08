"""How a table is computed on a device: its split into terms and residual bytes, and what kernels look up of it.

Numbers that the host must know (how many terms, how many bytes) travel as the sizes of empty tensors: to read them off
the device would be to wait for it, and a form has to be a list of plain tensors to be an operator's argument.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary

from agn_hw.kernels import slopes
from agn_hw.kernels.cuda import choice

_WORD = 4  # terms whose bytes are looked up at once


class Numbers(NamedTuple):
    """terms: how many, of which the first `scaled` count 256 times; shift: of all of them together; planes: residual
    bytes; largest: value of a residual byte."""

    terms: int
    scaled: int
    shift: int
    planes: int
    largest: int


class Form(NamedTuple):
    """A table split as the kernels want it, all on one device.

    expand: int32 [Q, 256], words of up to four terms' bytes by activation byte, scaled terms and others in words of
    their own; factor: int8 [T, 256]; constants: int32 [256]; by_weight: uint8 [P, 257, 256], residual bytes by weight
    (256: none) and activation; by_activation: uint8 [P, 256, 256]; sizes and span: empty, their shapes hold
    `numbers` and `limits`.
    """

    expand: torch.Tensor
    factor: torch.Tensor
    constants: torch.Tensor
    by_weight: torch.Tensor
    by_activation: torch.Tensor
    sizes: torch.Tensor
    span: torch.Tensor

    @property
    def numbers(self) -> Numbers:
        return Numbers(*(size - 1 for size in self.sizes.shape[1:]))

    @property
    def limits(self) -> tuple[int, int]:
        """No entry is below the first or above the second; 0 lies between them."""
        return 1 - self.span.shape[1], self.span.shape[2] - 1


_KNOWN: WeakIdKeyDictionary = WeakIdKeyDictionary()


def of(lut: torch.Tensor) -> Form:
    """The form of a table int32 [256, 256], on its device.

    A table that was not seen before, or has changed since (as torch counts changes; tensors made in inference mode are
    taken to change always), is read by the host, which waits for the device. Raises RuntimeError where that is not
    possible because a CUDA graph is being captured.
    """
    version = None if lut.is_inference() else (lut._version, lut.data_ptr())
    known = _KNOWN.get(lut)
    if known is not None and version is not None and known[0] == version:
        return Form(*known[1])
    if lut.is_cuda and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("wanted a table used before, for CUDA graph capture: run the network once, then capture")
    made = _on_device(lut.cpu().numpy().tobytes(), lut.device)
    if version is not None:
        _KNOWN[lut] = version, tuple(made)
    return made


@lru_cache(maxsize=256)
def _on_device(table: bytes, device: torch.device) -> Form:
    """One for all layers with this table."""
    with torch.inference_mode(False):
        return Form(*(tensor.to(device) for tensor in _on_host(table)))


@lru_cache(maxsize=256)
def _on_host(table: bytes) -> Form:
    lut = np.frombuffer(table, np.int32).reshape(256, 256)
    split = slopes.form_of(lut, choice.cost_of_form)
    scaled = int((split.scale == 256).sum())
    words = np.concatenate([_words(split.expand[:scaled]), _words(split.expand[scaled:])])
    planes = len(split.planes)
    by_weight = np.zeros((planes, 257, 256), np.uint8)
    by_weight[:, :256] = split.planes
    largest = int(split.planes.max(initial=0))
    return Form(
        torch.from_numpy(words.view(np.int32)),
        torch.from_numpy(split.factor.copy()),
        torch.from_numpy(split.constants.copy()),
        torch.from_numpy(by_weight),
        torch.from_numpy(split.planes.transpose(0, 2, 1).copy()),
        _sizes(len(split.factor), scaled, split.shift, planes, largest),
        _sizes(max(-int(lut.min()), 0), max(int(lut.max()), 0)),
    )


def _sizes(*numbers: int) -> torch.Tensor:
    """An empty tensor that carries these; each one more, for torch's tools take a second size of 0 amiss."""
    return torch.empty(0, *(number + 1 for number in numbers), dtype=torch.uint8)


def _words(expand: np.ndarray) -> np.ndarray:
    """Bytes uint8 [T, 256] of up to four terms in a word each: uint32 [ceil(T / 4), 256]."""
    filled = np.zeros((-(-len(expand) // _WORD) * _WORD, 256), np.uint32)
    filled[: len(expand)] = expand
    shifted = filled.reshape(-1, _WORD, 256) << (8 * np.arange(_WORD, dtype=np.uint32))[:, None]
    return shifted.sum(axis=1, dtype=np.uint32)
