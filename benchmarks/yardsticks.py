"""`yardsticks.cpp`, compiled when it is first needed and called through ctypes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import torch
from torch.nn import functional as F

SOURCE = Path(__file__).with_name("yardsticks.cpp")
BUILD = SOURCE.parent.parent / "build" / "benchmarks"


class NoCompiler(RuntimeError):
    """There is no C++ compiler, or it failed on the yardsticks."""


def compiler() -> str:
    """First line of the compiler's --version. Raises NoCompiler."""
    return subprocess.run([_command(), "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _command() -> str:
    command = shutil.which(os.environ.get("CXX", "g++"))
    if command is None:
        raise NoCompiler("wanted a C++ compiler for the compiled yardsticks, found none: install g++ or set CXX")
    return command


def load() -> ctypes.CDLL:
    """The compiled yardsticks, in build/benchmarks. Raises NoCompiler."""
    library = BUILD / "yardsticks.so"
    if not library.exists() or library.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        fresh = library.with_suffix(f".{os.getpid()}.so")
        done = subprocess.run(
            [_command(), "-O3", "-std=c++17", "-shared", "-fPIC", "-pthread", str(SOURCE), "-o", str(fresh)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise NoCompiler(f"{_command()} failed on {SOURCE}:\n" + "\n".join(done.stderr.splitlines()[-10:]))
        fresh.replace(library)
    return ctypes.CDLL(str(library))


def scalar_loop(
    library: ctypes.CDLL, x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, threads: int
) -> torch.Tensor:
    """The table product, one output at a time: uint8 [M, K], uint8 [N, K], int32 [256, 256] -> int32 [M, N]."""
    return _call(library.scalar_loop, x, w, lut, w.shape[0], threads)


def compiler_loop(
    library: ctypes.CDLL, x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, threads: int
) -> torch.Tensor:
    """The same loop, vectorised by the compiler if it can."""
    return _call(library.compiler_loop, x, w, lut, w.shape[0], threads)


def eights(w: torch.Tensor) -> torch.Tensor:
    """Weights uint8 [N, K] in the order of the gather loop, uint8 [ceil(N / 8), K, 8], filled up with zeros."""
    padded = F.pad(w, (0, 0, 0, -w.shape[0] % 8))
    return padded.view(-1, 8, w.shape[1]).transpose(1, 2).contiguous()


def gather_loop(
    library: ctypes.CDLL, x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, threads: int
) -> torch.Tensor:
    """The table product, eight outputs at a time: uint8 [M, K], `eights` of the weights, int32 [256, 256] ->
    int32 [M, N] with N rounded up to a multiple of 8."""
    return _call(library.gather_loop, x, w, lut, 8 * w.shape[0], threads)


def _call(
    loop: ctypes._NamedFuncPointer, x: torch.Tensor, w: torch.Tensor, lut: torch.Tensor, columns: int, threads: int
) -> torch.Tensor:
    y = torch.empty(x.shape[0], columns, dtype=torch.int32)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (x, w, lut, y)]
    sizes = [ctypes.c_int64(size) for size in (x.shape[0], x.shape[1], columns)]
    loop(*pointers, *sizes, ctypes.c_int(threads))
    return y
