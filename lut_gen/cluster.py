"""The same jobs as in workers.py, on a Dask cluster: what they need travels with them, results come back.

A worker that dies costs nothing: the scheduler gives what it had in hand to another. Each result is taken once, by the
one process that writes.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lut_gen.errors import AgnError, ToolError
from lut_gen.workers import Key, Result

WAIT_S = 30
"""For the scheduler to answer, and for its first worker."""

Versions = dict[str, Any]


def run(
    work: Callable[..., Result],
    jobs: Iterable[tuple[Key, tuple[Any, ...]]],
    shared: bytes,
    versions: Callable[[], Versions],
    address: str,
    wanted: Callable[[Key], str],
) -> Iterator[tuple[Key, Result | AgnError]]:
    """work(shared, *arguments) for each job, by the workers of the scheduler at `address` ("host:port").

    Yields each job's key with its result, or the AgnError it raised, as they finish. `shared` is what all jobs need,
    sent once; `versions` gives versions that must be the same there as here; `wanted` says what a job was to give.
    Raises ToolError where there is no cluster.
    """
    from distributed import as_completed

    here = versions()
    with _client(address) as client:
        common = _sent(client, shared)
        futures = {
            client.submit(_job, work, versions, here, common, *arguments, pure=False): key for key, arguments in jobs
        }
        for future in as_completed(list(futures)):
            key = futures.pop(future)
            yield key, _result(future, wanted(key))


def require(address: str) -> None:
    """Raises ToolError where Dask is not installed, or no scheduler with a worker answers at `address`."""
    with _client(address):
        pass


def scratch() -> Path:
    """On a worker: a new folder that stays as long as its process."""
    folder = tempfile.TemporaryDirectory(prefix="agn-hw-")
    _scratch.append(folder)
    return Path(folder.name)


_scratch: list[tempfile.TemporaryDirectory] = []


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise ToolError("Dask", "distributed is not installed", "pip install 'agn-hw[cluster]'") from None
    try:
        client = Client(address, timeout=WAIT_S)
    except (OSError, ValueError, TypeError) as error:
        mend = "start one with `dask scheduler` and give its address as host:port"
        raise ToolError(f"a Dask scheduler at {address}", f"{error}", mend) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            came = f"it has had none for {WAIT_S} s"
            raise ToolError(f"a worker of the scheduler at {address}", came, f"`dask worker {address}`") from None
        yield client


def _sent(client: Any, shared: bytes) -> Any:
    """Its future: a task, not scattered data, so that it is made again when the worker that holds it dies."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # once, not once a job
        return client.submit(bytes, shared, pure=False)


def _result(future: Any, wanted: str) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        came = f"the workers that had it died, one after the other: {error}"
        return ToolError(wanted, came, "see the workers' logs (out of memory?)")
    except CancelledError:
        return ToolError(wanted, "the scheduler was lost", "start it again, then run the command again")
    except Exception as error:  # whatever another machine's installation lacks
        came = f"a worker's installation failed: {type(error).__name__}: {error}"
        return ToolError(wanted, came, "install this version of agn-hw on every worker")


def _job(work: Callable, versions: Callable[[], Versions], wanted: Versions, shared: bytes, *arguments: Any) -> Any:
    """On a worker."""
    try:
        here = versions()
        if here != wanted:
            mend = "install the same versions on every machine: their results would differ"
            raise ToolError(f"workers with {wanted}", f"one has {here}", mend)
        return work(shared, *arguments)
    except AgnError as error:
        return error
