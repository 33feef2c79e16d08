"""Table products on CUDA devices: kernels compiled at run time by NVRTC, launched on torch's streams."""

from __future__ import annotations

import warnings

import torch

from agn_hw.kernels.cuda import compiler

OLDEST = 7, 5
"""Compute capability of the oldest devices that the kernels, and NVRTC, know."""


_FOUND: dict[int, bool] = {}


def serves(tensor: torch.Tensor) -> bool:
    """Whether the kernels here compute with this tensor; warns, once, if its device is too old or something is not
    installed."""
    if not tensor.is_cuda:
        return False
    index = tensor.get_device()
    if index not in _FOUND:
        _FOUND[index] = _look(index)
    return _FOUND[index]


def _look(index: int) -> bool:
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
            stacklevel=3,
        )
    return not missing
