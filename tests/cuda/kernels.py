"""Which kernels compute: as chosen, or forced."""

from __future__ import annotations

import pytest

from agn_hw.kernels.cuda import choice, gather, multiply, row_add

FORCED: dict[str, tuple[bool | None, int | None]] = {
    "as chosen": (None, None),
    "row_add": (False, None),
    "row_add, depth in one": (False, 1),
    "row_add, depth cut in three": (False, 3),
    "gather": (True, None),
    "gather, depth in one": (True, 1),
    "gather, depth cut in three": (True, 3),
}
"""By name: whether residual bytes are gathered, and into how many parts the depth is cut; None: as chosen."""


def force(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on. What is forced goes through the tiled kernels, groups of one column too."""
    gathers, cuts = FORCED[name]
    if gathers is not None:
        monkeypatch.setattr(choice, "gathers", lambda shape: gathers)
        monkeypatch.setattr(choice, "goes_direct", lambda columns: False)
    if cuts is not None:
        for module in (multiply, row_add, gather):
            monkeypatch.setattr(module, "splits", lambda *arguments, cuts=cuts: cuts)
