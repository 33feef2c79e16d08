"""The kernels' sources, and the macros that their host modules compile them with."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from agn_hw.kernels.cuda import compiler

FOLDER = compiler.FOLDER
SOURCES = tuple(sorted(path.stem for path in FOLDER.glob("*.cu")))


@cache
def host(source: str) -> ModuleType:
    """The module that launches kernels of `source`.cu: it says so by SOURCE, or by its name."""
    for path in sorted(FOLDER.glob("*.py"), key=lambda path: (path.stem != source, path)):
        module = import_module(f"agn_hw.kernels.cuda.{path.stem}")
        if hasattr(module, "VARIANTS") and getattr(module, "SOURCE", path.stem) == source:
            return module
    raise AssertionError(f"no module of {Path(FOLDER).name} with VARIANTS has SOURCE = {source!r}")


def variants(source: str) -> tuple[dict[str, int], ...]:
    """All sets of macros that `source`.cu is ever compiled with."""
    return tuple(host(source).VARIANTS)
