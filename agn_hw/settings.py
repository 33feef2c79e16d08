"""What a co-design run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What to design for. max_drop: accuracy points lost against the float network, at most.

    data_root, image_size: of a data set that is read from local files, see `agn_hw.zoo.data.load`.
    """

    model: str
    data: str
    catalog: Path
    run: Path
    max_drop: float = 1.0
    seed: int = 0
    cache: Path = Path("build/cache")
    data_root: Path | None = None
    image_size: int | None = None
