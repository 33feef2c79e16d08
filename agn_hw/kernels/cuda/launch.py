"""Starts kernels on a device: the module of a source is compiled and loaded once, its arguments are one structure.

A launch waits for nothing and costs about ten microseconds, also while a CUDA graph is captured.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch

from agn_hw.kernels import cuda_toolkit as toolkit
from agn_hw.kernels.cuda import compiler

_SHARED_UNASKED = 48 * 1024
"""Bytes of shared memory that a block may have without more ado."""

_DEFAULT_STREAM = 1
"""The driver's name (CU_STREAM_LEGACY) for the stream that torch calls 0, whatever 0 means to the bindings."""

Leaf = torch.Tensor | int | float | None


class Facts(NamedTuple):
    """A device: its architecture as sm_90, its multiprocessors, the most bytes of shared memory a block may have."""

    arch: str
    multiprocessors: int
    shared: int


class _Kernel:
    """A loaded kernel, and the shared memory that its blocks may have."""

    def __init__(self, handle: Any) -> None:
        self.handle, self.shared = handle, _SHARED_UNASKED


_kernels: dict[tuple[Any, ...], _Kernel] = {}
_modules: dict[tuple[Any, ...], Any] = {}
_loading = threading.Lock()


def facts(device: torch.device) -> Facts:
    """Of a CUDA device."""
    return _facts(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _facts(index: int) -> Facts:
    found: Any = torch.cuda.get_device_properties(index)
    return Facts(f"sm_{found.major}{found.minor}", found.multi_processor_count, found.shared_memory_per_block_optin)


def launch(
    source: str, kernel: str, grid: tuple[int, int, int], threads: int, shared: int, arguments: Iterable[Any],
    **macros: int,
) -> None:
    """Runs a kernel of `source`.cu, compiled with these macros, on torch's current stream of the tensors' device.

    grid: blocks in x, y, z (nothing is done if one is 0); threads of a block; shared: bytes of dynamic shared memory.
    arguments: the fields of the structure NAME_arguments in order, all eight bytes wide: tensors (their address), None
    (null), int, float, and tuples of these. Raises ValueError if they name no device or several, RuntimeError with
    CUDA's word if the launch fails, and what `compiler.cubin` raises. What goes wrong while the kernel runs shows
    when torch next waits for the device.
    """
    leaves = flatten(arguments)
    device = _device(leaves)
    if 0 in grid:
        return
    stream = torch.cuda.current_stream(device).cuda_stream or _DEFAULT_STREAM
    data = ctypes.create_string_buffer(pack(leaves))
    pointers = (ctypes.c_void_p * 1)(ctypes.addressof(data))
    driver = _driver()
    context = _context(device.index)
    entered = int(_ask(driver.cuCtxGetCurrent())) != int(context)  # another device's, or none yet in this thread
    if entered:
        _ask(driver.cuCtxPushCurrent(context))
    try:
        found = _loaded(device, source, kernel, tuple(sorted(macros.items())))
        if shared > found.shared:
            _allow_shared(found, shared)
        failed, *_ = driver.cuLaunchKernel(
            found.handle, *grid, threads, 1, 1, shared, stream, ctypes.addressof(pointers), 0
        )
        if failed:
            size = f"{grid} blocks of {threads} threads with {shared} bytes of shared memory"
            raise RuntimeError(f"{kernel} of {source}.cu could not be launched ({size}): {_reason(failed)}")
    finally:
        if entered:
            _ask(driver.cuCtxPopCurrent())


def flatten(arguments: Iterable[Any]) -> list[Leaf]:
    """Arguments one after another, tuples opened."""
    leaves: list[Leaf] = []
    for argument in arguments:
        if isinstance(argument, tuple):
            leaves += flatten(argument)
        else:
            leaves.append(argument)
    return leaves


def pack(leaves: list[Leaf]) -> bytes:
    """The structure that a kernel takes: eight bytes for each leaf. Raises TypeError if it is none."""
    values = [leaf.data_ptr() if isinstance(leaf, torch.Tensor) else 0 if leaf is None else leaf for leaf in leaves]
    try:
        return struct.pack("".join(["d" if isinstance(value, float) else "q" for value in values]), *values)
    except struct.error as error:
        raise TypeError(f"wanted tensors, None, int and float as a kernel's arguments, got {leaves}") from error


def _device(leaves: list[Leaf]) -> torch.device:
    devices = {leaf.device for leaf in leaves if isinstance(leaf, torch.Tensor)}
    if len(devices) != 1:
        raise ValueError(f"wanted a kernel's tensors on one device, got {', '.join(map(str, devices)) or 'none'}")
    return devices.pop()


@cache
def _driver() -> Any:
    return toolkit.driver()


@cache
def _context(index: int) -> Any:
    """The context that torch uses on this device. It is never given back: torch keeps it as long."""
    driver = _driver()
    return _ask(driver.cuDevicePrimaryCtxRetain(_ask(driver.cuDeviceGet(index))))


def _loaded(device: torch.device, source: str, kernel: str, macros: tuple[tuple[str, int], ...]) -> _Kernel:
    key = device.index, source, kernel, macros
    found = _kernels.get(key)
    if found is None:
        with _loading:
            found = _kernels.get(key) or _load(device, source, kernel, macros)
            _kernels[key] = found
    return found


def _load(device: torch.device, source: str, kernel: str, macros: tuple[tuple[str, int], ...]) -> _Kernel:
    """In the current context, which must be the device's."""
    driver = _driver()
    key = device.index, source, macros
    if key not in _modules:
        image = compiler.cubin(source, facts(device).arch, dict(macros))
        with _capture_goes_on():
            _modules[key] = _ask(driver.cuModuleLoadData(image))
    return _Kernel(_ask(driver.cuModuleGetFunction(_modules[key], kernel.encode())))


@contextmanager
def _capture_goes_on() -> Iterator[None]:
    """What a capture of a CUDA graph by this thread does not allow is done beside it."""
    driver = _driver()
    before = _ask(driver.cuThreadExchangeStreamCaptureMode(driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
    try:
        yield
    finally:
        _ask(driver.cuThreadExchangeStreamCaptureMode(before))


def _allow_shared(kernel: _Kernel, shared: int) -> None:
    driver = _driver()
    most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    _ask(driver.cuFuncSetAttribute(kernel.handle, most, shared))
    kernel.shared = shared


def _ask(answer: tuple[Any, ...]) -> Any:
    """What a function of the driver gave. Raises RuntimeError if it failed."""
    failed, *values = answer
    if failed:
        raise RuntimeError(f"the CUDA driver failed: {_reason(failed)}")
    return values[0] if values else None


def _reason(code: Any) -> str:
    driver = _driver()
    texts = [answer[1] for answer in (driver.cuGetErrorName(code), driver.cuGetErrorString(code)) if not answer[0]]
    return ": ".join(text.decode() if isinstance(text, bytes) else str(text) for text in texts) or str(code)
