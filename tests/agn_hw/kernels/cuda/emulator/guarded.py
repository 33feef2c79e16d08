"""Tensors between pages that nobody may touch: a kernel that reads or writes beside them is found out."""

from __future__ import annotations

import ctypes
import mmap
import re
from functools import cache

import torch

from agn_hw.kernels.cuda.launch import Leaf

_PAGE = mmap.PAGESIZE
_ALIGNED = 16
"""Of a tensor's memory. torch promises more on a device; vectors need no more."""
_FILL = 0x5A
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

_STACK, _THREADS = 64 * 1024, 1024
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)


def _forbid(page: int) -> None:
    if _libc.mprotect(page, _PAGE, 0):
        raise OSError(ctypes.get_errno(), "a page could not be protected")


@cache
def stacks() -> int:
    """Address of the stacks of a block's threads (fibers.h), each with a page at its end that nobody may touch."""
    _kept.append(mmap.mmap(-1, _THREADS * _STACK, flags=_PRIVATE))
    start = ctypes.addressof(ctypes.c_char.from_buffer(_kept[0]))
    for stack in range(_THREADS):
        _forbid(start + stack * _STACK)
    return start


_kept: list[mmap.mmap] = []


class _Storage:
    """A copy of a tensor's storage, at the end of its pages or at their start."""

    def __init__(self, tensor: torch.Tensor, at_end: bool) -> None:
        storage = tensor.untyped_storage()
        self.original, self.bytes = storage.data_ptr(), storage.nbytes()
        room = -(-max(self.bytes, 1) // _PAGE) * _PAGE
        self.pages = mmap.mmap(-1, room + 2 * _PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.pages))
        slack = (room - self.bytes) // _ALIGNED * _ALIGNED if at_end else 0
        self.first, self.start, self.last = base + _PAGE, base + _PAGE + slack, base + _PAGE + room
        ctypes.memset(self.first, _FILL, room)
        ctypes.memmove(self.start, self.original, self.bytes)
        _forbid(base)
        _forbid(self.last)

    def changed_outside(self) -> bool:
        """Whether the slack beside the copy was written to."""
        before, after = self.start - self.first, self.last - self.start - self.bytes
        around = ctypes.string_at(self.first, before) + ctypes.string_at(self.start + self.bytes, after)
        return around != bytes([_FILL]) * len(around)


class Region(ctypes.Structure):
    """As in races.h."""

    _fields_ = [("start", ctypes.c_void_p), ("bytes", ctypes.c_int64)]


class Guarded:
    """Copies of all tensors among a kernel's arguments; those that share memory share it here too.

    leaves: the same arguments with addresses in place of tensors. Not `copied`, they are left as they are: the address
    sanitizer knows the bounds of torch's own memory, to the byte.
    """

    def __init__(self, leaves: list[Leaf], at_end: bool, copied: bool = True) -> None:
        self._storages: dict[int, _Storage] = {}
        found = [(i, leaf) for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        self._tensors = found if copied else []
        self.leaves: list[Leaf] = list(leaves)
        for i, tensor in self._tensors:
            if tensor.numel():
                self.leaves[i] = self._storage(tensor, at_end).start + tensor.storage_offset() * tensor.element_size()

    def _storage(self, tensor: torch.Tensor, at_end: bool) -> _Storage:
        key = tensor.untyped_storage().data_ptr()
        if key not in self._storages:
            self._storages[key] = _Storage(tensor, at_end)
        return self._storages[key]

    def regions(self) -> ctypes.Array[Region]:
        """Where the copies lie."""
        return (Region * len(self._storages))(*((each.start, each.bytes) for each in self._storages.values()))

    def give_back(self, kernel: str) -> None:
        """Copies everything into the tensors. Raises AssertionError if memory beside one of them was written to."""
        for i, tensor in self._tensors:
            if tensor.numel():
                storage = self._storage(tensor, True)
                assert not storage.changed_outside(), f"{kernel} wrote outside of {_name(i, tensor)}"
                ctypes.memmove(storage.original, storage.start, storage.bytes)

    def explain(self, message: str) -> str:
        """The message, and which tensor lies nearest to an address in it."""
        found = re.search(r"address (0x[0-9a-f]+)", message)
        if not found:
            return message
        address = int(found[1], 16)
        for i, tensor in self._tensors:
            storage = self._storages.get(tensor.untyped_storage().data_ptr())
            if storage and storage.first - _PAGE <= address < storage.last + _PAGE:
                return f"{message}: {address - storage.start} bytes from the start of {_name(i, tensor)}"
        return message


def _name(index: int, tensor: torch.Tensor) -> str:
    return f"argument {index}, {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}, {tensor.nbytes} bytes"
