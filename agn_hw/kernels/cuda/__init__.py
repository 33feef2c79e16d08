"""Table products on CUDA devices: kernels compiled at run time by NVRTC, launched on torch's streams."""

from __future__ import annotations

import warnings
from functools import cache

import torch

from agn_hw.kernels.cuda import compiler

OLDEST = 7, 5
"""Compute capability of the oldest devices that the kernels, and NVRTC, know."""


def serves(tensor: torch.Tensor) -> bool:
    """Whether the kernels here compute with this tensor; warns, once, if its device is too old or something is not
    installed."""
    return tensor.is_cuda and _usable(tensor.get_device())


@torch.compiler.assume_constant_result
def _usable(index: int) -> bool:
    return _found(index)


@cache
def _found(index: int) -> bool:
    capability = torch.cuda.get_device_capability(index)
    missing = compiler.missing()
    mend = "Mend it by: pip install 'agn-hw[cuda]'"
    if capability < OLDEST:
        missing = f"device {index} has compute capability {capability[0]}.{capability[1]}"
        mend = f"Kernels are there for {OLDEST[0]}.{OLDEST[1]} and newer."
    if missing:
        warnings.warn(
            f"agn-hw has no CUDA kernels here: {missing}. Table products run in pure torch, with the same results but "
            f"many times slower. {mend}",
            RuntimeWarning,
            stacklevel=4,
        )
    return not missing
