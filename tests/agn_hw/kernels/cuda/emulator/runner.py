"""Compiles kernels for the emulator and runs them on CPU tensors: stands in for `launch.launch` and `launch.facts`."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from agn_hw.kernels.cuda import launch as real
from agn_hw.kernels.cuda.launch import Facts
from tests.agn_hw.kernels.cuda.emulator.guarded import Guarded, Region, stacks
from tests.agn_hw.kernels.cuda.sources import variants

HERE = Path(__file__).resolve().parent
KERNELS = Path(real.__file__).resolve().parent
BUILT = HERE.parents[4] / "build" / "emulator"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
SANITIZED = bool(os.environ.get("AGN_SANITIZE"))
"""Whether kernels are compiled with the address sanitizer, which must then have been loaded before Python."""
ORDERS = ("forward", "reverse", "shuffled")
"""In which order threads and blocks run: none may matter."""

_CHECKS = "alignment,bounds,shift-exponent,signed-integer-overflow,integer-divide-by-zero"
_FLAGS = [
    "-std=c++17", "-O1", "-fPIC", "-fno-strict-aliasing", "-fstack-clash-protection", "-ffp-contract=off",
    "-fvisibility=hidden", "-DAGN_EMULATED", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function",
    "-Wno-unused-variable",
]


class EmulatorError(Exception):
    """What would have gone wrong on a device, or might have: which kernel, block and thread, and what."""


class _Launch(ctypes.Structure):
    _fields_ = [
        ("arguments", ctypes.c_char_p), ("grid", ctypes.c_int64 * 3), ("threads", ctypes.c_int64),
        ("shared", ctypes.c_int64), ("order", ctypes.c_int64), ("seed", ctypes.c_int64), ("kernel", ctypes.c_char_p),
        ("stacks", ctypes.c_void_p), ("message", ctypes.c_void_p), ("message_bytes", ctypes.c_int64),
        ("regions", ctypes.POINTER(Region)), ("region_count", ctypes.c_int64),
    ]


class Emulator:
    """A device that is none: `launch` and `facts` have the signatures of those in launch.py.

    order: one of ORDERS; seed: of the shuffled order and of the garbage; device: what `facts` says; folder: where the
    .cu files lie.
    """

    def __init__(self, order: str = "shuffled", seed: int = 0, folder: Path = KERNELS) -> None:
        self.order, self.seed, self.folder = order, seed, folder
        self.device = Facts("sm_90", 4, 232448)
        self.launches: list[str] = []

    def facts(self, device: torch.device) -> Facts:
        return self.device

    def launch(
        self, source: str, kernel: str, grid: tuple[int, int, int], threads: int, shared: int,
        arguments: Iterable[Any], **macros: int,
    ) -> None:
        """Runs a kernel to its end. Raises EmulatorError."""
        self._check(kernel, grid, threads, shared)
        leaves = real.flatten(arguments)
        real._device(leaves)
        if 0 in grid:
            return
        if self.folder == KERNELS and macros not in variants(source):
            raise EmulatorError(f"{kernel}: {macros} is not among the VARIANTS of {source}.cu")
        library = build(self.folder / f"{source}.cu", kernel, self.device.arch, tuple(sorted(macros.items())))
        wanted, given = library.emulator_arguments_size(), 8 * len(leaves)
        if wanted != given:
            raise EmulatorError(f"{kernel}: its arguments take {wanted} bytes, given were {len(leaves)} of eight")
        if threads > library.emulator_most_threads():
            raise EmulatorError(f"{kernel}: {threads} threads, its __launch_bounds__ allow fewer")
        memory = Guarded(leaves, at_end=self.order != "reverse", copied=not SANITIZED)
        message, regions = ctypes.create_string_buffer(1000), memory.regions()
        failed = library.emulator_launch(ctypes.byref(_Launch(
            real.pack(memory.leaves), (ctypes.c_int64 * 3)(*grid), threads, shared, ORDERS.index(self.order), self.seed,
            kernel.encode(), stacks(), ctypes.addressof(message), len(message), regions, len(regions),
        )))
        if failed:
            raise EmulatorError(memory.explain(message.value.decode()))
        memory.give_back(kernel)
        self.launches.append(kernel)

    def _check(self, kernel: str, grid: tuple[int, int, int], threads: int, shared: int) -> None:
        if not all(isinstance(size, int) for size in (*grid, threads, shared)):
            raise EmulatorError(f"{kernel}: sizes must be int, got {grid}, {threads}, {shared}")
        if any(not 0 <= size <= most for size, most in zip(grid, (2**31 - 1, 65535, 65535), strict=True)):
            raise EmulatorError(f"{kernel}: no device takes a grid of {grid} blocks")
        if not 0 < threads <= 1024 or threads % 32:
            raise EmulatorError(f"{kernel}: wanted whole warps, 1024 threads at most, got {threads} threads")
        if not 0 <= shared <= self.device.shared:
            raise EmulatorError(f"{kernel}: {shared} bytes of shared memory, the device has {self.device.shared}")


def build(path: Path, kernel: str, arch: str, macros: tuple[tuple[str, int], ...]) -> ctypes.CDLL:
    """The emulated kernel as a library, compiled only if nothing that it is made of has been compiled before."""
    assert COMPILER, "the emulator needs a C++ compiler"
    sanitize = ["-g", "-fsanitize=address"] if SANITIZED else []
    defined = [f"-D{name}={value}" for name, value in macros] + [f"-D__CUDA_ARCH__={arch.removeprefix('sm_')}0"]
    flags = [*_FLAGS, *sanitize, *defined]
    named = f"#define EMULATED_KERNEL {kernel}\n#define EMULATED_BOUNDS {_bounds(path, kernel)}\n"
    text = f'#include "{path.name}"\n{named}#include "launch.h"\n'
    made_of = sorted([path, *KERNELS.glob("*.cuh"), *HERE.glob("*.h")])
    digest = hashlib.sha256("\0".join([COMPILER, *flags, text, *(file.read_text() for file in made_of)]).encode())
    library = BUILT / f"{path.stem}-{kernel}-{digest.hexdigest()[:20]}.so"
    if not library.exists():
        _compile(library, text, [COMPILER, *flags, f"-I{path.parent}", f"-I{KERNELS}", f"-I{HERE}"], sanitize)
    return _loaded(library)


@cache
def _loaded(library: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(library))
    loaded.emulator_arguments_size.restype = ctypes.c_size_t
    return loaded


def _bounds(path: Path, kernel: str) -> str:
    """What stands in the parentheses of the kernel's __launch_bounds__."""
    found = re.search(rf"__launch_bounds__\(([^;{{}}]*)\)\s*{kernel}\(", path.read_text())
    if not found:
        raise EmulatorError(f"{path.name} has no `__global__ void __launch_bounds__(...) {kernel}(`")
    return found[1].rpartition("__launch_bounds__(")[2]


def _compile(library: Path, text: str, command: list[str], sanitize: list[str]) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        shim, compiled, linked = (Path(folder) / name for name in ("shim.cpp", "shim.o", "shim.so"))
        shim.write_text(text)
        for step in (
            [*command, f"-fsanitize={_CHECKS}", "-include", str(HERE / "emulator.h"), "-c", shim, "-o", compiled],
            [command[0], "-shared", *sanitize[1:], compiled, "-o", linked],
        ):
            done = subprocess.run(step, capture_output=True, text=True)
            if done.returncode:
                raise EmulatorError(f"{library.stem} does not compile:\n{done.stderr}")
        linked.replace(library)
