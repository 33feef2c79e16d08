"""What a layer keeps from one forward pass to the next: its table's split, its packed weights, its constants.

Every use compares fingerprints of all tensors they were made from, so that no change goes unnoticed, however it was
made: an optimiser, `load_state_dict`, an edit in place, inference mode (where tensors have no version to ask for).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from agn_hw.kernels import backend, native

if TYPE_CHECKING:
    from agn_hw.nn.layers import TableLayer


class Constants(NamedTuple):
    """Of a layer whose parameters rest: weight codes float32, prepared weights, bias and factor float64 [N]."""

    weights: torch.Tensor
    prepared: backend.Prepared
    bias: torch.Tensor
    factor: torch.Tensor


class Kept:
    """One layer's; copies and pickles of a layer start with nothing kept."""

    def __init__(self) -> None:
        self._split: tuple[object, backend.Prepared] | None = None
        self._constants: tuple[object, Constants] | None = None

    def __reduce__(self) -> tuple:
        return Kept, ()

    def split(self, lut: torch.Tensor) -> backend.Prepared:
        """The table's split."""
        if not backend.compiled():
            return []
        state = native.fingerprint(lut)
        if self._split is None or self._split[0] != state:
            self._split = state, backend.split_table(lut)
        return self._split[1]

    def constants(self, layer: TableLayer) -> Constants:
        """Everything but the activations, for a forward pass without gradients."""
        state = [_state(tensor) for tensor in (layer.weight, layer.bias, *layer.buffers())]
        if self._constants is None or not _same(self._constants[0], state):
            self._constants = state, layer.constants()
        return self._constants[1]


def _state(tensor: torch.Tensor) -> int | torch.Tensor:
    return native.fingerprint(tensor) if backend.compiled() else tensor.detach().clone()


def _same(old: object, new: list) -> bool:
    pairs = zip(old, new, strict=True)  # type: ignore[call-overload]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)
