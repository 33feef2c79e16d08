"""Finds and loads the compiled kernels of `csrc/`. Loads no torch.

The library is built when the package is installed, if there is a C++ compiler. `AGN_HW_ISA=baseline|avx2|avx512` takes
an instruction set other than the processor's best; `AGN_HW_LIBRARY` names another build of the library.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_double, c_int, c_int64, c_uint64, c_void_p
from functools import cache
from pathlib import Path

ISAS = ("avx512", "avx2", "baseline")
_FILE = "libagn_kernels.so"


@cache
def find() -> ctypes.CDLL | None:
    """The compiled kernels with their C signatures, or None if they were not built.

    Raises FileNotFoundError or ValueError if an environment variable names what is not there.
    """
    named = os.environ.get("AGN_HW_LIBRARY")
    path = Path(named) if named else Path(__file__).parent / _FILE
    if not path.exists():
        if named:
            raise FileNotFoundError(f"AGN_HW_LIBRARY names {named}, which is not there")
        return None
    loaded = _declare(ctypes.CDLL(str(path)))
    wanted = os.environ.get("AGN_HW_ISA")
    if wanted and loaded.agn_use_isa(wanted.encode()):
        raise ValueError(f"AGN_HW_ISA must be one of {', '.join(ISAS)} that this processor has, got {wanted!r}")
    return loaded


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size, number = c_void_p, c_int64, c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "agn_isa": (c_char_p, []),
        "agn_use_isa": (number, [c_char_p]),
        "agn_split_bytes": (size, []),
        "agn_split_table": (None, [pointer, number, pointer]),
        "agn_split_residual": (None, [pointer, pointer]),
        "agn_packed_bytes": (size, [pointer, size, size, size]),
        "agn_pack": (None, [pointer, pointer, size, size, size, pointer]),
        "agn_matmul": (number, [pointer, pointer, size, pointer, size, size, pointer, pointer, number, number]),
        "agn_conv_runs": (None, [pointer, pointer, pointer]),
        "agn_conv2d": (number, [pointer, pointer, pointer, pointer, pointer, pointer, number, number]),
        "agn_requantize": (None, [pointer, number, size, size, size, pointer, pointer, number]),
        "agn_fingerprint": (c_uint64, [pointer, size]),
        "agn_add_codes": (
            None, [pointer, pointer, size, c_double, c_double, c_double, c_double, pointer, number]
        ),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name, None)
        if function is None:
            raise RuntimeError(f"{library._name} is of another version (no {name}): install the package again")
        function.restype, function.argtypes = result, arguments
    return library


def load() -> ctypes.CDLL:
    """The same. Raises RuntimeError if they were not built."""
    found = find()
    if found is None:
        raise RuntimeError("the compiled kernels are missing: install the package again with a C++ compiler at hand")
    return found
