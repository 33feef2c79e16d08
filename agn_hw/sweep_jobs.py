"""What a worker does for a sweep: one network on one data set with one seed, all strategies compared on one study."""

from __future__ import annotations

import io
import threading
import time
import traceback
import zipfile
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import agn_hw
from agn_hw.codesign import open_study, retraining_of
from agn_hw.search.comparison import compare
from agn_hw.search.study import Study
from agn_hw.settings import Settings
from agn_hw.stages import Stages
from lut_gen import EVALUATOR_VERSION, cluster, files
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError, CatalogError
from lut_gen.library import liberty

_LIBRARY = "cells.lib"


@dataclass(frozen=True)
class Asked:
    """What is compared: every strategy at every loss allowed, in points, and limit of types (None: any number)."""

    strategies: tuple[str, ...]
    max_drops: tuple[float, ...]
    types: tuple[int | None, ...] = (None,)


@dataclass(frozen=True)
class Answer:
    """A job's rows (comparison.Row as dicts) or its error; what its stages took; the traceback of an error of ours."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    error: AgnError | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    traceback: str = ""


def told(settings: Settings) -> str:
    """A job in words."""
    return f"{settings.model} on {settings.data}, seed {settings.seed}"


def index_hash(catalog: Path) -> str:
    """Sha256 of a catalog's index, which holds the hashes of all its tables and netlists. Raises CatalogError."""
    try:
        return files.sha256((catalog / "index.csv").read_bytes())
    except OSError as error:
        raise CatalogError(f"a catalog in {catalog}", f"{error.strerror}", "build it: agn-hw luts") from None


def here(settings: Settings, asked: Asked, catalog: str, threads: int) -> Answer:
    """The job on this machine, with so many torch threads (0: as they are); `catalog` is its index's hash."""
    if threads:
        torch.set_num_threads(threads)
    stages, started = Stages(), time.perf_counter()
    stages.console = Console(file=io.StringIO())  # bars of several jobs on one terminal say nothing
    error, rows, trace = None, [], ""
    try:
        if index_hash(settings.catalog) != catalog:
            came = "it was built anew since the sweep began"
            raise CatalogError(f"the same catalog in {settings.catalog}", came, "run the command again")
        rows = _rows(open_study(settings, stages), settings, asked)
    except AgnError as failure:
        error = failure
    except Exception as failure:  # one network's trouble is not that of the others
        came, trace = f"{type(failure).__name__}: {failure}", traceback.format_exc()
        error = AgnError(f"rows of {told(settings)}", came, "see the traceback in sweep.jsonl")
    return Answer(rows, error, stages.log, round(time.perf_counter() - started, 2), trace)


def _rows(study: Study, settings: Settings, asked: Asked) -> list[dict[str, Any]]:
    retraining = retraining_of(study, settings) if settings.retrain else None
    return [row.as_dict() for row in compare(study, asked.strategies, asked.max_drops, asked.types, retraining)]


def far(parcel: bytes, settings: Settings, asked: Asked, catalog: str) -> Answer:
    """The job on another machine: catalog and library out of the parcel, trained networks in a cache of its own.

    One job at a time in a process, whatever its number of threads: training draws from torch's one generator.
    """
    with _one_at_a_time:
        folder = _unpacked(parcel)
        library = None if settings.liberty is None else folder / _LIBRARY
        return here(replace(settings, catalog=folder, cache=_cache(), liberty=library), asked, catalog, threads=1)


_one_at_a_time = threading.Lock()


def pack(catalog: Path, library: Path | None) -> bytes:
    """The catalog's files and the library as one archive. Raises CatalogError for a damaged catalog."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("catalog.json", "index.csv"):
            archive.writestr(name, (catalog / name).read_bytes())
        for multiplier in Catalog.load(catalog):
            table, netlist = multiplier.contents()
            archive.writestr(f"luts/{multiplier.name}.npz", table)
            if netlist is not None:
                archive.writestr(f"netlists/{multiplier.name}.json", netlist)
        if library is not None:
            archive.writestr(_LIBRARY, liberty.read_bytes(library))
    return buffer.getvalue()


@lru_cache(maxsize=2)
def _unpacked(parcel: bytes) -> Path:
    """Once a worker process."""
    folder = cluster.scratch()
    with zipfile.ZipFile(io.BytesIO(parcel)) as archive:
        archive.extractall(folder)
    return folder


@lru_cache(maxsize=1)
def _cache() -> Path:
    return cluster.scratch()


def versions() -> dict[str, Any]:
    """What must be the same on every machine."""
    return {"agn-hw": agn_hw.__version__, "torch": torch.__version__, "evaluator": EVALUATOR_VERSION}
