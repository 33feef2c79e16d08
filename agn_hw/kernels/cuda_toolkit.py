"""Finds what compiles and launches kernels: NVRTC through cuda-core, the driver through cuda-bindings. Loads no torch.

Nothing of it is imported before it is asked for: a machine without a CUDA device needs none of these packages.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from lut_gen.errors import ToolError

_MEND = "pip install 'agn-hw[cuda]'; NVRTC comes with torch's builds for CUDA, elsewhere pip install nvidia-cuda-nvrtc"


@cache
def program() -> tuple[Any, Any]:
    """cuda-core's Program and ProgramOptions. Raises ToolError if they are not installed."""
    try:
        try:
            from cuda.core import Program, ProgramOptions
        except ImportError:
            from cuda.core.experimental import Program, ProgramOptions
    except ImportError as error:
        raise _absent("cuda-core", error) from error
    return Program, ProgramOptions


@cache
def nvrtc_version() -> str:
    """As 13.0. Raises ToolError if NVRTC or its bindings are not there."""
    try:
        from cuda.bindings import nvrtc

        failed, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:  # the package, or the library it loads
        raise _absent("NVRTC", error) from error
    if failed:
        raise ToolError("NVRTC, which compiles kernels", f"it failed with {failed}", _MEND)
    return f"{major}.{minor}"


@cache
def driver() -> Any:
    """The module cuda.bindings.driver. Raises ToolError if it is not installed."""
    try:
        from cuda.bindings import driver as found
    except ImportError as error:
        raise _absent("cuda-bindings", error) from error
    return found


@cache
def missing() -> str | None:
    """What lacks for kernels to be compiled and launched, if anything does."""
    try:
        program(), nvrtc_version(), driver()
    except ToolError as error:
        return error.came
    return None


def devices() -> list[str]:
    """Names of this machine's CUDA devices, none without a driver. Raises ToolError if cuda-bindings is missing."""
    asked = driver()
    try:
        failed, *_ = asked.cuInit(0)
        failed, count = (failed, 0) if failed else asked.cuDeviceGetCount()
    except RuntimeError:  # no libcuda here
        return []
    if failed:
        return []
    return [asked.cuDeviceGetName(128, asked.cuDeviceGet(i)[1])[1].rstrip(b"\0").decode() for i in range(count)]


def _absent(name: str, error: Exception) -> ToolError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ToolError("what compiles and launches CUDA kernels", f"{name} is not usable ({reason})", _MEND)
