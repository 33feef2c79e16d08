"""Networks side by side, one to a thread: torch's own threads would wait within every small operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def single_threads() -> Iterator[None]:
    """torch has one thread inside, also in threads that are started inside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(run: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """run(item) of each, in order, on as many threads as torch has, which has one in each of them."""
    threads = min(torch.get_num_threads(), len(items))
    with single_threads():
        if threads < 2:
            return [run(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, items))
