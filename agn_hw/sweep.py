"""Many networks, data sets and seeds, all strategies on each: rows that are written as they come, and never lost.

    FOLDER/sweep.csv     a row a strategy, limit and job (comparison.Row), and the job's identity
    FOLDER/sweep.jsonl   a line a job: what was asked, seconds of each stage, or its error

Workers (processes here, or machines of a cluster) compute, this process alone writes. Both files are replaced whole
after every job, so a kill at any moment loses the jobs in hand only. A job whose identity has rows is not done again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

import agn_hw
from agn_hw import sweep_jobs
from agn_hw.search.comparison import Row
from agn_hw.search.strategies import STRATEGIES
from agn_hw.search.study import check_catalog
from agn_hw.settings import Settings
from agn_hw.sweep_jobs import Answer, Asked, told
from lut_gen import cluster as machines
from lut_gen import files, workers
from lut_gen.catalog import Catalog
from lut_gen.errors import AgnError
from lut_gen.library import liberty_reader

TABLE, LOG = "sweep.csv", "sweep.jsonl"
COLUMNS = ("model", "data", "seed", *(field.name for field in fields(Row)), "catalog", "version", "identity")


class SweepError(AgnError):
    """A sweep's folder that holds something else."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done before (reused), done now, or failed with an error."""

    settings: Settings
    rows: list[dict[str, str]]
    reused: bool = False
    seconds: float = 0.0
    error: AgnError | None = None


def sweep(
    cases: Sequence[Settings], asked: Asked, folder: Path, jobs: int = 0, cluster: str | None = None
) -> Iterator[Outcome]:
    """Yields each case's outcome as it comes; the cases share one catalog and library. A failed one stops no other.

    `jobs` 0 means one a core; `cluster` is the address of a Dask scheduler, whose workers then do the work. Waits while
    another process sweeps into the same folder. Raises SweepError, CatalogError, LibertyError or ToolError before
    anything is computed.
    """
    for strategy in asked.strategies:
        if strategy not in STRATEGIES:
            wanted = f"strategies out of {', '.join(STRATEGIES)}"
            raise SweepError(wanted, f"'{strategy}' came", "leave it out")
    for catalog, library, energy_model in {(case.catalog, case.liberty, case.energy_model) for case in cases}:
        check_catalog(Catalog.load(catalog), energy_model, None if library is None else liberty_reader.load(library))
    if (folder / "plan.json").exists():
        raise SweepError("a folder for rows", f"{folder} holds a plan", "choose another folder with -o")
    read_rows(folder)  # whatever it holds, before the folder is made
    if cluster is not None:
        machines.require(cluster)
    with files.locked(folder):
        files.remove_leftovers(folder)
        yield from _sweep(list(dict.fromkeys(cases)), asked, folder, jobs, cluster)


def _sweep(cases: list[Settings], asked: Asked, folder: Path, jobs: int, cluster: str | None) -> Iterator[Outcome]:
    catalogs = {case: sweep_jobs.index_hash(case.catalog) for case in cases}
    identities = {case: identity(case, asked, catalogs[case]) for case in cases}
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(folder):
        rows.setdefault(row["identity"], []).append(row)
    for case in cases:
        if identities[case] in rows:
            yield Outcome(case, rows[identities[case]], reused=True)
    todo = [case for case in cases if identities[case] not in rows]
    for case, answer in _answers(todo, asked, catalogs, jobs, cluster):
        key = identities[case]
        _log(folder, case, asked, key, answer)
        if answer.error is None:
            rows[key] = [_as_text(case, row, catalogs[case], key) for row in answer.rows]
            _write(folder, rows, list(identities.values()))
        yield Outcome(case, rows.get(key, []), seconds=answer.seconds, error=answer.error)


def _answers(
    todo: list[Settings], asked: Asked, catalogs: dict[Settings, str], jobs: int, cluster: str | None
) -> Iterator[tuple[Settings, Answer]]:
    if not todo:
        return
    if cluster is None:
        threads = 1 if workers.count(jobs, len(todo)) > 1 else 0
        local = [(case, (case, asked, catalogs[case], threads)) for case in todo]
        found = workers.run(sweep_jobs.here, local, jobs, _wanted)
    else:
        parcel = sweep_jobs.pack(todo[0].catalog, todo[0].liberty)
        far = [(case, (case, asked, catalogs[case])) for case in todo]
        found = machines.run(sweep_jobs.far, far, parcel, sweep_jobs.versions, cluster, _wanted)
    for case, answer in found:
        yield case, Answer(error=answer) if isinstance(answer, AgnError) else answer


def _wanted(settings: Settings) -> str:
    return f"rows of {told(settings)}"


def identity(settings: Settings, asked: Asked, catalog: str) -> str:
    """Hash of all that decides a job's rows; `catalog` is the hash of its index."""
    library = settings.liberty
    decides = {
        **{
            name: getattr(settings, name) for name in ("model", "data", "seed", "image_size", "retrain", "energy_model")
        },
        "data_root": None if settings.data_root is None else str(settings.data_root.absolute()),
        "catalog": catalog,
        "liberty": None if library is None else files.sha256(library.read_bytes()),
        "asked": asdict(asked),
        "columns": COLUMNS,
        "versions": sweep_jobs.versions(),
    }
    return files.sha256(json.dumps(decides, sort_keys=True).encode())[:16]


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The rows written so far, each value as its text. Raises SweepError where the file is something else."""
    path = folder / TABLE
    try:
        if not path.exists():
            return []
        table = pd.read_csv(io.StringIO(path.read_text()), dtype=str, keep_default_na=False)
        if not {"model", "data", "seed", "identity"} <= set(table.columns):
            raise ValueError(f"it has no column of a sweep but {', '.join(map(str, table.columns[:5]))}")
    except (OSError, ValueError) as error:
        raise SweepError(f"rows of a sweep in {path}", f"{error}", "choose another folder with -o") from None
    return [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]


def _as_text(settings: Settings, row: dict[str, Any], catalog: str, key: str) -> dict[str, str]:
    told = {"model": settings.model, "data": settings.data, "seed": settings.seed, **row}
    told |= {"catalog": catalog[:16], "version": agn_hw.__version__, "identity": key}
    return {column: _text(told[column]) for column in COLUMNS}


def _text(value: object) -> str:
    """Six significant digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(folder: Path, rows: dict[str, list[dict[str, str]]], order: list[str]) -> None:
    """Rows of other sweeps first, as they were, then this one's in the order of its jobs."""
    others = [key for key in rows if key not in order]
    table = pd.DataFrame([row for key in (*others, *order) for row in rows.get(key, [])]).fillna("")
    files.write_atomically(folder / TABLE, table.to_csv(index=False, lineterminator="\n").encode())


def _log(folder: Path, settings: Settings, asked: Asked, key: str, answer: Answer) -> None:
    line = {
        **{name: getattr(settings, name) for name in ("model", "data", "seed", "retrain", "energy_model")},
        **asdict(asked),
        "catalog": str(settings.catalog),
        "identity": key,
        "seconds": answer.seconds,
        "stages": answer.stages,
    }
    if answer.error is not None:
        line |= {"error": str(answer.error), "traceback": answer.traceback}
    path = folder / LOG
    before = path.read_bytes() if path.exists() else b""
    files.write_atomically(path, before + json.dumps(line).encode() + b"\n")
