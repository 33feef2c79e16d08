"""numpy's products over histograms are small: on several threads they wait for each other longer than they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The same function with one BLAS thread; its result does not depend on the number of threads then."""
    return threadpool_limits.wrap(limits=1, user_api="blas")(function)
