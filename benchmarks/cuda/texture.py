"""`texture.cu`: compiled by NVRTC, launched by the driver on torch's stream. Exact; a yardstick, not a product.

It goes through cuda.bindings alone, whose names are the driver's own, so that it depends on nothing of ours.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch

SOURCE = Path(__file__).with_suffix(".cu")
KERNEL = b"texture_gather"
_TILE, _THREADS = 64, 256
_NAMES = {torch.int16: "short", torch.int32: "int"}


class CudaError(RuntimeError):
    """The compiler or the driver refused."""


def compiled(arch: str, texture: bool, entry: torch.dtype) -> bytes:
    """Machine code for an architecture as "sm_90". texture: through the texture units, else the read-only cache; entry:
    int16 or int32, the table's. Raises CudaError with the compiler's log."""
    from cuda.bindings import nvrtc

    options = [f"--gpu-architecture={arch}", "--std=c++17", f"-DFETCH={int(texture)}", f"-DENTRY={_NAMES[entry]}"]
    program = _checked(nvrtc.nvrtcCreateProgram(SOURCE.read_bytes(), SOURCE.name.encode(), 0, [], []))
    try:
        (failed,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if int(failed):
            log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
            _checked(nvrtc.nvrtcGetProgramLog(program, log))
            raise CudaError(f"NVRTC failed on {SOURCE.name} for {arch}:\n{log.decode()[-2000:]}")
        code = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program))
        _checked(nvrtc.nvrtcGetCUBIN(program, code))
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


class Table:
    """A table int32 [256, 256] of this device where its kernel fetches it; 16 bits an entry where they are enough.

    Raises CudaError.
    """

    def __init__(self, lut: torch.Tensor, texture: bool) -> None:
        fits = int(lut.min()) >= -(2**15) and int(lut.max()) < 2**15
        self.entries = lut.to(torch.int16 if fits else torch.int32).contiguous()
        major, minor = torch.cuda.get_device_capability(lut.device)
        self._kernel = _kernel(f"sm_{major}{minor}", texture, self.entries.dtype)
        self._at = _texture(self.entries) if texture else self.entries.data_ptr()

    def product(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """x uint8 [M, K], w uint8 [N, K], both contiguous -> sums int32 [M, N]."""
        from cuda.bindings import driver

        (rows, depth), columns = x.shape, w.shape[0]
        y = torch.empty(rows, columns, dtype=torch.int32, device=x.device)
        values = (x.data_ptr(), w.data_ptr(), self._at, y.data_ptr(), rows, columns, depth)
        types = (*[ctypes.c_void_p] * 4, *[ctypes.c_int] * 3)
        grid = -(-rows // _TILE), -(-columns // _TILE), 1
        stream = driver.CUstream(torch.cuda.current_stream(x.device).cuda_stream)
        _checked(driver.cuLaunchKernel(self._kernel, *grid, _THREADS, 1, 1, 0, stream, (values, types), 0))
        return y


@cache
def _kernel(arch: str, texture: bool, entry: torch.dtype) -> Any:
    """The kernel on the device in use. Its module is never unloaded."""
    from cuda.bindings import driver

    module = _checked(driver.cuModuleLoadData(compiled(arch, texture, entry)))
    return _checked(driver.cuModuleGetFunction(module, KERNEL))


def _texture(entries: torch.Tensor) -> int:
    """A texture object over these entries."""
    from cuda.bindings import driver

    short = entries.dtype == torch.int16
    formats = driver.CUarray_format
    resource, fetching = driver.CUDA_RESOURCE_DESC(), driver.CUDA_TEXTURE_DESC()
    resource.resType = driver.CUresourcetype.CU_RESOURCE_TYPE_LINEAR
    resource.res.linear.devPtr = driver.CUdeviceptr(entries.data_ptr())
    resource.res.linear.format = formats.CU_AD_FORMAT_SIGNED_INT16 if short else formats.CU_AD_FORMAT_SIGNED_INT32
    resource.res.linear.numChannels = 1
    resource.res.linear.sizeInBytes = entries.numel() * entries.element_size()
    fetching.flags = driver.CU_TRSF_READ_AS_INTEGER
    return int(_checked(driver.cuTexObjectCreate(resource, fetching, None)))


def _checked(answer: tuple) -> Any:
    """What a call gave besides its status. Raises CudaError if that is an error."""
    status, *rest = answer
    if int(status):
        raise CudaError(f"wanted success of the driver or NVRTC, got {status!r}")
    return rest[0] if rest else None
