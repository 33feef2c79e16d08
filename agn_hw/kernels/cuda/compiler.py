"""Compiles the kernels of this folder for one architecture, by NVRTC, and keeps what it made on disk.

Cubins lie in $XDG_CACHE_HOME/agn-hw/kernels (or ~/.cache), under a hash of everything they are made of: source,
headers, macros, options, NVRTC's version. A folder that cannot be written to costs nothing but the time to compile
again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agn_hw.kernels import cuda_toolkit as toolkit
from agn_hw.kernels.cuda_toolkit import missing
from lut_gen.errors import ToolError, last_lines

__all__ = ["compiled", "cubin", "missing"]

FOLDER = Path(__file__).parent
CONTRACTED = frozenset({"gradients"})
"""Sources in which a * b + c may be rounded once: no bit of their results is promised."""
_SPECIFIC = {"sm_90": "sm_90a"}
"""Architectures whose own instructions have to be asked for."""


def cubin(source: str, arch: str, macros: Mapping[str, int]) -> bytes:
    """`source`.cu for a device of architecture `arch`, as sm_90, with these macros defined.

    From the cache if it is there. Raises ToolError if NVRTC is missing or the source does not compile.
    """
    key = _key(source, arch, macros)
    path = cache_folder() / arch / f"{source}-{key[:32]}.cubin"
    found = _read(path)
    if found is None:
        found, _ = compiled(source, arch, macros)
        _write(path, found)
    return found


def compiled(source: str, arch: str, macros: Mapping[str, int]) -> tuple[bytes, str]:
    """The same, compiled anew, and the assembler's log: registers, stack and spilled bytes of each kernel."""
    program, options = toolkit.program()
    version, log = toolkit.nvrtc_version(), io.StringIO()
    text = (FOLDER / f"{source}.cu").read_text()
    chosen = options(name=f"{source}.cu", include_path=str(FOLDER), **_options(source, arch, macros))
    try:
        made = program(text, "c++", chosen).compile("cubin", logs=log)
    except Exception as error:  # cuda-core's own kinds, which differ between its versions
        raise ToolError(
            f"{source}.cu for {arch}", f"NVRTC {version} failed:\n{last_lines(str(error))}",
            "if it does not know the architecture, install a newer NVRTC; else report this as a bug",
        ) from error
    return bytes(made.code), log.getvalue().replace("\0", "")


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    named = os.environ.get("XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))
    if not named and not home.is_absolute():  # nobody's: nothing can be kept
        return Path(os.devnull) / "kernels"
    return (Path(named) if named else home / ".cache") / "agn-hw" / "kernels"


def _options(source: str, arch: str, macros: Mapping[str, int]) -> dict[str, Any]:
    return {
        "arch": _SPECIFIC.get(arch, arch),
        "std": "c++17",
        "fma": source in CONTRACTED,
        "define_macro": [(name, str(value)) for name, value in sorted(macros.items())] or None,
        "ptxas_options": ["-v"],
    }


def _key(source: str, arch: str, macros: Mapping[str, int]) -> str:
    """Hash of everything that a cubin is made of."""
    files = [FOLDER / f"{source}.cu", *sorted(FOLDER.glob("*.cuh"))]
    parts = [toolkit.nvrtc_version(), repr(_options(source, arch, macros))]
    parts += [part for path in files for part in (path.name, path.read_text())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read(path: Path) -> bytes | None:
    """What `_write` wrote there, or None: nothing, or not all of it."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, content = stored[:32], stored[32:]
    return content if hashlib.sha256(content).digest() == digest else None


def _write(path: Path, content: bytes) -> None:
    """The content and before it its hash, whole or not at all."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(hashlib.sha256(content).digest() + content)
                file.close()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
