"""What a layer keeps from one forward pass to the next: its table's split, its packed weights, its constants.

Every use compares fingerprints (64-bit hashes) of all tensors they were made from, so that changes are noticed however
they were made: an optimiser, `load_state_dict`, an edit in place, inference mode (where tensors have no version to
ask for). On a CUDA device that would be to wait for it: there tensors are compared by identity, place and the version
that torch counts, and those of inference mode count as changed. Torch does not count everything (fused optimisers,
`tensor.data` in place, replays of CUDA graphs), so a layer there also forgets whenever it is passed through with
gradients, or put into another mode.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch

from agn_hw.kernels import backend, native

_BLOCK = 64  # wider products are cut into blocks of this many columns
_SETTLED = 3  # uses in a row after which a table is taken to stay, and worth a search for its fastest form


class Constants(NamedTuple):
    """Of a layer whose parameters rest: weight codes float32, bias and factor float64 [N], and the prepared weights,
    or without compiled kernels, for the exact product, its cuts (see `exact`)."""

    weights: torch.Tensor
    prepared: backend.Prepared
    cuts: int
    bias: torch.Tensor
    factor: torch.Tensor


class Kept:
    """One layer's; copies and pickles of a layer start with nothing kept."""

    def __init__(self) -> None:
        self._table: int | None = None
        self._uses = 0
        self._searched = False
        self._split: backend.Prepared = []
        self._constants: tuple[list, Constants] | None = None
        self._made: _Made | None = None

    def __reduce__(self) -> tuple:
        return Kept, ()

    def forget(self) -> None:
        """The constants, not the table's split."""
        self._constants = self._made = None

    def split(self, lut: torch.Tensor, columns: int) -> backend.Prepared:
        """The table's split for products with this many columns: soon found at first, the best one once it stays."""
        if lut.is_cuda or not backend.compiled():
            return backend.split_table(lut)  # which looks at a table once
        table = native.fingerprint(lut)
        if self._table != table:
            self._split = backend.split_table(lut)
            self._table, self._uses, self._searched = table, 0, False
        self._uses += 1
        if self._uses == _SETTLED:
            self._searched = True
            self._split = _best_split(lut.numpy().tobytes(), min(columns, _BLOCK))
        return self._split

    def constants(
        self,
        lut: torch.Tensor,
        columns: int,
        made_from: tuple,
        make: Callable[[torch.Tensor, backend.Prepared], Constants],
    ) -> Constants:
        """make(lut, its split), anew whenever the table or anything in `made_from` (tensors and others) has changed."""
        split = self.split(lut, columns)
        state = [self._searched, *map(_state, (lut, *made_from))]
        if self._constants is None or not _same(self._constants[0], state):
            made = make(lut, split)
            if lut.is_cuda and torch.cuda.is_current_stream_capturing():
                return made  # they are the graph's, and hold nothing before it is replayed
            self._constants = state, made
            self._made = _Made(lut.device) if lut.is_cuda else None
        elif self._made is not None:
            self._made.before_use()
        return self._constants[1]


@lru_cache(maxsize=256)
def _best_split(table: bytes, columns: int) -> backend.Prepared:
    """For all layers: a table is usually in many of them, and the search takes as long as many products."""
    lut = torch.frombuffer(bytearray(table), dtype=torch.int32).reshape(256, 256)
    return backend.best_split(lut, columns)


class _Made:
    """When a stream of a device has made something: other streams wait for that, the host does not."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._event: torch.cuda.Event | None = torch.cuda.Event()
        self._event.record(torch.cuda.current_stream(device))

    def before_use(self) -> None:
        if self._event is None or torch.cuda.is_current_stream_capturing():  # a capture knows nothing from before it
            return
        if self._event.query():
            self._event = None
        else:
            torch.cuda.current_stream(self._device).wait_event(self._event)


class _Version:
    """A tensor as it is now, as far as torch knows: equal only to itself, unchanged."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = weakref.ref(tensor)
        self._now = None if tensor.is_inference() else (tensor._version, tensor.data_ptr())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Version) or self._now is None or self._now != other._now:
            return False
        return self._tensor() is other._tensor() is not None

    __hash__ = None  # type: ignore[assignment]


def _state(value: object) -> object:
    if not isinstance(value, torch.Tensor):
        return repr(value)
    if value.is_cuda:
        return _Version(value)
    return native.fingerprint(value) if backend.compiled() else value.detach().clone()


def _same(old: list, new: list) -> bool:
    pairs = zip(old, new, strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)
