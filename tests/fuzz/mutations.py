"""Mutated inputs for the readers: cut, swapped, doubled, replaced pieces of sound ones.

Each reader may raise its documented error and nothing else. `make fuzz` tries 10,000 inputs a reader, the ordinary
test run a few hundred (AGN_HW_FUZZ sets the number).
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TRIES = settings(
    max_examples=int(os.environ.get("AGN_HW_FUZZ", "300")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""Decorates every fuzz test."""


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes], words: list[bytes]) -> bytes:
    """One of `originals` after one to four edits; inserted pieces come from `words`, or are any few bytes."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 5, 20, 200])))
        pieces = (st.just(b""), st.sampled_from(words), st.binary(max_size=8), st.just(data[start:end] * 2))
        piece = draw(st.one_of(*pieces))
        data = data[:start] + piece + data[end:]
    return data
